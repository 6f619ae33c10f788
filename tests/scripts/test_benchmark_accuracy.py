"""The accuracy benchmark: its gate can fail, its rules are what they claim, its report stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
from PIL import Image

from checker.decision.subject import SUBJECTS
from checker.values import Activations, Evidence
from scripts import benchmark_accuracy
from scripts._measure import Measured
from scripts.accuracy.gate import REGRESSION, BadGate, figures, load_gate, regressions
from scripts.accuracy.rules import BASELINES, rules
from scripts.accuracy.svg import Line, chart

PICTURES = Path(skimage.__file__).parent / "data"
LITE0 = "efficientnet_lite0"


def result(**figure: float) -> dict[str, Any]:
    """One model's result, good unless said otherwise."""
    got = {"recall": 0.99, "false_positive_rate": 0.005, "auc": 0.999, "ece": 0.01, **figure}
    ours = {name: {"rate": got[name]} for name in ("recall", "false_positive_rate")}
    fixed = {"0.003": {"rate": got.get("fixed", 0.98)}, "0.01": {"rate": 0.99}}
    model = {"rules": {"ours": ours}, "auc": got["auc"], "ece": got["ece"], "recall_at_fpr": fixed}
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


def test_a_gate_that_is_held_says_nothing() -> None:
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
        ("fixed", 0.96),
        ("auc", float("nan")),
    ],
)
def test_each_figure_that_falls_behind_is_named(figure: str, worse: float) -> None:
    found = regressions(result(**{figure: worse}), GATE)
    assert len(found) == 1
    assert LITE0 in found[0]


def test_a_model_that_was_not_measured_holds_no_gate() -> None:
    assert len(regressions(result(), {"resnet50": {"min_recall": 0.1}})) == 1


@pytest.mark.parametrize("text", ["{", "{}", '{"models": {}}', '{"models": {"a": {"min_recal": 0.9}}}', "[]"])
def test_a_gate_that_bounds_nothing_does_not_pass_for_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gate.json"
    path.write_text(text)
    with pytest.raises(BadGate, match="gate"):
        load_gate(path)


def test_the_rules_of_others_are_theirs() -> None:
    confidences = np.full((5, 1000), 1e-6)
    confidences[0, 281], confidences[0, 282] = 0.45, 0.45  # no single label over 0.8, nor needs it
    confidences[1, 281] = 0.85
    confidences[2, 281], confidences[2, 200] = 0.2, 0.7
    confidences[3, 200] = 0.9
    confidences[4, 287], confidences[4, 281] = 0.5, 0.4  # a lynx
    logits = np.log(confidences).astype(np.float32)
    nothing = np.zeros((5, 4), np.float32)
    measured = Measured(
        names=tuple("abcde"),
        labels=np.array(["cat", "cat", "cat", "not_cat", "wild_feline"]),
        evidence=Evidence(Activations(logits, nothing), Activations(logits, nothing)),
        data={"sha256": ""},
        photos_per_s=1,
        peak_bytes=1,
    )
    made, held_out = rules(measured, SUBJECTS["house_cat"], None, 0.01, 0.01)
    called = {rule.name: (rule.called.tolist(), rule.wild_called) for rule in made}
    cloud, photoprism, recognize = BASELINES
    assert not held_out
    assert called == {
        "ours": ([True, True, False, False], 0),
        cloud: ([False, True, False, False], 0),
        photoprism: ([True, True, False, False], 1),
        recognize: ([True, True, True, False], 1),
        "top-1": ([True, True, False, False], 0),
    }


def test_charts_are_well_formed_and_escape_their_names() -> None:
    from xml.etree import ElementTree

    svg = chart("A < B", [Line("x & y", [(0, 0), (1, 1)], [(0.5, 0.5, "<here>")])], x="a", y="b")
    assert ElementTree.fromstring(svg).tag == "svg"


@pytest.fixture
def few_photos(tmp_path: Path) -> Path:
    """scikit-image's own cat and others, some twice."""
    folder = tmp_path / "photos"
    for label, names in {"cat": ["chelsea.png"], "not_cat": ["coffee.png", "rocket.jpg"]}.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            picture = Image.open(PICTURES / name).convert("RGB")
            picture.save(folder / label / f"{Path(name).stem}.jpg")
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
                folder / label / f"{Path(name).stem}-2.jpg"
            )
    return folder


def test_a_run_measures_reports_and_fails_at_a_gate_that_is_not_held(
    few_photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gate, out, page = tmp_path / "gate.json", tmp_path / "new" / "out.json", tmp_path / "out.html"
    arguments = [str(few_photos), "--models", LITE0, "--gate", str(gate)]
    arguments += ["--json", str(out), "--html", str(page)]
    gate.write_text(json.dumps({"models": {LITE0: {"min_recall": 1.0, "max_false_positive_rate": 0.0}}}))
    assert benchmark_accuracy.main(arguments) == 0
    assert f"{LITE0}, torch fp32: 6 photos\n" in capfd.readouterr().err
    got = json.loads(out.read_text())
    assert figures(got["models"][LITE0])["recall"] == 1.0
    assert got["models"][LITE0]["profile_id"].startswith("efficientnet_lite0-torch-fp32-house_cat-")
    # Not "as served": a site takes the fastest form.
    assert got["models"][LITE0]["scores"] == "as with CATCHECK_RUNTIME=torch and CATCHECK_PRECISION=fp32"
    assert got["models"][LITE0]["photos_per_s"] > 0
    assert {"date", "commit", "command", "machine", "data"} <= set(got)
    html = page.read_text()
    assert html.count("<svg") == 3
    assert html.count("data:image/jpeg;base64,") == 6
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    gate.write_text(json.dumps({"models": {LITE0: {"min_recall_at_fpr_0.01": 1.1}}}))
    assert benchmark_accuracy.main(arguments) == REGRESSION


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("openvino-int4", "openvino has no precision 'int4'; it has auto, fp32, bf16, int8"),
        ("torch-int8", "torch has no precision 'int8'; it has auto, fp32, bf16, fp16"),
        ("onnx-fp32", "there is no runtime 'onnx'; there are torch, openvino"),
    ],
)
def test_a_form_that_does_not_exist_is_answered_with_those_that_do(
    few_photos: Path, form: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark_accuracy.main([str(few_photos), "--models", f"{LITE0}@{form}"]) == 2
    assert said in capsys.readouterr().err


def test_what_can_not_run_has_its_own_exit_code(few_photos: Path, tmp_path: Path) -> None:
    assert benchmark_accuracy.main([str(few_photos), "--models", "resnet1000"]) == 2
    assert benchmark_accuracy.main([str(tmp_path / "nowhere")]) == 2
    assert benchmark_accuracy.main([str(few_photos), "--gate", str(tmp_path / "none.json")]) == 2
