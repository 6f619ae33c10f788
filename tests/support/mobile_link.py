"""A slow and lossy network link between two network namespaces, simulated by this process. Needs root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import queue
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_MTU_BYTES = 1500
_HERE, _THERE = "10.213.0.1", "10.213.0.2"


@dataclass(frozen=True, slots=True)
class Line:
    """One direction of the link. The defaults are a phone's upload with poor reception."""

    bits_per_s: float = 2e6
    delay_s: float = 0.05
    loss: float = 0.01
    queue_s: float = 0.5
    """A packet that would wait longer than this for the link is lost too, as when a buffer is full."""


class _Carrier:
    """Carries the packets of one direction."""

    def __init__(self, source: int, target: int, line: Line, seed: int) -> None:
        self._source, self._target, self._line = source, target, line
        self._random, self._due = random.Random(seed), queue.SimpleQueue[tuple[float, bytes]]()
        self.carried = self.lost = 0
        for work in (self._take, self._give):
            threading.Thread(target=work, daemon=True).start()

    def _take(self) -> None:
        free_s = 0.0
        while packet := os.read(self._source, 2 * _MTU_BYTES):
            now_s = time.monotonic()
            begin_s = max(now_s, free_s)
            if self._random.random() < self._line.loss or begin_s - now_s > self._line.queue_s:
                self.lost += 1
                continue
            free_s = begin_s + 8 * len(packet) / self._line.bits_per_s
            self._due.put((free_s + self._line.delay_s, packet))

    def _give(self) -> None:
        while True:
            due_s, packet = self._due.get()
            time.sleep(max(0.0, due_s - time.monotonic()))
            os.write(self._target, packet)
            self.carried += 1


class MobileLink:
    """The link between this process's namespace and the namespace of ``listener``."""

    def __init__(self, listener: socket.socket, up: _Carrier, down: _Carrier) -> None:
        self.listener, self._carriers = listener, (up, down)

    @property
    def carried(self) -> int:
        return sum(carrier.carried for carrier in self._carriers)

    @property
    def lost(self) -> int:
        return sum(carrier.lost for carrier in self._carriers)


def leave_network() -> None:
    """Move this process into a new network namespace with loopback only. Call it before threads start.

    Raises:
        OSError: not root.
    """
    _unshare()
    _ip("link", "set", "lo", "up")


@contextmanager
def mobile_link(up: Line, down: Line, seed: int) -> Iterator[MobileLink]:
    """Yield a link to a listening socket in another namespace. Clients that connect to it use the link.

    The packets are real: they come from the kernel's TCP. The namespace ends with the process.
    """
    with ExitStack() as stack:
        here = _tun("tun0", _HERE, _THERE)
        there, listener = _in_another_namespace()
        stack.enter_context(listener)
        yield MobileLink(listener, _Carrier(here, there, up, seed), _Carrier(there, here, down, seed + 1))


def _in_another_namespace() -> tuple[int, socket.socket]:
    """Make a namespace in a new thread; return its device and a listening socket in it."""
    made: list[tuple[int, socket.socket]] = []

    def make() -> None:
        _unshare()
        made.append((_tun("tun0", _THERE, _HERE), socket.create_server((_THERE, 0))))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (result,) = made
    return result


def _tun(name: str, own: str, other: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    _ip("address", "add", own, "peer", other, "dev", name)
    _ip("link", "set", name, "up", "mtu", str(_MTU_BYTES))
    return device


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _unshare() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
