"""Slow clients next to normal ones: python -m tests.faults.slow_clients [--heads 200] [--bodies 200] ...

Starts a site in a temporary folder. Half of the bodies are uploads of a logged-in person.
``--json FILE`` also writes the figures to a file.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.report import publish, start_of_run
from tests.support.serving import Serving, cookies_of, plain_session, registered, serving

_DRIP_S = 1.0
_PAGE_S = 60.0
_LONGEST_S = 120.0
"""Maximum time to load ``pages`` pages on a busy machine."""


@dataclass(frozen=True)
class Figures:
    """Results of the normal users."""

    pages: int
    failed: int
    p95_s: float
    longest_s: float
    cut: int
    """Slow connections that the site closed during the measurement."""


def measure(site: Serving, *, heads: int, bodies: int, users: int, seconds: float, pages: int = 0) -> Figures:
    """Let ``users`` load a page a second while slow connections send a byte a second.

    Args:
        heads: number of connections that send a head slowly.
        bodies: number of connections that send a body slowly.
        seconds: minimum time; the measurement continues until ``pages`` pages are loaded.
    """
    cookies = cookies_of(registered(site.url))
    with _dripping(site.port, cookies, heads, bodies) as cut:
        times_s, failed = _load_pages(site.url, cookies, users, seconds, pages)
    times_s.sort()
    p95_s = times_s[int(0.95 * (len(times_s) - 1))]
    return Figures(len(times_s), failed, round(p95_s, 3), round(times_s[-1], 3), len(cut))


@contextmanager
def _dripping(port: int, cookies: str, heads: int, bodies: int) -> Iterator[list[int]]:
    """Hold slow connections open; yield the growing list of the connections that the site closed."""
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n"
    login = b"POST /login HTTP/1.1\r\nHost: x\r\n" + form
    files = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000000\r\n\r\n"
    upload = b"POST /upload HTTP/1.1\r\nHost: x\r\nCookie: " + cookies.encode() + b"\r\n" + files
    begun = [b"GET /login HTTP/1.1\r\nHost: x\r\nX-Slow: "] * heads
    begun += [upload if number % 2 else login for number in range(bodies)]
    stop, cut = threading.Event(), []
    with ExitStack() as stack:
        connections = []
        for first in begun:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            connection.sendall(first)
            connections.append(connection)

        def drip() -> None:
            while not stop.wait(_DRIP_S):
                for number, connection in enumerate(connections):
                    try:
                        connection.send(b"a")
                    except OSError:
                        if number not in cut:
                            cut.append(number)

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield cut
        finally:
            stop.set()
            thread.join()


def _load_pages(url: str, cookies: str, users: int, seconds: float, pages: int) -> tuple[list[float], int]:
    times_s: list[float] = []
    failures: list[int] = []
    begun_s = time.monotonic()

    def is_over() -> bool:
        took_s = time.monotonic() - begun_s
        return took_s >= _LONGEST_S or (took_s >= seconds and len(times_s) >= pages)

    def browse(number: int) -> None:
        session = plain_session()
        session.headers["Cookie"] = cookies
        while not is_over():
            begun_page_s, status = time.monotonic(), 0
            with suppress(OSError):  # errors of requests are OSErrors too
                status = session.get(url + "/photos", timeout=_PAGE_S, allow_redirects=False).status_code
            times_s.append(time.monotonic() - begun_page_s)
            if status != 200:
                failures.append(status)
            time.sleep(max(0.0, 1.0 - times_s[-1]) * (0.5 + number / users))

    threads = [threading.Thread(target=browse, args=(number,)) for number in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times_s, len(failures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("heads", 200), ("bodies", 200), ("users", 50), ("seconds", 30)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    options = vars(parser.parse_args())
    file = options.pop("json")
    run = start_of_run() | options
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as site:
        run |= asdict(measure(site, **options))
    publish(run, file)


if __name__ == "__main__":
    main()
