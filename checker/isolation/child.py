"""The processes that decode: a server that imports the decoders once, and the children that it forks.

The server has one thread and opens no file of a user: forking it is safe, takes milliseconds, and the child
shares its memory. Children end with the server; the server ends when its caller closes the connection or
dies.

usage: python -m checker.isolation.child CONTROL_DESCRIPTOR MEMORY_BYTES MODULE:FUNCTION...
"""

from __future__ import annotations

import gc
import os
import pkgutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from select import select
from typing import Any

from checker.isolation import frames
from checker.isolation.limits import (
    OwnMemory,
    confine,
    die_with,
    end_first_without_memory,
    start_clock,
)
from checker.isolation.sandbox import code_folders
from checker.process.exits import open_standard_descriptors
from checker.process.heap import give_memory_back

_IDLE_BYTES, _IDLE_S = 8 * 2**20, 1.0
"""A child that has grown by more than this since its start returns freed memory after a second without work.
"""
_MUCH_BYTES = 64 * 2**20
"""A child that has grown by more than this returns freed memory at once."""
_MAX_BYTES = 192 * 2**20
"""A child that has grown by more than this after a request is replaced."""
NEVER_READY = -1
"""Reported instead of a signal if a child ended before it could receive an item: no item is to blame."""
_NEVER_READY_STATUS = 3

Result = tuple[Mapping[str, Any], Sequence[bytes | memoryview]]
Work = Callable[[Mapping[str, Any], Sequence[bytes]], Result]
"""Takes the arguments of the request and the blobs of one item; returns values for JSON, and blobs."""


def main(arguments: Sequence[str]) -> None:
    """Fork a child for each descriptor received; end the child whose PID is received. Never returns."""
    open_standard_descriptors()
    descriptor, memory_bytes, *names = arguments
    control = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    works: dict[str, Work] = {name: pkgutil.resolve_name(name) for name in names}
    readable = code_folders()
    gc.collect()
    gc.freeze()  # collections in children would write to the pages of these objects and so copy them
    while True:
        message, descriptors, *_ = socket.recv_fds(control, 64, 1)
        if not message:
            os._exit(0)
        if descriptors:
            control.send(b"%d" % _fork(descriptors[0], control, works, int(memory_bytes), readable))
        else:
            control.send(b"%d" % _end(int(message)))


def _fork(
    descriptor: int,
    control: socket.socket,
    works: Mapping[str, Work],
    memory_bytes: int,
    readable: Sequence[Path],
) -> int:
    server = os.getpid()
    try:
        pid = os.fork()
    except OSError:  # too many processes
        os.close(descriptor)
        return 0
    if pid == 0:
        status = _NEVER_READY_STATUS
        try:
            die_with(server)
            control.close()
            null = os.open(os.devnull, os.O_WRONLY)
            memory, end = OwnMemory(), socket.socket(fileno=descriptor)
            end_first_without_memory()
            confine(memory_bytes, readable)
            os.dup2(null, 2)  # decoders print complaints about damaged files to stderr
            status = 1
            _serve(end, works, memory)
        except Exception as error:  # the top of this process
            sys.stderr.write(f"A decoding process ends: {type(error).__name__}: {error}.\n")
            sys.stderr.flush()
        finally:
            os._exit(status)
    os.close(descriptor)
    return pid


def _end(pid: int) -> int:
    """Kill a child unless it has ended.

    Returns:
        The signal that ended it, 0 if it ended without one, or ``NEVER_READY``.
    """
    os.kill(pid, signal.SIGKILL)  # the child is not reaped yet, so no other process can have its PID
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    return NEVER_READY if os.WEXITSTATUS(status) == _NEVER_READY_STATUS else 0


def _serve(end: socket.socket, works: Mapping[str, Work], memory: OwnMemory) -> None:
    """Work on requests until the caller closes the connection; send one reply per item, in their order."""
    at_start_bytes = memory.resident_bytes()
    while True:
        held_bytes = memory.resident_bytes() - at_start_bytes
        if held_bytes > _MUCH_BYTES or (held_bytes > _IDLE_BYTES and not select([end], [], [], _IDLE_S)[0]):
            give_memory_back()
        try:
            request, blobs = frames.receive(end)
        except frames.Closed:
            return
        remaining = iter(blobs)
        del blobs
        for count in request["blobs_of_item"]:
            item = [next(remaining) for _ in range(count)]
            start_clock(request["cpu_s"])
            header, parts = _reply(works[request["work"]], request["arguments"], item)
            start_clock(0)
            frames.send(end, header, parts)
            del item, parts  # or megabytes stay in memory until the next request
        del remaining  # the iterator holds the list of blobs until it is exhausted
        frames.send(end, {"retire": memory.resident_bytes() > at_start_bytes + _MAX_BYTES}, [])


def _reply(work: Work, arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    try:
        result, blobs = work(arguments, item)
    except MemoryError:
        return {"failed": "memory"}, []
    except Exception:  # the top of this process: a bug, which the caller logs
        return {"failed": "bug", "traceback": traceback.format_exc()[-4000:]}, []
    return {"result": result}, blobs


if __name__ == "__main__":
    main(sys.argv[1:])
