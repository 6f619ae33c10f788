"""Actions that a photo may make a decoder perform; ``test_pool`` runs them in real child processes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from checker.isolation.child import Result

_kept: list[bytes] = []


def echo(_arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    return {"parts": len(item)}, item


def do(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Perform the named action; ``arguments["folder"]`` is a writable folder."""
    _DEEDS[item[0].decode()](Path(arguments.get("folder", "/")))
    return {"pid": os.getpid(), "tunables": os.environ.get("GLIBC_TUNABLES")}, []


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
    _files = [Path("/dev/zero").open("rb") for _ in range(1000)]  # noqa: SIM115


def _bug(_: Path) -> NoReturn:
    raise ValueError("a bug")


_DEEDS: Mapping[str, Callable[[Path], object]] = {
    "nothing": lambda _: None,
    "work for 0.1 s": _work_a_little,
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
    "bug": _bug,
}
