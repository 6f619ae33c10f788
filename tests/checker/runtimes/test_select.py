"""Which form of a network may check: the fastest that is measured to hold what was asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker.decision.head import Head
from checker.decision.operating_point import UNCALIBRATED, ThresholdRule
from checker.decision.profile import OperatingPoint, Profile, ProfileKey, Rate
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.evaluation.golden import golden_test
from checker.runtimes.load import load_classifier
from checker.runtimes.select import RuntimeRequest, load_checker
from models.catalogue import class_names
from models.openvino_ir import manifests, write_manifest
from tests.support import openvino_variants as forms

HOUSE_CAT = load_subject("house_cat")
STRICTEST = 0.01


@pytest.fixture
def asked(tmp_path: Path) -> RuntimeRequest:
    """All by itself, with no profile and no OpenVINO form of one's own so far."""
    return RuntimeRequest(
        device="cpu",
        runtime="auto",
        precision="auto",
        max_fpr=STRICTEST,
        max_fnr=STRICTEST,
        profile_folders=(tmp_path / "profiles",),
        weights_dir=tmp_path / "weights",
    )


def chosen(asked: RuntimeRequest) -> tuple[str, str, bool]:
    """Runtime, precision, and whether it is calibrated."""
    classifier, rule = load_checker(forms.ENTRY, forms.weights(), HOUSE_CAT, asked)
    classifier.close()
    return classifier.model_info.runtime, classifier.model_info.precision, rule.profile_id != UNCALIBRATED


def measured(
    asked: RuntimeRequest,
    runtime: str,
    precision: str,
    *,
    target: float = STRICTEST,
    lost: float | None = None,
    golden_score: float | None = None,
) -> None:
    """A profile for this form, as ``scripts/calibrate.py`` leaves it; ``lost`` cats of a thousand by int8."""
    classifier = load_classifier(
        forms.ENTRY,
        forms.weights(),
        device="cpu",
        runtime=runtime,
        precision=precision,
        weights_dir=asked.weights_dir,
    )
    rate = Rate(10, 1000, 0.01, 0.002, 0.05)
    found = Rate(20, 1000, 0.98, 0.97, 0.99)
    profile = Profile(
        key=ProfileKey.of(classifier.model_info, classifier.preprocessing, HOUSE_CAT),
        model=forms.ENTRY.name,
        head=Head(),
        cat=(OperatingPoint(target, 0.5, rate, found),),
        not_cat=(OperatingPoint(target, 0.1, rate, found),),
        fp32_recall={} if lost is None else {target: 0.98 + lost / 1000},
    )
    folder = asked.profile_folders[0]
    folder.mkdir(exist_ok=True)
    profile = golden_test(
        profile,
        classifier,
        folder,
        ThresholdRule(HOUSE_CAT, class_names(), profile=profile, max_fpr=1, max_fnr=1),
    )
    if golden_score is not None:
        profile = replace(profile, golden={**profile.golden, "score": golden_score})
    profile.save(folder / f"{runtime}-{precision}.json")
    classifier.close()


def make(asked: RuntimeRequest, precision: str) -> None:
    """As ``catloader models optimise`` does; made once for all tests."""
    _entry, manifest = forms.made(precision)
    asked.weights_dir.mkdir(exist_ok=True)
    for suffix in (".xml", ".bin", ".json"):
        source = manifest.path.with_suffix(suffix)
        (asked.weights_dir / source.name).write_bytes(source.read_bytes())


def test_where_nothing_is_measured_the_plainest_form_runs_and_says_so(asked: RuntimeRequest) -> None:
    assert manifests(forms.ENTRY, asked.weights_dir, "int8")  # the shipped one is there, and may not
    assert chosen(asked) == ("torch", "fp32", False)


def test_auto_takes_the_fastest_that_is_measured(asked: RuntimeRequest) -> None:
    measured(asked, "torch", "fp32")
    assert chosen(asked) == ("torch", "fp32", True)
    make(asked, "fp32")
    measured(asked, "openvino", "fp32")
    assert chosen(asked) == ("openvino", "fp32", True)
    measured(asked, "openvino", "int8", lost=4)
    assert chosen(asked) == ("openvino", "int8", True)
    assert chosen(replace(asked, runtime="torch", precision="fp32")) == ("torch", "fp32", True)
    assert chosen(replace(asked, precision="fp32")) == ("openvino", "fp32", True)


@pytest.mark.parametrize("lost", [6, None])
def test_int8_that_loses_more_than_half_a_point_never_serves(
    asked: RuntimeRequest, lost: float | None
) -> None:
    measured(asked, "torch", "fp32")
    measured(asked, "openvino", "int8", lost=lost)
    assert chosen(asked) == ("torch", "fp32", True)
    why = "finds 98.0% of the cats and fp32 98.6%" if lost else "does not tell how many cats fp32 finds"
    with pytest.raises(ModelRefused, match=why):
        chosen(replace(asked, precision="int8"))


