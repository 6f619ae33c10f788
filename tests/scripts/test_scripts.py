"""The scripts that people run start however they are called, and say in one sentence what stops them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from PIL import Image

from checker.evaluation.provenance import ROOT, provenance
from scripts import benchmark_accuracy, benchmark_pipeline, benchmark_speed, calibrate, compare_scores
from scripts.speed.variants import make_variants

CHILDREN = {"speed_prepare", "speed_worker"}
"""Started by other scripts only."""
SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "scripts").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text("utf-8") and path.stem not in CHILDREN
)
PICTURES = Path(skimage.__file__).parent / "data"
LITE0 = "efficientnet_lite0"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_starts_by_its_path_and_as_a_module(script: str) -> None:
    for way in ([f"scripts/{script}.py"], ["-m", f"scripts.{script}"]):
        done = subprocess.run(
            [sys.executable, *way, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_readme_has_a_command_for_each_script(script: str) -> None:
    text = (ROOT / "scripts/README.md").read_text("utf-8")
    assert f"| `python scripts/{script}.py" in text
    assert "pip install -r requirements-bench.txt" in text


@pytest.mark.parametrize(
    ("script", "arguments", "package", "file"),
    [
        ("benchmark_pipeline", ["--quick"], "psutil", "requirements-bench.txt"),
        ("screenshot", ["http://127.0.0.1:1", "x.png"], "playwright", "requirements-dev.txt"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command_that_does(
    script: str, arguments: list[str], package: str, file: str
) -> None:
    without = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = {[f'{script}.py', *arguments]!r}; "
        f"runpy.run_path('scripts/{script}.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"{script}: not installed here: {package}. This installs it: pip install -r {file}\n"
    )


def test_a_form_whose_package_is_missing_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(Exception, match=r"nncf.*pip install -r requirements-bench\.txt"):
        make_variants(LITE0, tmp_path, ["openvino-int8"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--database-url", "postgresql://ada:hunter2@db.example.org/cats"],
        ["--database-url=postgresql://ada:hun@ter2/@db.example.org/cats"],
        ["--any", "postgresql://db.example.org/cats?user=ada&password=hunter2"],
        ["postgresql+psycopg://:hunter2@db.example.org"],
    ],
)
def test_where_a_number_comes_from_holds_no_password(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts/x.py"), *arguments, "--json", "made.json"])
    made = provenance()
    assert made["command"].startswith("python scripts/x.py ")
    assert made["command"].endswith(" --json made.json")
    for secret in ("hun", "ter2", "ada", "example.org"):
        assert secret not in json.dumps(made)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database-url", "nonsense"], "--database-url takes postgresql://user:password@host/name"),
        (["--database-url", "sqlite:///x"], "--database-url takes postgresql://user:password@host/name"),
        (["--database-url", "postgresql://u:hunter2@h:x/n"], "takes postgresql://user:password@host/name"),
        (
            ["--database-url", "postgresql://u:hunter2@127.0.0.1:1/n"],
            "The database postgresql+psycopg://u:***@127.0.0.1:1/n does not answer: ",
        ),
        (["--photos", "/nope"], "the folder /nope does not exist"),
    ],
)
def test_the_pipeline_benchmark_says_what_it_can_not_use(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_pipeline.main(["--quick", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--variants", "torch-int3"], "no variant torch-int3"),
        (["--models", "resnet1000", "--variants", "torch-fp32"], "no model called 'resnet1000'"),
    ],
)
def test_the_speed_benchmark_says_what_it_does_not_know(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_speed.main(["--quick", *arguments]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[int], Path]:
    """A folder with so many photos of either label."""

    def make(count: int) -> Path:
        for label, name in (("cat", "chelsea.png"), ("not_cat", "coffee.png")):
            (tmp_path / label).mkdir()
            with Image.open(PICTURES / name) as picture:
                for number in range(count):
                    turned = picture.convert("RGB").resize((80, 80)).rotate(number)
                    turned.save(tmp_path / label / f"{number:02}.jpg")
        return tmp_path

    return make


@pytest.mark.parametrize("script", [calibrate, benchmark_accuracy, compare_scores])
def test_a_photo_that_can_not_be_read_is_named(
    script: object, labelled: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = labelled(50)
    (folder / "cat" / "01.jpg").write_bytes(b"junk")
    model = "--models" if script is benchmark_accuracy else "--model"
    assert script.main([str(folder), model, LITE0]) == 2  # type: ignore[attr-defined]
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{folder / 'cat' / '01.jpg'} cannot be read: This file is not a photo" in last


@pytest.mark.parametrize("script", [calibrate, benchmark_accuracy, compare_scores])
def test_a_folder_that_is_not_there_is_named(script: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["/nope"]) == 2  # type: ignore[attr-defined]
    assert capsys.readouterr().err.endswith(": /nope: no such folder or labels.csv\n")


def test_too_few_photos_are_counted_before_they_are_measured(
    labelled: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = labelled(50)
    (folder / "cat" / "49.jpg").unlink()
    assert calibrate.main([str(folder), "--model", LITE0]) == 2
    told = capsys.readouterr().err
    assert "at least 50 photos of either label are needed; there are 49 of cat and 50 of not_cat" in told
    assert told.count("\n") == 1


def test_comparing_scores_writes_where_it_is_told_to_and_nowhere_else(
    labelled: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def results() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (ROOT / "scripts/results").rglob("*")}

    before, folder, file = results(), labelled(5), tmp_path / "new" / "scores.json"
    assert compare_scores.main([str(folder), "--repeats", "1"]) == 0
    told = capsys.readouterr()
    assert "auc 1.00000" in told.out
    assert f"{LITE0}, torch fp32: 10 photos" in told.err
    assert results() == before
    assert compare_scores.main([str(folder), "--repeats", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["data"]["counts"] == {"cat": 5, "not_cat": 5}
