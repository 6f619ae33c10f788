"""The command line as a process: signals, closed and full outputs, and limits of the system."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from catloader.cli.groups import _one_line_errors
from tests.support.environ import environ_without_settings


def test_ctrl_c_during_the_imports_leaves_no_traceback() -> None:
    # -v prints each import. That is more than a pipe holds, so the imports wait until the test reads.
    command = [sys.executable, "-v", "-m", "catloader", "settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("import 'click' ") for line in lines)
        process.send_signal(signal.SIGINT)
        rest = "".join(lines)
    assert "Traceback" not in rest
    assert process.returncode == 128 + signal.SIGINT


def test_ctrl_c_in_a_long_command_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = ["upload", str(tmp_path / "token"), "--server", url, "--token-file", str(tmp_path / "token")]
        command = [sys.executable, "-m", "catloader", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                output = process.communicate(timeout=60)
    assert (process.returncode, output) == (128 + signal.SIGINT, ("", "Stopped by Ctrl-C.\n"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["serve"], ["worker"], ["checker", "serve"]], ids=" ".join)
def test_the_first_line_of_a_long_running_command_is_in_the_format_of_the_log(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    settings = {"CATLOADER_DATA_DIR": str(tmp_path / "file"), "CATLOADER_LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "catloader", *words]
    environ = environ_without_settings() | settings
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "is a file" in ended.stderr
    (line,) = ended.stdout.splitlines()
    assert json.loads(line)["message"].startswith("Starting ")


@pytest.mark.parametrize(
    "words",
    [
        ["catloader", "settings"],
        ["catloader", "--help"],
        ["catloader", "--version"],
        ["catloader", "user", "--help"],
        ["checker", "--help"],
        ["checker", "explain", "--help"],
    ],
    ids=" ".join,
)
def test_a_closed_reader_of_the_output_gets_no_message(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", *words]
    answer = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (128 + signal.SIGPIPE, "")


def test_a_removed_working_folder_is_reported_in_one_sentence(tmp_path: Path) -> None:
    removed = tmp_path / "gone"
    removed.mkdir()
    start = f"rmdir {removed}; exec {sys.executable} -m catloader serve"
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    answer = subprocess.run(
        ["sh", "-c", start], cwd=removed, env=environ, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr == (
        "Error: The folder in which this command was started no longer exists; change to another.\n"
    )


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("settings", "The output can't be written: No space left on device."),
        # The site starts although its first line can't be written.
        ("serve", "The data folder /dev/null is a file, or is below a file."),
    ],
)
def test_output_on_a_full_disk_is_reported_in_one_sentence(command: str, error: str) -> None:
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


def test_a_file_larger_than_the_limit_is_reported_in_one_sentence() -> None:
    sentence = r"^out\.csv can't be written: File too large\.$"
    with pytest.raises(click.ClickException, match=sentence), _one_line_errors():
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), "out.csv")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        OSError(errno.EIO, os.strerror(errno.EIO), "photo.jpg"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)),  # without a path to name
    ],
    ids=["a bug", "a failing disk", "no name"],
)
def test_an_unexpected_error_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, _one_line_errors():
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["catloader", "--help"], "Error: The output can't be written: No space left on device.\n"),
        (["catloader", "--version"], "Error: The output can't be written: No space left on device.\n"),
        (["checker", "--help"], "checker: The output can't be written: No space left on device.\n"),
    ],
    ids=["catloader --help", "catloader --version", "checker --help"],
)
def test_help_that_cannot_be_written_is_reported_in_one_sentence(words: list[str], sentence: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", *words]
        answer = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert answer.returncode != 0
    assert answer.stderr == sentence


def test_an_invalid_time_zone_is_reported_in_one_sentence() -> None:
    command = [sys.executable, "-m", "catloader", "settings"]
    environ = {**os.environ, "TZ": f":{Path(__file__)}"}
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: TZ names a file that is not a time zone (")
    assert answer.stderr.count("\n") == 1


_DESCRIPTORS = """
import os, sys
from checker.process.exits import open_standard_streams
open_standard_streams()
fourth = os.dup(0)
sys.stderr.write("progress")
report = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)]
open(sys.argv[1], "w").write(f"{report} {fourth > 2}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_descriptors_of_closed_standard_streams_are_not_reused_for_other_files(tmp_path: Path) -> None:
    report = tmp_path / "report"
    script = f'exec "$0" -c "$1" "{report}" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", script, sys.executable, _DESCRIPTORS], check=True)
    assert report.read_text() == f"{['/dev/null'] * 3} True"


_NO_THREADS = """
import resource, sys, threading
import click
from catloader.cli.groups import OneLineErrors

@click.group(cls=OneLineErrors)
def main(): pass

@main.command()
def start():
    if sys.argv[1:]:
        raise eval(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
    threading.Thread(target=print).start()

main(["start"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other system enforces the limit")
@pytest.mark.usefixtures("unmeasured")
def test_a_system_without_threads_is_reported_in_one_sentence() -> None:
    for error in ((), ["MemoryError()"], ["BlockingIOError(11, 'Resource temporarily unavailable')"]):
        command = [sys.executable, "-c", _NO_THREADS, *error]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 1
        assert answer.stderr.startswith("Error: The system allows no further thread:")
        assert answer.stderr.count("\n") == 1
