"""Child processes: their environment, their open files, and that they end with their parent."""

from __future__ import annotations

import select
import subprocess
import sys
from pathlib import Path

from catloader.processes import start_child

_ROOT = Path(__file__).resolve().parents[2]
_PARENT = """
import os, signal, sys
from catloader.processes import start_child
# The child prints that it runs, and keeps its end of the pipe open.
command = [sys.executable, "-c", "import time; print('running', flush=True); time.sleep(60)"]
start_child(command, env=os.environ, stdout=1)
signal.pause()
"""


def test_child_ends_with_a_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=_ROOT) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"running\n"
        parent.kill()
        assert select.select([parent.stdout], [], [], 10)[0], "the child still holds its end of the pipe"
        assert parent.stdout.read() == b""


def test_child_gets_the_given_environment_files_and_its_own_session(tmp_path: Path) -> None:
    report = (
        "import os, sys; print(os.getsid(0), sorted(os.environ)); os.write(int(sys.argv[1]), b'kept open')"
    )
    output, kept = tmp_path / "output", tmp_path / "kept"
    with output.open("wb") as log, kept.open("wb") as file:
        child = start_child(
            [sys.executable, "-I", "-c", report, str(file.fileno())],
            env={"LC_ALL": "C.UTF-8"},
            stdout=log,
            keep_open=[file.fileno()],
        )
        assert child.wait(60) == 0
    assert output.read_text() == f"{child.pid} ['LC_ALL']\n"
    assert kept.read_text() == "kept open"
