from __future__ import annotations

import argparse
import csv
import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import skimage
from PIL import Image

from catloader.settings import Settings
from scripts import benchmark_accuracy
from scripts.accuracy.gate import REGRESSION, BadGate, figures, load_gate, regressions
from scripts.accuracy.options import add_variant_options, named_variants
from scripts.accuracy.report.text import summary
from scripts.accuracy.rules import CATLOADER, Rule
from scripts.accuracy.run import count, served_sha256
from tests.scripts.accuracy.made_up import photo_score
from tests.support.processes import command_of

DATA = Path(skimage.__file__).parent / "data"
LITE0 = "efficientnet_lite0"
INT8 = f"{LITE0}@openvino-int8"
"""The variant of most tests here, because it is three times as fast as torch, the default."""


def result(**figure: float) -> dict[str, Any]:
    """Return one model's result that passes the gate, with the figures in ``figure`` replaced."""
    figures = {"recall": 0.99, "false_positive_rate": 0.005, "auc": 0.999, "ece": 0.01, **figure}
    rule = {name: {"rate": figures[name]} for name in ("recall", "false_positive_rate")}
    at_fpr = {"0.003": {"rate": figures.get("at_fpr", 0.98)}, "0.01": {"rate": 0.99}}
    model = {
        "rules": {CATLOADER: rule},
        "auc": figures["auc"],
        "ece": figures["ece"],
        "recall_at_fpr": at_fpr,
    }
    return {"models": {LITE0: model}}


GATE = {
    LITE0: {
        "min_recall": 0.98,
        "max_false_positive_rate": 0.01,
        "min_auc": 0.998,
        "max_ece": 0.02,
        "min_recall_at_fpr_0.003": 0.97,
    }
}


def test_a_passed_gate_gives_no_sentence() -> None:
    assert regressions(result(), GATE) == []
    exact = result(recall=0.98, false_positive_rate=0.01)
    assert regressions(exact, GATE) == []


@pytest.mark.parametrize(
    ("figure", "worse"),
    [
        ("recall", 0.97),
        ("false_positive_rate", 0.02),
        ("auc", 0.99),
        ("ece", 0.03),
        ("at_fpr", 0.96),
        ("auc", float("nan")),
    ],
)
def test_each_broken_limit_is_named(figure: str, worse: float) -> None:
    (sentence,) = regressions(result(**{figure: worse}), GATE)
    assert sentence.startswith(f"{LITE0}: ")


def test_a_model_that_was_not_measured_breaks_its_gate() -> None:
    assert len(regressions(result(), {"resnet50": {"min_recall": 0.1}})) == 1


@pytest.mark.parametrize("text", ["{", "{}", '{"models": {}}', '{"models": {"a": {"min_recal": 0.9}}}', "[]"])
def test_a_gate_without_a_known_limit_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.json"
    path.write_text(text)
    with pytest.raises(BadGate, match="gate"):
        load_gate(path)


def test_a_gate_may_begin_with_the_mark_of_an_editor_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    path.write_text('{"models": {"a": {"min_recall": 0.9}}}', encoding="utf-8-sig")
    assert load_gate(path) == {"a": {"min_recall": 0.9}}


def test_a_confusion_table_has_three_columns_and_the_summary_counts_the_unsure() -> None:
    verdicts = np.array(["cat"] * 98 + ["unsure", "not_cat"] + ["not_cat"] * 97 + ["unsure", "unsure", "cat"])
    positive = np.arange(200) < 100
    row = count(Rule(CATLOADER, np.zeros(200), verdicts, np.array(["unsure"])), positive)
    assert row["confusion"] == {
        "cat": {"cat": 98, "unsure": 1, "not_cat": 1},
        "not_cat": {"cat": 1, "unsure": 2, "not_cat": 97},
        "wild_feline": {"cat": 0, "unsure": 1, "not_cat": 0},
    }
    assert (row["recall"]["rate"], row["false_positive_rate"]["rate"]) == (0.98, 0.01)
    assert summary({"rules": {CATLOADER: row}}) == (
        "98 of 100 cats found, 1 of 100 others called cat, 3 left unsure."
    )


@pytest.fixture
def few_photos(tmp_path: Path) -> Path:
    """A folder with scikit-image's cat and other photos, some of them twice."""
    folder = tmp_path / "photos"
    for label, names in {"cat": ["chelsea.png"], "not_cat": ["coffee.png", "rocket.jpg"]}.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            image = Image.open(DATA / name).convert("RGB")
            image.save(folder / label / f"{Path(name).stem}.jpg")
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / label / f"{Path(name).stem}-2.jpg")
    return folder


