"""Arguments are checked before the work; Ctrl-C and errors of files are reported in one line."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from checker.evaluation.provenance import ROOT
from scripts import benchmark_accuracy
from scripts.accuracy.report.photo_table import COLUMNS
from scripts.command_line import existing_folder, new_file, number, report_errors, result_file

SCRIPT = """
import sys
from scripts.command_line import report_errors
sys.argv = ["some_script.py"]

@report_errors
def main():
    {}
    return 0

sys.exit(main())
"""
PRINTS = SCRIPT.format("print('x' * 100_000)")


def ending(error: BaseException) -> int:
    @report_errors
    def main() -> int:
        raise error

    return main()


def test_ctrl_c_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.endswith(": stopped by Ctrl-C\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("13, 'Permission denied', 'a.json'", "a.json cannot be read or written: Permission denied"),
        ("28, 'No space left on device'", "the output cannot be read or written: No space left on device"),
    ],
)
def test_an_error_of_a_file_is_reported_in_one_line(error: str, sentence: str) -> None:
    program = SCRIPT.format(f"print('kept'); raise OSError({error})")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "kept\n", f"some_script: {sentence}\n")


def test_other_errors_of_the_system_keep_their_traceback() -> None:
    with pytest.raises(ConnectionError):
        ending(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))


def test_a_closed_reader_and_a_full_disk_end_the_script_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRINTS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", PRINTS], cwd=ROOT, stdout=full, stderr=-1, check=False)
    assert done.returncode == 2
    assert done.stderr == b"some_script: the output cannot be read or written: No space left on device\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_the_output_cannot_hold_are_escaped(encoding: str) -> None:
    program = SCRIPT.format(r"print('written to caf\udce9/\u2192.json')")
    environ = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    arrow = b"\xe2\x86\x92" if encoding == "utf-8" else b"\\u2192"
    assert (done.returncode, done.stdout) == (0, b"written to caf\\udce9/" + arrow + b".json\n")


def test_a_script_without_output_streams_ends_normally() -> None:
    program = f"{sys.executable} -c {shlex.quote(PRINTS)} >&- 2>&-"
    assert subprocess.run(["sh", "-c", program], cwd=ROOT, check=False).returncode == 0


def test_a_file_that_cannot_be_written_is_refused_and_no_empty_one_is_left(tmp_path: Path) -> None:
    assert new_file(str(tmp_path / "new" / "a.json")) == tmp_path / "new" / "a.json"
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "kept.json").write_text("kept")
    assert new_file(str(tmp_path / "kept.json")).read_text() == "kept"
    for name in (str(tmp_path), "/proc/no/a.json", "/proc/a.json", str(tmp_path / "kept.json" / "a.json")):
        with pytest.raises(argparse.ArgumentTypeError, match="cannot be written: "):
            new_file(name)


def test_a_link_to_a_file_that_is_still_to_be_written_is_kept(tmp_path: Path) -> None:
    (tmp_path / "latest.json").symlink_to("today.json")
    (tmp_path / "circle.json").symlink_to("circle.json")
    new_file(str(tmp_path / "latest.json")).write_text("{}")
    assert (tmp_path / "today.json").read_text() == "{}"
    (tmp_path / "today.json").unlink()
    new_file(str(tmp_path / "latest.json"))
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be written: "):
        new_file(str(tmp_path / "circle.json"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle.json", "latest.json"]


def test_a_number_and_a_folder_are_checked(tmp_path: Path) -> None:
    assert (number(int, 1)("3"), number(float, 0.1, 0.5)("0.5")) == (3, 0.5)
    for parse, text, sentence in (
        (number(int, 1), "0", "0 is not a whole number of at least 1"),
        (number(int, 1), "x", "x is not a whole number of at least 1"),
        (number(float, 0.1, 0.5), "nan", "nan is not a number between 0.1 and 0.5"),
        (existing_folder, f"{tmp_path}/gone", "there is no folder .*/gone"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=sentence):
            parse(text)
    assert existing_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--threads", "0"], "argument --threads: 0 is not a whole number between 1 and 1024"),
        (["--max-fpr", "2"], "argument --max-fpr: 2 is not a number between 0.0001 and 0.5"),
        (["--corruptions", "x"], "argument --corruptions: x is not a whole number between 1 and 10000000"),
        (["--profiles", "/gone"], "argument --profiles: there is no folder /gone"),
        (["--json", "/proc/a.json"], "argument --json: /proc/a.json cannot be written"),
        (["--csv", "a", "--html", "../{}/a"], "--json, --html and --csv must be different files"),
    ],
)
def test_wrong_arguments_of_the_accuracy_benchmark_are_refused_before_it_measures(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        benchmark_accuracy.main([str(tmp_path), *(text.format(tmp_path.name) for text in arguments)])
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--html", "--csv"])
def test_a_result_never_replaces_another_file(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--csv labels.csv`` would destroy the labels of the photos."""
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\ncat.jpg,cat\n")
    with pytest.raises(SystemExit):
        benchmark_accuracy.main([str(tmp_path), option, str(labels)])
    assert f"argument {option}: {labels} is another file, and would be replaced" in capsys.readouterr().err


def test_a_result_replaces_that_of_an_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    for content in ("<!DOCTYPE html><html>", ""):
        path.write_text(content)
        assert result_file("<!doctype html>")(str(path)).read_text() == content
    assert ",".join(COLUMNS).startswith(benchmark_accuracy.TABLE)
