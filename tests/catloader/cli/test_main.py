"""The command line before a command is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def test_ctrl_c_during_the_imports_leaves_no_traceback() -> None:
    # -v prints each import, more bytes than a pipe holds: the imports wait until the test reads.
    command = [sys.executable, "-v", "-m", "catloader", "settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("import 'click' ") for line in lines)
        process.send_signal(signal.SIGINT)
        rest = "".join(lines)
    assert "Traceback" not in rest
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.parametrize("command", ["serve", "demo", "worker", "settings"])
def test_a_removed_working_folder_is_one_sentence(command: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    start = f"rmdir {gone}; exec {sys.executable} -m catloader {command}"
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    answer = subprocess.run(
        ["sh", "-c", start], cwd=gone, env=environ, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr == (
        "Error: The folder in which this command was started is removed; change to another.\n"
    )


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("settings", "The output can't be written: No space left on device."),
        ("serve", "The data folder /dev/null is a file, or lies below one."),  # it starts without its output
    ],
)
def test_output_on_a_full_disk_is_one_sentence(command: str, error: str) -> None:
    environ = {**os.environ, "CATLOADER_DATA_DIR": "/dev/null", "PYTHONUNBUFFERED": "1"}
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "catloader", command],
            env=environ,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (answer.returncode, answer.stderr) == (1, f"Error: {error}\n")
