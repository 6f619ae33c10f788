"""Requests that wait for the object store leave threads for other requests."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest

from catloader.server.connections import Channel
from catloader.server.pools import Pools
from catloader.server.request_parser import FormsOnly


class _Rules(FormsOnly):
    def uses_object_store(self, _method: str, path: str) -> bool:
        return path == "/upload"


class _Waiting:
    """A connection whose request ends when ``gate`` is set."""

    def __init__(self, path: str, gate: Event, error: object = None) -> None:
        self.requests = [SimpleNamespace(command="POST", path=path, error=error)]
        self.begun, self._gate = Event(), gate

    def service(self) -> None:
        self.begun.set()
        assert self._gate.wait(60)


@pytest.mark.parametrize(("threads", "shares"), [(1, (1, 1)), (2, (1, 1)), (3, (1, 2)), (8, (2, 6))])
def test_a_third_of_the_threads_is_reserved_for_pages(threads: int, shares: tuple[int, int]) -> None:
    pools = Pools(_Rules(), threads=threads)
    assert (len(pools._pages.threads), len(pools._store.threads)) == shares
    for dispatcher in (pools._pages, pools._store):
        dispatcher.shutdown()


def test_pages_and_refusals_are_served_while_uploads_wait() -> None:
    pools, gate, at_once = Pools(_Rules(), threads=2), Event(), Event()
    at_once.set()
    uploads = [_Waiting("/upload", gate) for _ in range(2)]
    others = [_Waiting("/login", at_once), _Waiting("/upload", at_once, error="400")]
    for connection in (*uploads, *others):
        pools.add_task(cast("Channel", connection))
    assert all(connection.begun.wait(60) for connection in (uploads[0], *others))
    assert not uploads[1].begun.is_set()
    gate.set()
    assert uploads[1].begun.wait(60)
    for dispatcher in (pools._pages, pools._store):
        dispatcher.shutdown()
