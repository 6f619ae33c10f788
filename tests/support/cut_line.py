"""An interrupted connection: the first requests are refused, or their responses are lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.serving import plain_session

_FORWARDED = ("Authorization", "Content-Type", "Idempotency-Key")


@contextmanager
def cut_line(
    url: str, answers_lost: int = 0, *, refusals: tuple[int, ...] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a proxy for ``url``, and the idempotency keys of the requests that passed.

    Args:
        refusals: statuses that the first requests get; the site does not receive these requests.
    """
    keys: list[str] = []
    left = list(refusals)

    class Line(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if left:
                self.send_response(left.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = {name: self.headers[name] for name in _FORWARDED if name in self.headers}
            with plain_session() as session:
                answer = session.request(
                    self.command, url + self.path, data=body, headers=headers, timeout=60
                )
            keys.append(self.headers["Idempotency-Key"])
            if len(keys) <= answers_lost:
                self.close_connection = True  # without sending a byte of the response
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names that the server looks for

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Line)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
