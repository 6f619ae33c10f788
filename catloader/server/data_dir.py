"""The data folder: checks that it is usable, and the lock for a process that runs a site or store on it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from catloader.errors import StartupError
from catloader.settings import KEY_FILE, Settings
from checker.process.low_limits import EVERY, low_limit
from checker.process.user_names import user_name

logger = logging.getLogger(__name__)

POLL_S = 0.1
_FOLDERS = ("imports", "partial-uploads", "profiles", "s3")
_FILES = ("catloader.sqlite3", "lock", "model.json", "object-store.json", KEY_FILE, "webhook-secret")
_LOCK_TRIES = 15
"""The kernel may need a moment to release the lock of a site that was killed."""


def prepare_data_dir(settings: Settings) -> None:
    """Make the data folder, write a test file, and check the free disk space and the limits of this process.

    Raises:
        StartupError: the folder cannot be used, or a limit of this process is too low; the text says why.
    """
    if sentence := low_limit(EVERY):
        raise StartupError(sentence)
    _refuse_umask()
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_probe(folder, may_be_full=not settings.min_free_bytes)
        free_bytes = shutil.disk_usage(folder).free
    except (FileExistsError, NotADirectoryError):
        _refuse_broken_link(folder)
        raise StartupError(f"The data folder {folder} is a file, or is below a file.") from None
    except OSError as error:
        reason = f"{error.strerror}{_owners(folder) if error.errno == errno.EACCES else ''}"
        raise StartupError(f"The data folder {folder} cannot be written to: {reason}.") from error
    _refuse_wrong_kinds(folder)
    if free_bytes < settings.min_free_bytes:
        raise StartupError(
            f"The disk of the data folder {folder} has {free_bytes // 2**20} MiB free; at least "
            f"{settings.min_free_bytes // 2**20} MiB are needed (CATLOADER_MIN_FREE_BYTES)."
        )


def _owners(folder: Path) -> str:
    """Name the two users of a missing right, as of a folder that Docker has made for root."""
    path = folder.absolute()
    while not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if a folder can't be searched
        path = path.parent
    owner, user = user_name(path.stat().st_uid), user_name(os.geteuid())
    return "" if owner == user else f" ({path} belongs to {owner}, and this process runs as {user})"


def _write_probe(folder: Path, *, may_be_full: bool) -> None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
    except OSError as error:
        if not may_be_full or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        probe.unlink(missing_ok=True)


def _refuse_umask() -> None:
    """Check that the umask does not remove the owner's rights from new files.

    Raises:
        StartupError: the umask removes them.
    """
    mask = os.umask(0o077)  # the umask can only be read by setting it
    os.umask(mask)
    if mask & 0o700:
        raise StartupError(f"The umask {mask:04o} makes new files unusable for their owner; set umask 077.")


def _refuse_broken_link(folder: Path) -> None:
    """Look for a link to a folder that does not exist, for example on a disk that is not mounted.

    Raises:
        StartupError: there is such a link; the text names it.
    """
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.is_dir():
            raise StartupError(
                f"The data folder {folder} cannot be used: {path} is a link to {path.readlink()}, "
                "which is not a folder."
            )


def _refuse_wrong_kinds(folder: Path) -> None:
    """Check for files with the names of folders, and folders with the names of files.

    Raises:
        StartupError: there is such a file or folder; the text names the first.
    """
    for name in _FOLDERS:
        if (path := folder / name).exists() and not path.is_dir():
            raise StartupError(f"{path} is a file, and the site needs a folder there; move it away.")
    for name in _FILES:
        if (path := folder / name).is_dir():
            raise StartupError(f"{path} is a folder, and the site needs a file there; move it away.")


@contextlib.contextmanager
def exclusive_data_dir(settings: Settings) -> Iterator[None]:
    """Lock the data folder for a process that runs a site on it.

    Raises:
        StartupError: another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(_LOCK_TRIES):
            if try_lock(settings, stack):
                break
            time.sleep(POLL_S)
        else:
            raise StartupError(
                f"Another CatLoader runs on the data folder {settings.data_dir}; "
                "stop it, or set CATLOADER_DATA_DIR to another folder."
            )
        yield


def try_lock(settings: Settings, stack: contextlib.ExitStack, mode: int = fcntl.LOCK_EX) -> bool:
    """Take the lock until ``stack`` is closed, without waiting; the kernel releases it if the process ends.

    Args:
        mode: ``LOCK_EX`` to hold the folder, ``LOCK_SH`` to test if another process holds it.

    Returns:
        False if another process has the lock.
    """
    file = (settings.data_dir / "lock").open("a")
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    except OSError as error:
        file.close()
        _refuse_without_locks(settings, error)
        return True
    stack.enter_context(file)
    if mode == fcntl.LOCK_EX:
        # A killed site has left its note, which must not be read while this site starts its store.
        store_note(settings).unlink(missing_ok=True)
    return True


def _refuse_without_locks(settings: Settings, error: OSError) -> None:
    """Refuse a file system without locks if two sites could write to the same files.

    Raises:
        StartupError: the database or the object store is in the folder.
    """
    sentence = f"The file system of the data folder {settings.data_dir} has no file locks ({error.strerror})"
    if settings.embedded_s3 or isinstance(settings.database, Path):
        raise StartupError(
            f"{sentence}; set CATLOADER_DATA_DIR to a folder on a local disk, or use PostgreSQL and a "
            "separate S3 server."
        ) from error
    logger.warning("%s, so a second site on it would not be detected.", sentence)


def refuse_missing_temporary_folder() -> None:
    """Check that there is a temporary folder, for the files of uploads in progress.

    Raises:
        StartupError: there is no temporary folder.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise StartupError(
            "No temporary folder can be written to; set TMPDIR to a folder that can."
        ) from error


def store_note(settings: Settings) -> Path:
    """Return the file in which the holder of the lock writes the address of its object store."""
    return settings.data_dir / "object-store.json"
