"""Messages between a caller and a decoding child: JSON and blobs, never pickles.

A child that was taken over by a hostile file can send its caller wrong data, but no code.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any

_LENGTHS = struct.Struct("!II")  # bytes of the JSON, number of blobs
_SIZE = struct.Struct("!Q")
_MAX_HEADER_BYTES = 2**20
_MAX_BLOBS = 2**12
_MAX_BYTES = 2**30
_BUFFER_BYTES = 2**20  # for fewer switches between the two processes; the kernel may grant less

Header = dict[str, Any]


class Closed(ConnectionError):
    """The other side has ended, or sent something other than a message."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends of a connection."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    return ends


def send(end: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes | memoryview]) -> None:
    """Send one message.

    Raises:
        OSError: the other side has ended, or the socket's timeout has passed.
    """
    text = json.dumps(header).encode()
    sizes = b"".join(_SIZE.pack(len(blob)) for blob in blobs)
    end.sendall(_LENGTHS.pack(len(text), len(blobs)) + sizes + text)
    for blob in blobs:
        end.sendall(blob)


def receive(end: socket.socket, deadline_s: float | None = None) -> tuple[Header, list[bytes]]:
    """Receive one message.

    Args:
        deadline_s: a value of ``time.monotonic``; None: wait without a limit.
    Raises:
        Closed: the other side has ended, or sent something other than a message.
        TimeoutError: the message was not complete by the deadline.
    """
    header_bytes, count = _LENGTHS.unpack(_exactly(end, _LENGTHS.size, deadline_s))
    if header_bytes > _MAX_HEADER_BYTES or count > _MAX_BLOBS:
        raise Closed("a message that is too long")
    sizes = [size for (size,) in _SIZE.iter_unpack(_exactly(end, count * _SIZE.size, deadline_s))]
    if sum(sizes) > _MAX_BYTES:
        raise Closed("a message that is too long")
    try:
        header = json.loads(_exactly(end, header_bytes, deadline_s))
    except ValueError as error:
        raise Closed("a message that is not JSON") from error
    if not isinstance(header, dict):
        raise Closed("a message without a header")
    return header, [_exactly(end, size, deadline_s) for size in sizes]


def _exactly(end: socket.socket, size: int, deadline_s: float | None) -> bytes:
    """Receive ``size`` bytes, in one piece if possible, which saves a copy of a large file."""
    parts: list[bytes] = []
    missing = size
    while missing:
        if deadline_s is not None:
            end.settimeout(max(deadline_s - time.monotonic(), 1e-3))
        try:
            part = end.recv(missing, socket.MSG_WAITALL)
        except ConnectionError as error:
            raise Closed("the other side has ended") from error
        if not part:
            raise Closed("the other side has ended")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
