"""Command-line arguments of the folder tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker import __version__
from checker.__main__ import main
from checker.folder.arguments import USAGE, CheckOptions, ExplainOptions, parse
from models.catalogue import default_weights_dir


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'PATH...'"),
        (["--json", "--csv", "x"], "--json and --csv can't be used together"),
        (["--js", "x"], "--js"),  # the wording depends on click's version
        (["--max-false-positive-rate", "0", "x"], "0 is not a number between 0.0001 and 0.5"),
        (["--max-false-positive-rate", "abc", "x"], "abc is not a number between 0.0001 and 0.5"),
        (["--max-false-negative-rate", "nan", "x"], "nan is not a number between 0.0001 and 0.5"),
        (["--device", "tpu", "x"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["--workers", "-1", "x"], "-1 is not a whole number between 0 and 256"),
        (["--workers", "x", "x"], "x is not a whole number between 0 and 256"),
        (["--profiles", "/nowhere", "x"], "Directory '/nowhere' does not exist"),
        (["--resume", "/nowhere/v.jsonl", "x"], "there is no folder /nowhere"),
        (["--megadetector", "/", "x"], "/ is a folder"),
        (["--megadetector", "/dev/null", "x"], "/dev/null is not a regular file"),
        (["--resume", "v", "--megadetector", "v", "x"], "--resume and --megadetector can't be one file"),
        (
            ["--resume", "/v", "--megadetector", "/tmp/../v", "x"],
            "--resume and --megadetector can't be one file",
        ),
        (["--resume", "/dev/full", "x"], "/dev/full is not a regular file"),
        (["explain", "x"], "Missing option '-o' / '--output'"),
        (["explain", "x", "-o", "x.jpg"], "x.jpg does not end in .png"),
        (["explain", "x", "-o", "/nowhere/x.png"], "there is no folder /nowhere"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse(arguments) == USAGE
    stderr = capsys.readouterr().err
    assert "Usage: python -m checker" in stderr
    assert message in stderr


def test_no_option_replaces_a_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, results = tmp_path / "a.png", tmp_path / "results.json"
    photo.write_bytes(b"\x89PNG")
    results.write_text('{"images": []}')
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    assert parse(["explain", str(photo), "-o", str(link)]) == USAGE
    assert "The PNG would replace the photo: choose another name." in capsys.readouterr().err
    assert parse(["--megadetector", str(photo), str(photo)]) == USAGE  # the file's name was forgotten
    assert f"{photo} is not a file of results: choose another name." in capsys.readouterr().err
    assert isinstance(parse(["--megadetector", str(results), str(photo)]), CheckOptions)


def test_arguments_become_options(tmp_path: Path) -> None:
    check = parse(
        ["a", "--json", "b\udce9", "--profiles", str(tmp_path), "--profiles", "/", "--workers", "3"]
    )
    assert isinstance(check, CheckOptions)
    assert check.paths == ("a", "b\udce9")  # a name that is not UTF-8
    assert (check.as_json, check.as_csv, check.workers) == (True, False, 3)
    assert check.profiles == (tmp_path, Path("/"))
    assert (check.max_false_positive_rate, check.max_false_negative_rate) == (0.01, 0.01)
    assert check.weights_dir == default_weights_dir()
    assert (check.resume, check.megadetector) == (None, None)
    explain = parse(["explain", "x", "-o", str(tmp_path / "why.PNG"), "--weights-dir", "w"])
    assert isinstance(explain, ExplainOptions)
    assert (explain.photo, explain.output, explain.weights_dir) == ("x", tmp_path / "why.PNG", Path("w"))


def test_an_empty_weights_folder_is_not_the_current_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["x", "--weights-dir", ""]) == USAGE
    assert "Invalid value for '--weights-dir': It is empty" in capsys.readouterr().err


def test_the_last_of_repeated_options_wins() -> None:
    """``catloader check files`` needs this: the site's settings come first, then the typed options."""
    options = parse(["--device", "cpu", "--model", "resnet18", "--device", "auto", "--model", "auto", "x"])
    assert isinstance(options, CheckOptions)
    assert (options.device, options.model) == ("auto", "auto")


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--version"]) == 0
    assert capsys.readouterr().out == f"checker {__version__}\n"


def test_help_ends_with_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h"], ["explain", "--help"]):
        assert parse(arguments) == 0
        assert "Exit codes:" in capsys.readouterr().out


def test_a_file_that_can_not_be_read_or_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 300
    assert main(["explain", name, "-o", "x.png"]) == USAGE
    assert capsys.readouterr().err == f"checker: {name} can't be read or written: File name too long.\n"
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["."]) == USAGE
    assert capsys.readouterr().err == "checker: The current folder does not exist any more.\n"
