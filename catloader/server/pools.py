"""The request threads of a process, in two pools: requests that wait for S3 can't take all threads."""

from __future__ import annotations

from waitress.task import ThreadedTaskDispatcher

from catloader.server.connections import Channel
from catloader.server.request_parser import Rules


class Pools:
    """Implements waitress's dispatcher of tasks.

    Threads wait while S3 does not answer or uploads are being decoded; pages have separate threads.
    """

    def __init__(self, rules: Rules, *, threads: int) -> None:
        """Start ``threads`` threads, at least two: a third of them for pages."""
        pages = max(1, threads // 3)
        self._rules = rules
        self._pages, self._store = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._pages.set_thread_count(pages)
        self._store.set_thread_count(max(1, threads - pages))

    def add_task(self, channel: Channel) -> None:
        """Queue the channel's first request, which has been received completely."""
        request = channel.requests[0]
        uses_store = not request.error and self._rules.uses_object_store(request.command, request.path)
        (self._store if uses_store else self._pages).add_task(channel)