def test_a_run_measures_reports_and_fails_at_a_broken_gate(
    few_photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gate, out, page = tmp_path / "gate.json", tmp_path / "new" / "out.json", tmp_path / "out.html"
    arguments = [str(few_photos), "--models", INT8, "--gate", str(gate)]
    arguments += ["--json", str(out), "--html", str(page), "--cache", str(tmp_path / "cache")]
    lines = tmp_path / "out.csv"
    arguments += ["--csv", str(lines), "--corruptions", "1", "--positions", "1"]
    gate.write_text(json.dumps({"models": {INT8: {"min_recall": 1.0, "max_false_positive_rate": 0.0}}}))
    assert benchmark_accuracy.main(arguments) == 0
    assert f"{LITE0}, openvino int8: 6 photos\n" in capfd.readouterr().err
    written = json.loads(out.read_text())
    assert figures(written["models"][INT8])["recall"] == 1.0
    assert written["models"][INT8]["profile_id"].startswith("efficientnet_lite0-openvino-int8-house_cat-")
    # Not "as served", because a site uses the fastest variant.
    assert written["models"][INT8]["scores"] == (
        "as with CATCHECK_RUNTIME=openvino and CATCHECK_PRECISION=int8"
    )
    assert written["models"][INT8]["photos_per_s"] > 0
    assert {"date", "commit", "command", "machine", "data"} <= set(written)
    model = written["models"][INT8]
    assert model["kinds"]["other"]["false_positive_rate"]["n"] == 4
    assert {family: len(rows) for family, rows in model["corruptions"].items()} == {
        "blur": 5, "small, enlarged": 5, "JPEG": 5, "darkness": 5, "noise": 5, "drawing": 7,
        "turned": 2, "watermark": 1, "frame": 2, "screen": 1,
    }  # fmt: skip
    assert all(row["recall"]["n"] == 1 for rows in model["positions"].values() for row in rows.values())
    rows = list(csv.DictReader(lines.read_text().splitlines()))
    assert [(row["file"], row["verdict"]) for row in rows[:2]] == [
        ("cat/chelsea-2.jpg", "cat"),
        ("cat/chelsea.jpg", "cat"),
    ]
    assert len(rows) == 6
    assert {row["profile"] for row in rows} == {model["profile_id"]}
    html = page.read_text()
    assert "2 of 2 cats found, 0 of 4 others called cat, 0 left unsure." in html
    assert html.count("<svg") == 1  # too few photos for curves
    assert html.count("data:image/jpeg;base64,") == 6
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    gate.write_text(json.dumps({"models": {INT8: {"min_recall_at_fpr_0.01": 1.1}}}))
    assert benchmark_accuracy.main(arguments) == REGRESSION
    captured = capfd.readouterr()
    assert "6 photos" not in captured.err, "the second report measured again"
    assert "scores of an earlier run" in captured.out
    assert json.loads(out.read_text())["models"][INT8]["kinds"] == model["kinds"]


def test_a_model_without_a_variant_is_measured_in_torch() -> None:
    parser = argparse.ArgumentParser()
    add_variant_options(parser)
    variants = named_variants(parser.parse_args(["--models", f"{LITE0},{INT8}"]), Settings())
    options = {name: (one.model, one.runtime, one.precision) for name, one in variants.items()}
    assert options == {LITE0: (LITE0, "torch", "auto"), INT8: (LITE0, "openvino", "int8")}


def test_a_killed_run_leaves_no_measuring_process(few_photos: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "scripts.benchmark_accuracy", str(few_photos), "--models", INT8]
    program += ["--cache", str(tmp_path), "--json", str(tmp_path / "x"), "--html", str(tmp_path / "y")]
    with subprocess.Popen(program, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL) as run:
        end_s, measuring = time.monotonic() + 60, list[psutil.Process]()
        while not measuring and time.monotonic() < end_s:
            children = psutil.Process(run.pid).children()
            measuring = [child for child in children if "spawn_main" in "".join(command_of(child))]
            time.sleep(0.01)
        run.kill()
    assert measuring
    assert psutil.wait_procs(measuring, timeout=60)[1] == []


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("openvino-int4", "openvino has no precision 'int4'; it has auto, fp32, bf16, int8"),
        ("torch-int8", "torch has no precision 'int8'; it has auto, fp32, bf16, fp16"),
        ("onnx-fp32", "there is no runtime 'onnx'; the runtimes are torch, openvino"),
    ],
)
def test_the_refusal_of_an_unknown_variant_names_the_known_ones(
    few_photos: Path, variant: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_accuracy.main([str(few_photos), "--models", f"{LITE0}@{variant}"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("error", [errno.EROFS, errno.ENOENT])
def test_a_machine_without_shared_memory_is_named(
    few_photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: int
) -> None:
    """As in a container without /dev/shm; the output was blamed."""

    def without_shared_memory(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("_multiprocessing.SemLock", without_shared_memory)
    assert benchmark_accuracy.main([str(few_photos), "--models", LITE0]) == 2
    reason = f"no process can be started, because it needs locks in /dev/shm: {os.strerror(error)}\n"
    assert capsys.readouterr().err.endswith(reason)


def test_a_run_that_cannot_start_exits_with_2(few_photos: Path, tmp_path: Path) -> None:
    assert benchmark_accuracy.main([str(few_photos), "--models", "resnet1000"]) == 2
    assert benchmark_accuracy.main([str(tmp_path / "nowhere")]) == 2
    assert benchmark_accuracy.main([str(few_photos), "--gate", str(tmp_path / "none.json")]) == 2


@pytest.mark.parametrize(
    ("change", "is_same"),
    [({"score": 0.5 + 1e-9}, True), ({"score": 0.50001}, False), ({"score": 0.5, "soft": True}, False)],
)
def test_the_digest_of_served_scores_differs_between_processors_with_other_results(
    change: dict[str, Any], is_same: bool
) -> None:
    first = served_sha256([photo_score(0.9), photo_score(0.5)])

    assert (served_sha256([photo_score(0.9), photo_score(**change)]) == first) is is_same


@pytest.mark.parametrize(
    ("option", "value"), [("--models", "resnet50"), ("--runtime", "openvino"), ("--cat-classes", "Ragdoll")]
)
def test_options_that_a_run_does_not_use_are_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark_accuracy.main(["--from-run", "nightly", option, value])
    message = f"--from-run takes variants and photos from the plans: leave out {option}\n"
    assert capsys.readouterr().err.endswith(message)
