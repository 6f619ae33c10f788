"""Each script starts by its path and as a module, and reports in one sentence if it cannot run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from PIL import Image

from checker.evaluation.provenance import ROOT
from scripts import benchmark_accuracy, benchmark_pipeline, benchmark_speed, calibrate, compare_scores
from scripts.speed.variants import make_variants

SCRIPTS = sorted(
    path.stem
    for path in (ROOT / "scripts").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text("utf-8")
)
DATA = Path(skimage.__file__).parent / "data"
LITE0 = "efficientnet_lite0"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_starts_by_its_path_and_as_a_module(script: str, tmp_path: Path) -> None:
    # Without .pth files, because an editable installation of this checkout must not be needed.
    environ = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    for start, folder in (
        ([f"scripts/{script}.py"], ROOT),
        (["-m", f"scripts.{script}"], ROOT),
        ([str(ROOT / f"scripts/{script}.py")], tmp_path),
    ):
        done = subprocess.run(
            [sys.executable, "-S", *start, "--help"],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.lower().startswith("usage: ")


def test_numbers_of_all_scripts_have_bounds() -> None:
    unbounded = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "scripts").rglob("*.py")
        if re.search(r"\btype=(int|float)\b", path.read_text("utf-8"))
    ]
    assert not unbounded, "use number() of scripts/command_line.py"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_reports_errors_in_one_line(script: str) -> None:
    """The errors of ``report_errors`` in a subprocess: most scripts need minutes until something can fail."""
    assert "@report_errors\ndef main(" in (ROOT / f"scripts/{script}.py").read_text("utf-8")


@pytest.mark.parametrize(
    ("script", "settings", "sentence"),
    [
        ("lock", {"UV_OFFLINE": "1"}, "lock: uv found no versions; its messages are above."),
        (
            "make_bundle",
            {"PATH": ""},
            "make_bundle: The bundle can be made only in a clone, because git lists the files to include: "
            "git is not installed.",
        ),
    ],
)
def test_a_program_that_fails_or_is_missing_is_named(
    script: str, settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    environ = {**os.environ, "UV_CACHE_DIR": str(tmp_path), **settings}
    output = ["--output", str(tmp_path)] if script == "make_bundle" else []
    done = subprocess.run(
        [sys.executable, f"scripts/{script}.py", *output],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == sentence
    assert "Traceback" not in done.stderr


def test_lock_names_the_file_that_installs_uv(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    environ = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    command = [str(tmp_path / "python"), "scripts/lock.py"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "lock: not installed here: uv. This installs it: pip install -r requirements-dev.txt\n",
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_readme_has_a_command_for_each_script(script: str) -> None:
    text = (ROOT / "scripts/README.md").read_text("utf-8")
    assert f"| `python scripts/{script}.py" in text
    assert "pip install -r requirements-bench.txt" in text


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("compare_profiles", ["/no/such", "/no/other"], "argument FIRST: there is no folder /no/such"),
        ("make_recipe", ["/no/such.json"], "argument manifest: there is no file /no/such.json"),
        ("simulate_fleet", ["/no/such.json"], "there is no file /no/such.json"),
        ("benchmark_bulk", ["--engines", "x"], "[--engines local|ray|local,ray]"),
    ],
)
def test_a_missing_file_or_a_wrong_choice_is_named(script: str, arguments: list[str], sentence: str) -> None:
    command = [sys.executable, f"scripts/{script}.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("script", "arguments", "package", "file"),
    [
        ("benchmark_pipeline", ["--quick"], "psutil", "requirements-bench.txt"),
        ("benchmark_accuracy", ["photos"], "matplotlib", "requirements-bench.txt"),
        ("compare_scores", ["photos"], "sklearn", "requirements-bench.txt"),
        ("screenshot", [], "playwright", "requirements-dev.txt"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    script: str, arguments: list[str], package: str, file: str
) -> None:
    program = (
        f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = {[f'{script}.py', *arguments]!r}; "
        f"runpy.run_path('scripts/{script}.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"{script}: not installed here: {package}. This installs it: pip install -r {file}\n"
    )


def test_variants_whose_package_is_missing_are_not_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(Exception, match=r"nncf.*pip install -r requirements-bench\.txt"):
        make_variants(LITE0, tmp_path, ["openvino-int8"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--database-url", "nonsense"], "a database server is postgresql://user:password@host/name"),
        (["--database-url", "sqlite:///x"], "a database server is postgresql://user:password@host/name"),
        (
            ["--database-url", "postgresql://u:hunter2@h:x/n"],
            "a database server is postgresql://user:password@host/name",
        ),
        (
            ["--database-url", "postgresql://u:hunter2@127.0.0.1:1/n"],
            "The database postgresql+psycopg://u:***@127.0.0.1:1/n does not answer: ",
        ),
        (["--photos", "/nope"], "the folder /nope does not exist"),
    ],
)
def test_the_pipeline_benchmark_refuses_unusable_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_pipeline.main(["--quick", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "hunter2" not in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "torch-int3"], "no variant torch-int3"),
        (["--models", "resnet1000", "--variants", "torch-fp32"], "no model called 'resnet1000'"),
    ],
)
def test_the_speed_benchmark_refuses_unknown_names(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_speed.main(["--quick", *arguments]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that makes a folder with ``count`` photos of each label."""

    def make(count: int) -> Path:
        for label, name in (("cat", "chelsea.png"), ("not_cat", "coffee.png")):
            (tmp_path / label).mkdir()
            with Image.open(DATA / name) as photo:
                for number in range(count):
                    rotated = photo.convert("RGB").resize((80, 80)).rotate(number)
                    rotated.save(tmp_path / label / f"{number:02}.jpg")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("script", "photos", "variant"),
    [
        (calibrate, 50, ["--model", LITE0]),
        (benchmark_accuracy, 2, ["--models", f"{LITE0}@openvino-int8"]),
        (compare_scores, 5, ["--model", LITE0]),
    ],
)
def test_an_unreadable_photo_is_named(
    script: object,
    photos: int,
    variant: list[str],
    labelled: Callable[[int], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = labelled(photos)
    (folder / "cat" / "01.jpg").write_bytes(b"junk")
    assert script.main([str(folder), *variant]) == 2  # type: ignore[attr-defined]
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{folder / 'cat' / '01.jpg'}: This is not a photo" in last


@pytest.mark.parametrize("script", [calibrate, benchmark_accuracy, compare_scores])
def test_a_missing_folder_is_named(script: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["/nope"]) == 2  # type: ignore[attr-defined]
    assert capsys.readouterr().err.endswith(": /nope: no such folder or file\n")


def test_too_few_photos_are_refused_before_they_are_measured(
    labelled: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = labelled(50)
    (folder / "cat" / "49.jpg").unlink()
    assert calibrate.main([str(folder), "--model", LITE0]) == 2
    error = capsys.readouterr().err
    assert "at least 50 photos of either label are needed; there are 49 of cat and 50 of not_cat" in error
    assert error.count("\n") == 1


def test_comparing_scores_writes_only_to_the_given_file(
    labelled: Callable[[int], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def results() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (ROOT / "scripts/results").rglob("*")}

    before, folder, file = results(), labelled(5), tmp_path / "new" / "scores.json"
    assert compare_scores.main([str(folder), "--repeats", "1"]) == 0
    output = capsys.readouterr()
    assert "auc 1.00000" in output.out
    assert f"{LITE0}, torch fp32: 10 photos" in output.err
    assert results() == before
    assert compare_scores.main([str(folder), "--repeats", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["data"]["counts"] == {"cat": 5, "not_cat": 5}
