"""Packet loss on the sockets of a server. The kernel drops real TCP segments."""

from __future__ import annotations

import ctypes
import socket
import struct

import pytest

SEGMENT_BYTES = 1448
"""Content of an Ethernet frame. On loopback the kernel passes up to 64 kB at once, which is many segments."""
_SO_ATTACH_FILTER = 26
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
_LOAD_WORD, _MODULO, _TO_X, _LOAD_LENGTH, _JUMP_IF_ABOVE_X, _FROM_X = 0x20, 0x94, 0x07, 0x80, 0x2D, 0x87
_RETURN, _RETURN_A = 0x06, 0x16
_ALL_BYTES = 0xFFFFFFFF


def lossy_listener(share: float) -> socket.socket:
    """Return a listening socket whose connections lose a share of the segments that reach them.

    For each arrival, a classic BPF program draws a random position among the bytes of ``1 / share`` segments.
    If the position is inside the data that arrived, the rest is cut off: the kernel does not acknowledge it,
    and the sender repeats it.
    """
    program = [
        (_LOAD_WORD, 0, 0, _RANDOM),
        (_MODULO, 0, 0, round(SEGMENT_BYTES / share)),
        (_TO_X, 0, 0, 0),
        (_LOAD_LENGTH, 0, 0, 0),
        (_JUMP_IF_ABOVE_X, 1, 0, 0),
        (_RETURN, 0, 0, _ALL_BYTES),
        (_FROM_X, 0, 0, 0),
        (_RETURN_A, 0, 0, 0),
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        _attach(listener, program)
    except BaseException:
        listener.close()
        raise
    return listener


def lose_everything(receiver: socket.socket) -> None:
    """Let the kernel drop and not acknowledge all data for this connection, as if its machine were gone."""
    _attach(receiver, [(_RETURN, 0, 0, 0)])


def _attach(receiver: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    attached = struct.pack("HL", len(program), ctypes.addressof(code))
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
    except PermissionError:
        pytest.skip("this kernel lets only root drop segments of TCP, as Linux 6.18 does")


def repeated_segments(sender: socket.socket) -> int:
    """Return how many segments this end of a connection has sent again (``tcpi_total_retrans``)."""
    info = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    (number,) = struct.unpack_from("I", info, 100)
    assert isinstance(number, int)
    return number