def test_int8_that_nobody_measured_never_serves(asked: RuntimeRequest) -> None:
    with pytest.raises(ModelRefused, match="as many cats in int8 as in fp32"):
        chosen(replace(asked, precision="int8"))


def test_a_profile_too_lax_for_the_target_gives_way_to_a_slower_form(asked: RuntimeRequest) -> None:
    measured(asked, "openvino", "int8", target=0.05, lost=0)
    measured(asked, "torch", "fp32")
    assert chosen(asked) == ("torch", "fp32", True)
    assert chosen(replace(asked, max_fpr=0.05, max_fnr=0.05)) == ("openvino", "int8", True)
    with pytest.raises(ModelRefused, match="stricter than any measured"):
        chosen(replace(asked, max_fpr=0.001))


def test_a_form_that_fails_its_self_test_gives_way_and_the_last_one_refuses(
    asked: RuntimeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    measured(asked, "openvino", "int8", lost=0, golden_score=0.1)
    measured(asked, "torch", "fp32")
    assert chosen(asked) == ("torch", "fp32", True)
    assert "openvino int8 does not check: The self-test" in caplog.text
    measured(asked, "torch", "fp32", golden_score=0.1)
    with pytest.raises(ModelRefused, match=r"self-test of profile efficientnet_lite0-torch-fp32"):
        chosen(asked)


def test_a_broken_form_stops_only_who_asks_for_it(
    asked: RuntimeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    measured(asked, "torch", "fp32")
    asked.weights_dir.mkdir()
    (asked.weights_dir / f"{forms.ENTRY.name}-fp32-broken.json").write_text("{")
    assert chosen(asked) == ("torch", "fp32", True)
    assert "openvino fp32 does not check" in caplog.text
    with pytest.raises(ModelRefused, match="can't be read"):
        chosen(replace(asked, runtime="openvino", precision="fp32"))


def test_an_altered_form_gives_way(asked: RuntimeRequest) -> None:
    measured(asked, "torch", "fp32")
    make(asked, "fp32")
    measured(asked, "openvino", "fp32")
    (numbers,) = asked.weights_dir.glob("*.bin")
    numbers.write_bytes(numbers.read_bytes()[:-1])
    assert chosen(asked) == ("torch", "fp32", True)
    with pytest.raises(ModelRefused, match="truncated or altered"):
        chosen(replace(asked, runtime="openvino", precision="fp32"))


def test_your_own_int8_without_a_profile_does_not_hide_the_shipped_one(asked: RuntimeRequest) -> None:
    measured(asked, "openvino", "int8", lost=0)  # of the shipped one
    (shipped,) = manifests(forms.ENTRY, asked.weights_dir, "int8")
    asked.weights_dir.mkdir()
    own = replace(shipped, bin_sha256="0" * 64, path=asked.weights_dir / f"{forms.ENTRY.name}-int8-own.xml")
    write_manifest(own)
    assert [manifest.weights_sha256 for manifest in manifests(forms.ENTRY, asked.weights_dir, "int8")] == [
        own.bin_sha256,
        shipped.bin_sha256,
    ]
    assert chosen(asked) == ("openvino", "int8", True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": "cuda"}, "torch finds no GPU"),
        ({"precision": "fp16"}, "does not run fp16 on cpu"),
        ({"runtime": "torch", "precision": "int8"}, "does not run int8"),
        ({"runtime": "openvino", "device": "cuda"}, "OpenVINO runs on the CPU"),
        ({"runtime": "openvino", "precision": "fp32"}, "models optimise efficientnet_lite0 --precision fp32"),
    ],
)
def test_what_cannot_run_is_refused_with_the_reason(
    asked: RuntimeRequest, changes: dict[str, Any], why: str
) -> None:
    if changes.get("device") == "cuda" and "runtime" not in changes:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("a GPU is here")
    with pytest.raises(ModelRefused, match=why):
        chosen(replace(asked, **changes))


def test_the_shipped_forms_hold_the_default_target() -> None:
    """What a newcomer gets: int8, measured, its files whole."""
    from checker.decision.operating_point import SHIPPED_PROFILES

    profiles = [json.loads(path.read_text()) for path in SHIPPED_PROFILES.glob("*.json")]
    (manifest,) = manifests(forms.ENTRY, Path("no such folder"), "int8")
    (int8,) = (profile for profile in profiles if profile["key"]["precision"] == "int8")
    assert int8["key"]["weights_sha256"] == manifest.weights_sha256
    assert manifest.source_sha256 == forms.ENTRY.sha256
