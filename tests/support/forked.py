"""Commands of the site in forks of a process that has imported it.

The imports take more than a second of a core, and the tests start about 150 sites and workers.
``tests/acceptance/test_make_run.py`` starts new interpreters, as users do.

As a program, this module is the process that forks. For each line of JSON that it reads, it prints the
process id of the child, and at the child's end the id and the exit code.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest import mock

from checker.process.garbage import postpone_full_collections
from tests.support import run_folder

_ROOT = Path(__file__).parents[2]
_ENVIRON = dict(os.environ)
_READ_AT_START = re.compile(r"(LD_|GLIBC_|MALLOC_|LANG|LC_|COV|OMP_|OPENBLAS_).*|TZ|TMPDIR|PYTHON(?!PATH$).*")
_IMPORTED = (
    "catloader.cli",
    "catloader.web",
    "catloader.server.checking",
    "catloader.server.commands",
    "zxcvbn",  # the lists for the first new password
)


class Forked:
    """A running command, with the methods of ``subprocess.Popen`` that the tests use."""

    def __init__(self, server: _Server, pid: int) -> None:
        self.pid, self._server = pid, server
        self.returncode: int | None = None
        self._lock = threading.Lock()
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended
            self.returncode = server.exit_code(pid)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the command is running."""
        return self._exit_code(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._exit_code(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def _exit_code(self, timeout_s: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._descriptor], [], [], timeout_s)[0]:
                os.close(self._descriptor)
                self.returncode = self._server.exit_code(self.pid)
            return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Command = Forked | subprocess.Popen[bytes]


def start(module: str, words: Sequence[str], environ: Mapping[str, str], output: Path) -> Command:
    """Start ``python -m MODULE WORDS`` and append its output to a file.

    A new interpreter runs it outside of a test run, where figures are published, and if ``environ`` has other
    variables for the start of a program than this process had.
    """
    with output.open("ab") as log:  # so that the caller finds the file
        if run_folder.parent() is None or _for_the_start(environ) != _for_the_start(_ENVIRON):
            command = [sys.executable, "-m", module, *words]
            return subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        return _server().start([module, *words], dict(environ), output)


def _for_the_start(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the linker, the interpreter and libraries read when they start."""
    return {name: value for name, value in environ.items() if _READ_AT_START.fullmatch(name)}


class _Server:
    """The process that forks; it ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(run_folder.path())],
            env=_ENVIRON,
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        self._exit_codes: dict[int, int] = {}

    def start(self, words: list[str], environ: dict[str, str], output: Path) -> Forked:
        assert self._process.stdin
        with self._lock:
            self._process.stdin.write(json.dumps([words, environ, str(Path.cwd()), str(output)]) + "\n")
            self._process.stdin.flush()
            while len(numbers := self._numbers()) == 2:
                self._exit_codes[numbers[0]] = numbers[1]
        return Forked(self, numbers[0])

    def exit_code(self, pid: int) -> int:
        """Return the exit code of a child that has ended."""
        with self._lock:
            while pid not in self._exit_codes:
                ended, code = self._numbers()
                self._exit_codes[ended] = code
            return self._exit_codes.pop(pid)

    def _numbers(self) -> list[int]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process that forks has died"
        return [int(number) for number in line.split()]

    def close(self) -> None:
        self._process.communicate()


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def _next_command() -> list[str]:
    """Fork for each line of standard input, and return its command in the child; the parent never returns."""
    children: dict[int, int] = {}
    while True:
        for descriptor in select.select([0, *children], [], [])[0]:
            if pid := children.pop(descriptor, 0):
                os.close(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(1, f"{pid} {code}\n".encode())
            elif line := sys.stdin.readline():
                words, environ, folder, output = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _become_command(environ, folder, output, children)
                    return list(words)
                children[os.pidfd_open(pid)] = pid
                os.write(1, f"{pid}\n".encode())
            else:
                os._exit(0)


def _become_command(environ: dict[str, str], folder: str, output: str, others: Iterable[int]) -> None:
    """Give a child the environment, folder and descriptors that ``subprocess.Popen`` would give it."""
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, number)
    for descriptor in {nothing, log, *others}:
        os.close(descriptor)


def _start_less(shared: Path) -> None:
    """Save half a second of a core in the start of a site and its first pages.

    Sites share compiled templates, in the folder ``shared``. Their object stores collect garbage as Go
    programs usually do: with the shipped setting, half of the work of a start is collections.
    """
    from flask import Flask
    from jinja2 import FileSystemBytecodeCache

    from catloader.store.s3 import seaweedfs

    compiled = shared / "templates"
    compiled.mkdir(exist_ok=True)
    Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(str(compiled))}
    own = seaweedfs.environment
    mock.patch.object(seaweedfs, "environment", lambda folder: own(folder) | {"GOGC": "100"}).start()


if __name__ == "__main__":
    postpone_full_collections()
    for _name in _IMPORTED:
        import_module(_name)
    import_module("catloader.server.commands").import_server()
    _start_less(Path(sys.argv[1]))
    _module, *_words = _next_command()
    sys.argv = [_module, *_words]
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
