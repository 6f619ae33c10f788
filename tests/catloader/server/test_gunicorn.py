"""What every connection to the site inherits from its listening socket."""

from __future__ import annotations

import socket

from catloader.demo.client import free_port
from catloader.server.gunicorn import listening


def test_an_answer_is_not_held_back_for_an_acknowledgement() -> None:
    port = free_port()
    with (
        listening("127.0.0.1", port, "HOST", "PORT", stalled_s=1) as listener,
        socket.create_connection(("127.0.0.1", port)),
    ):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
