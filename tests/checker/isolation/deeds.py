"""Actions that a photo may make a decoder perform; ``test_pool`` runs them in real child processes."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from checker.isolation.child import Result

_kept: list[bytes] = []


def echo(_arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    return {"parts": len(item)}, item


def do(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Perform the named action; ``arguments["folder"]`` is a writable folder.

    The result has the times of the monotonic clock at which the action began and ended.
    """
    began_s = time.monotonic()
    _DEEDS[item[0].decode()](Path(arguments.get("folder", "/")))
    times = {"began_s": began_s, "ended_s": time.monotonic()}
    return {"pid": os.getpid(), "variables": dict(os.environ), **times}, []


def _loop(*_: Path) -> NoReturn:
    while True:
        pass


def _work_a_little(_: Path) -> None:
    end_s = time.process_time() + 0.1
    while time.process_time() < end_s:
        pass


def _loop_in_threads(_: Path) -> None:
    for _number in range(4):
        threading.Thread(target=_loop).start()
    threading.Event().wait()


def _write(folder: Path) -> None:
    with (folder / "existing").open("r+b") as file:
        file.write(b"overwritten")


def _open_many(_: Path) -> None:
    _files = [os.dup(2) for _ in range(1000)]


def _truncate(folder: Path) -> None:
    os.truncate(folder / "existing", 0)


def _connect(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "listening"))


def _send_from_a_pair(folder: Path) -> None:
    """A connected pair needs no socket(), and sends to any name."""
    sender, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.sendto(b"secret", str(folder / "datagrams"))


def _other_abi() -> None:
    """Call socket by its number in the ABI x32, which some kernels have; the others have another error."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(0x40000000 + 41, 1, 1, 0) < 0 and ctypes.get_errno() == errno.EPERM:
        raise PermissionError


def _start_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _bug(_: Path) -> NoReturn:
    raise ValueError("a bug")


_DEEDS: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "work for 0.1 s": _work_a_little,
    "wait for 0.3 s": lambda _: threading.Event().wait(0.3),
    "loop": _loop,
    "loop in threads": _loop_in_threads,
    "hang": lambda _: threading.Event().wait(),
    "allocate 512 MB": lambda _: bytes(2**29),
    "hold 96 MB for a moment": lambda _: sum(map(len, [bytes([n]) * 2**23 for n in range(1, 13)])),
    "hold 220 MB": lambda _: _kept.append(b"x" * 220_000_000),
    "segfault": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(0),
    "real-time signal": lambda _: os.kill(os.getpid(), signal.SIGRTMIN + 3),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "write": _write,
    "create": lambda folder: (folder / "new").touch(),
    "delete": lambda folder: (folder / "existing").unlink(),
    "run": lambda _: subprocess.run(["/bin/true"], check=True),
    "open many": _open_many,
    "truncate": _truncate,
    "change the mode": lambda folder: (folder / "existing").chmod(0o666),
    "change the time": lambda folder: os.utime(folder / "existing", (0, 0)),
    "read": lambda folder: (folder / "existing").read_bytes(),
    "list": lambda folder: list(folder.iterdir()),
    "read the parent's variables": lambda _: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "signal the parent": lambda _: os.kill(os.getppid(), 0),
    "connect": _connect,
    "send from a pair": _send_from_a_pair,
    "open UDP": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "x32": lambda _: _other_abi(),
    "fork": lambda _: os.fork() or os._exit(0),
    "import": lambda _: import_module("wave"),
    "start a thread": lambda _: _start_thread(),
    "bug": _bug,
}
