"""The folder of a backup: objects that all runs share, and one folder for the state that a run saves.

::

    backup.json          names the current state; replaced atomically at the end of a run
    state-TIME/          catloader.sqlite3, data/ (secrets, profiles, the promoted model), SHA256SUMS
    objects/KIND/ab/KEY  an object never changes under its key, so it stays valid for older states

A run that is killed leaves ``backup.json`` unchanged. The next run uses the objects copied so far.
``sha256sum -c state-TIME/SHA256SUMS`` compares all files without CatLoader.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from catloader.errors import BackupRefused
from catloader.settings import KEY_FILE
from catloader.store.kinds import ObjectKind, StoredObject
from checker.folder.walk import is_hidden

_DATA_FILES = (KEY_FILE, "webhook-secret", "outgoing-webhook-secret", "model.json", "profiles")
"""Saved files of the data folder; the others are the database, the objects, or files of the running
process."""
_FORMAT = 1
_MARK = "backup.json"
_LOCK = "lock"
_OBJECTS = "objects"
_KEY = re.compile(r"\w[\w.-]*")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of ``backup.json``."""

    format: int = _FORMAT
    state: str = ""
    """Name of the state's folder; empty before the first run has finished."""
    sums_sha256: str = ""
    revision: str = ""
    """Revision of the tables."""
    made_at: str = ""
    accounts: int = 0
    photos: int = 0


class BackupFolder:
    """One backup folder. Errors of its disk are raised as ``BackupRefused``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[Manifest]:
        """Lock the folder for a run that writes, and make it if it is missing; yield its manifest.

        Raises:
            BackupRefused: the folder has other content, or another run is using it.
        """
        with self.writing():
            try:
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise BackupRefused(f"{self.path} is a file, or is below a file: name a folder.") from None
            names = {path.name for path in _own(self.path)}
            # A run that was killed while it wrote the first `backup.json` leaves a draft of it.
            if _MARK not in names and names - {_LOCK, _draft(_MARK)}:
                raise BackupRefused(
                    f"{self.path} is neither a backup nor empty: name a new folder, or one that "
                    "`catloader backup` made."
                )
            with (self.path / _LOCK).open("a") as lock:
                self._lock(lock, fcntl.LOCK_EX)
                # Read under the lock: a manifest read before may name a state that another run has removed.
                if not (self.path / _MARK).exists():
                    self.commit(Manifest())
                (self.path / _OBJECTS).mkdir(mode=0o700, exist_ok=True)
                yield self.manifest()

    @contextlib.contextmanager
    def unchanging(self) -> Iterator[None]:
        """Lock the folder for a run that only reads it, so that no run writes meanwhile.

        A copy of a backup may lack the lock file, or be on a file system without locks: it is read unlocked.

        Raises:
            BackupRefused: another run is writing to the folder.
        """
        with self.writing(), contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._lock(stack.enter_context((self.path / _LOCK).open()), fcntl.LOCK_SH)
            yield

    def _lock(self, file: IO[str], mode: int) -> None:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"Another run is using {self.path}.") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Translate errors of the disk into ``BackupRefused``."""
        try:
            yield
        except OSError as error:
            if error.errno in DISK_FULL:
                raise BackupRefused(
                    f"The disk of {self.path} is full. An earlier backup in it is still complete; free some "
                    "space and run the command again, which resumes this run."
                ) from error
            raise BackupRefused(f"{error.filename or self.path} can't be used: {error.strerror}.") from error

    def manifest(self) -> Manifest:
        """Read ``backup.json``.

        Raises:
            BackupRefused: the file is missing, damaged, or from a newer version.
        """
        try:
            content = json.loads((self.path / _MARK).read_text("utf-8"))
            if content["format"] > _FORMAT:
                raise BackupRefused(
                    f"{self.path} was made by a newer version of CatLoader: use that version."
                )
            return Manifest(**content)
        except (FileNotFoundError, NotADirectoryError):
            raise BackupRefused(f"{self.path} is not a backup: it has no {_MARK}.") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BackupRefused(f"{self.path / _MARK} is damaged.") from error

    def commit(self, manifest: Manifest) -> None:
        """Replace ``backup.json``, after everything written before has reached the disk."""
        os.sync()  # one call is faster than an fsync after each of a million objects
        write_file(self.path / _MARK, (json.dumps(asdict(manifest), indent=1) + "\n").encode())
        os.sync()

    def new_state(self, now: datetime) -> Path:
        """Make the folder of a new state. Only its owner can read it: it has password hashes and secrets."""
        state = self.path / f"state-{now:%Y%m%dT%H%M%S%fZ}"
        for folder in (state, state / "data"):  # `parents=True` would not set the mode of `state`
            folder.mkdir(mode=0o700)
        return state

    def object_path(self, stored: StoredObject) -> Path:
        """Return the path of an object's file.

        Raises:
            BackupRefused: the key is invalid. In a damaged or forged database it could lead to other files.
        """
        if not _KEY.fullmatch(stored.key):
            raise BackupRefused(
                f"The database names an object {stored.key!r}, which is not a key of this site."
            )
        return self.path / _OBJECTS / stored.kind / stored.key[:2] / stored.key

    def shards(self) -> Iterator[tuple[ObjectKind, Path, list[Path]]]:
        """Yield the folders of objects, each with keys of one kind that begin alike, and their files."""
        for kind in ObjectKind:
            folder = self.path / _OBJECTS / kind
            if folder.is_dir():
                shards = sorted(path for path in _own(folder) if path.is_dir())
                yield from ((kind, shard, _own(shard)) for shard in shards)

    def sums(self, manifest: Manifest) -> dict[str, str]:
        """Return path -> SHA-256 of the state's files and of explanations.

        The digests of the other objects are in the database.

        Raises:
            BackupRefused: the list of digests is missing, or was altered.
        """
        if not manifest.state:
            return {}
        file = self.path / manifest.state / "SHA256SUMS"
        if digest_of(file) != manifest.sums_sha256:
            raise BackupRefused(f"{file} is missing or damaged, so nothing in {self.path} can be trusted.")
        prefixes = (f"{manifest.state}/", f"objects/{ObjectKind.EXPLANATION}/")
        with file.open(encoding="utf-8") as lines:
            pairs = (line.rstrip("\n").split("  ", 1) for line in lines)
            return {path: digest for digest, path in pairs if path.startswith(prefixes)}

    def remove_states_but(self, name: str) -> None:
        """Remove older states and those of killed runs."""
        for state in self.path.glob("state-*"):
            if state.name != name:
                shutil.rmtree(state)


def _own(folder: Path) -> list[Path]:
    """Return a folder's entries without those of systems: ``lost+found`` of a disk, previews of a NAS ..."""
    return [path for path in folder.iterdir() if not is_hidden(path.name)]


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file; None: there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def copy_data_files(source: Path, target: Path) -> None:
    """Copy those of ``_DATA_FILES`` that exist, with their modes: only the owner can read secrets.

    The mode of the folder ``target`` does not change: a mounted volume may belong to another user.
    """
    for path in (source / name for name in _DATA_FILES):
        for file in path.rglob("*") if path.is_dir() else (path,):
            if file.is_file():
                copy = target / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)


def _draft(name: str) -> str:
    return f"{name}.part"


def write_file(path: Path, data: bytes) -> None:
    """Write a file that appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(_draft(path.name))
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def bytes_of(path: Path, sha256: str | None) -> bytes | None:
    """Read a file; return None if it is missing or has another digest."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None
