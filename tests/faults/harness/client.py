"""Users who upload photos one by one and record the site's acknowledgements, which the audit relies on."""

from __future__ import annotations

import functools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from catloader.intake.prepare import prepare
from catloader.intake.upload import limits
from catloader.settings import Settings
from tests.support.fakes import photo
from tests.support.serving import form_token, registered
from tests.support.site import PASSWORD

_DIFFERENT = 12
_WAIT_S = 60.0
_PAUSE_S = 0.1
_AT_ONCE = 3


@functools.cache
def stored_sha256(number: int) -> str:
    """Return the digest of the rendition that a site must store for photo ``number``."""
    return prepare(photo(number), limits=limits(Settings())).sha256


@dataclass
class Ledger:
    """Records the acknowledged photos (id -> digest of the stored bytes) and all responses. Thread-safe."""

    photos: dict[int, str] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    """Number of responses by status. Status 0 means a broken connection; ``broken`` has the reasons."""
    broken: list[str] = field(default_factory=list)
    slowest_refusal_s: float = 0.0
    last_at_s: float = 0.0
    """Time of the last acknowledgement, by the monotonic clock."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, status: int, took_s: float, id: int = 0, sha256: str = "") -> None:
        with self._lock:
            self.answers[status] += 1
            if status == 201:
                self.photos[id] = sha256
                self.last_at_s = time.monotonic()
            elif status >= 500:
                self.slowest_refusal_s = max(self.slowest_refusal_s, took_s)

    def __len__(self) -> int:
        return len(self.photos)


class Person:
    """One account and its uploads."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self._url, self._ledger = url, ledger
        self.session = registered(url)
        self._token = form_token(self.session, url + "/upload")
        self.uploads = 0
        self.ids: list[int] = []
        """Ids of the acknowledged photos."""

    def upload(self) -> int:
        """Upload the next photo once; return the status, or 0 without a response."""
        number, begun_s = self.uploads % _DIFFERENT, time.monotonic()
        self.uploads += 1
        try:
            answer = self.session.post(
                self._url + "/upload",
                data={"csrf_token": self._token},
                files={"photos": (f"{number}.jpg", photo(number))},
                timeout=_WAIT_S,
            )
        except requests.RequestException as error:
            took_s = time.monotonic() - begun_s
            self._ledger.note(0, took_s)
            self._ledger.broken.append(f"after {took_s:.1f} s: {error!r}")
            return 0
        id = 0
        if answer.status_code == 201:
            id = answer.json()["files"][0]["id"]
            self.ids.append(id)
        self._ledger.note(answer.status_code, time.monotonic() - begun_s, id, stored_sha256(number))
        return answer.status_code

    def upload_all(self, count: int) -> None:
        """Upload until ``count`` more photos are acknowledged."""
        left = count
        while left:
            if self.upload() == 201:
                left -= 1
            else:
                time.sleep(_PAUSE_S)

    def delete_account(self) -> bool:
        """Delete the account, which ends the session; return False if that was refused or failed."""
        try:
            page = self.session.get(self._url + "/account", allow_redirects=False, timeout=_WAIT_S)
            if page.status_code != requests.codes.ok:
                return bool(page.status_code == requests.codes.unauthorized)
            form = {
                "csrf_token": form_token(self.session, self._url + "/account"),
                "password": PASSWORD,
            }
            answer = self.session.post(
                self._url + "/account/delete", data=form, allow_redirects=False, timeout=_WAIT_S
            )
        except requests.RequestException:
            return False
        return answer.ok


def upload_together(people: Sequence[Person], counts: Sequence[int]) -> None:
    """Upload from several accounts at once; ``counts`` is the number of new photos of each account."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(Person.upload_all, people, counts))


@contextmanager
def uploading(url: str, ledger: Ledger, people: int = 3, pause_s: float = 0.0) -> Iterator[list[Person]]:
    """Upload continuously during the block, with a short pause after each refused or broken upload.

    Args:
        pause_s: pause after each acknowledged upload.
    """
    stop = threading.Event()

    def upload(person: Person) -> None:
        while not stop.is_set():
            stop.wait(pause_s if person.upload() == 201 else _PAUSE_S)

    uploaders = [Person(url, ledger) for _ in range(people)]
    threads = [threading.Thread(target=upload, args=(person,)) for person in uploaders]
    for thread in threads:
        thread.start()
    try:
        yield uploaders
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_for(ledger: Ledger, more: int, timeout_s: float = 60) -> bool:
    """Wait until ``more`` further photos are acknowledged; return whether they were in time."""
    wanted, end_s = len(ledger) + more, time.monotonic() + timeout_s
    while len(ledger) < wanted and time.monotonic() < end_s:
        time.sleep(0.02)
    return len(ledger) >= wanted
