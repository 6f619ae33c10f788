"""Runtime selection: the fastest variant whose profile meets the request checks."""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checker.decision.head import Head
from checker.decision.operating_point import UNCALIBRATED, ThresholdRule
from checker.decision.profile import OperatingPoint, Profile, ProfileKey, Rate
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.evaluation.golden import golden_test
from checker.ports import Classifier
from checker.runtimes.selection.load import load_classifier
from checker.runtimes.selection.reasons import fallback_message
from checker.runtimes.selection.select import load_checker, select_variant
from checker.runtimes.selection.self_test import SelfTestFailed
from checker.runtimes.selection.variants import RuntimeRequest, Variant, not_made
from models.catalogue import Entry, class_names, entry_named
from models.openvino_ir import Manifest, manifests, write_manifest
from models.quantise import SETTINGS
from tests.support import openvino_variants

HOUSE_CAT = load_subject("house_cat")
STRICTEST = 0.01
ENTRY = openvino_variants.ENTRY


@pytest.fixture
def request_(tmp_path: Path) -> RuntimeRequest:
    return request_in(tmp_path)


def request_in(folder: Path) -> RuntimeRequest:
    """A request with empty folders for profiles and for OpenVINO variants."""
    return RuntimeRequest(
        device="cpu",
        runtime="auto",
        precision="auto",
        max_fpr=STRICTEST,
        max_fnr=STRICTEST,
        profile_folders=(folder / "profiles",),
        weights_dir=folder / "weights",
    )


@functools.cache
def measured_classifier(runtime: str, precision: str) -> Classifier:
    """Load a variant once for all profiles that are written for it."""
    if (runtime, precision) == ("openvino", "fp32"):
        openvino_variants.made(precision)
    return load_classifier(
        ENTRY,
        openvino_variants.weights(),
        device="cpu",
        runtime=runtime,
        precision=precision,
        weights_dir=openvino_variants.folder("fp32"),
    )


def selected(request: RuntimeRequest) -> tuple[str, str, bool]:
    """Load the model; return runtime, precision, and whether it is calibrated."""
    classifier, rule = load_checker([(ENTRY, openvino_variants.weights())], HOUSE_CAT, request)
    classifier.close()
    return classifier.model_info.runtime, classifier.model_info.precision, rule.profile_id != UNCALIBRATED


def write_profile(
    request: RuntimeRequest,
    runtime: str,
    precision: str,
    *,
    target: float = STRICTEST,
    lost: float | None = None,
    golden_score: float | None = None,
) -> None:
    """Write a variant's profile as calibration does; ``lost``: cats per thousand that int8 loses."""
    classifier = measured_classifier(runtime, precision)
    false_positives = Rate(10, 1000, 0.01, 0.002, 0.05)
    recall = Rate(20, 1000, 0.98, 0.97, 0.99)
    profile = Profile(
        key=ProfileKey.of(classifier.model_info, classifier.preprocessing, HOUSE_CAT),
        model=ENTRY.name,
        head=Head(),
        cat=(OperatingPoint(target, 0.5, false_positives, recall),),
        not_cat=(OperatingPoint(target, 0.1, false_positives, recall),),
        soft=(OperatingPoint(target, 0.5, false_positives, recall),),
        fp32_recall={} if lost is None else {target: 0.98 + lost / 1000},
    )
    folder = request.profile_folders[0]
    folder.mkdir(exist_ok=True)
    rule = ThresholdRule(HOUSE_CAT, class_names(), profile=profile, max_fpr=1, max_fnr=1)
    profile = golden_test(profile, classifier, folder, rule)
    if golden_score is not None:
        profile = replace(profile, golden={**profile.golden, "score": golden_score})
    profile.save(folder / f"{runtime}-{precision}.json")


def add_openvino_variant(request: RuntimeRequest, precision: str) -> None:
    """Copy a variant, made once for all tests, to the folder of ``catloader models optimise``."""
    _entry, manifest = openvino_variants.made(precision)
    request.weights_dir.mkdir(exist_ok=True)
    for suffix in (".xml", ".bin", ".json"):
        source = manifest.path.with_suffix(suffix)
        (request.weights_dir / source.name).write_bytes(source.read_bytes())


def test_without_profiles_torch_fp32_runs_uncalibrated(request_: RuntimeRequest) -> None:
    assert manifests(ENTRY, request_.weights_dir, "int8")  # the shipped int8 is available, but not measured
    assert selected(request_) == ("torch", "fp32", False)


@pytest.mark.slow
def test_auto_selects_the_fastest_measured_variant(request_: RuntimeRequest) -> None:
    write_profile(request_, "torch", "fp32")
    assert selected(request_) == ("torch", "fp32", True)
    add_openvino_variant(request_, "fp32")
    write_profile(request_, "openvino", "fp32")
    assert selected(request_) == ("openvino", "fp32", True)
    write_profile(request_, "openvino", "int8", lost=4)
    assert selected(request_) == ("openvino", "int8", True)
    assert selected(replace(request_, runtime="torch", precision="fp32")) == ("torch", "fp32", True)
    assert selected(replace(request_, precision="fp32")) == ("openvino", "fp32", True)


@pytest.mark.parametrize("lost", [6, None])
def test_int8_that_loses_more_than_half_a_point_never_serves(
    request_: RuntimeRequest, lost: float | None
) -> None:
    write_profile(request_, "torch", "fp32")
    write_profile(request_, "openvino", "int8", lost=lost)
    assert selected(request_) == ("torch", "fp32", True)
    reason = "finds 98.0% of the cats and fp32 98.6%" if lost else "has no recall of fp32"
    with pytest.raises(ModelRefused, match=reason):
        selected(replace(request_, precision="int8"))


def test_unmeasured_int8_never_serves(request_: RuntimeRequest) -> None:
    with pytest.raises(ModelRefused, match="as many cats in int8 as in fp32"):
        selected(replace(request_, precision="int8"))


def test_a_profile_with_too_high_rates_gives_way_to_a_slower_variant(request_: RuntimeRequest) -> None:
    write_profile(request_, "openvino", "int8", target=0.05, lost=0)
    write_profile(request_, "torch", "fp32")
    assert selected(request_) == ("torch", "fp32", True)
    assert selected(replace(request_, max_fpr=0.05, max_fnr=0.05)) == ("openvino", "int8", True)
    with pytest.raises(ModelRefused, match="stricter than any measured"):
        selected(replace(request_, max_fpr=0.001))


def compiled_models() -> int:
    return sum(type(instance).__name__ == "_CompiledModel" for instance in gc.get_objects())


@pytest.mark.slow
@pytest.mark.processor
def test_a_variant_that_fails_its_self_test_is_replaced_and_the_last_one_is_refused(
    request_: RuntimeRequest, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    write_profile(request_, "openvino", "int8", lost=0, golden_score=0.1)
    write_profile(request_, "torch", "fp32")
    compiled = compiled_models()
    assert selected(request_) == ("torch", "fp32", True)
    assert "torch fp32 is used instead" in caplog.text
    assert compiled_models() == compiled, "the refused variant still holds its memory"
    write_profile(request_, "torch", "fp32", golden_score=0.1)
    for _ in range(2):  # the checker tries again at intervals
        with pytest.raises(ModelRefused, match=r"self-test of profile efficientnet_lite0-torch-fp32"):
            selected(request_)
    assert caplog.text.count("OpenVINO int8 is not used: The self-test") == 1


FP32 = Variant("torch", "fp32", None, None)


def int8_made(**made: str) -> Variant:
    manifest = Manifest(ENTRY.name, "int8", ENTRY.preprocessing.key, ENTRY.sha256, "", "", made)
    return Variant("openvino", "int8", manifest, None)


def test_the_log_says_why_int8_does_not_serve() -> None:
    failed, refused = SelfTestFailed("The self-test failed."), ModelRefused("No recall.")
    of_an_earlier_version, of_this_one = int8_made(), int8_made(quantisation=SETTINGS)
    assert fallback_message(of_an_earlier_version, failed, FP32, frozenset({"avx2"})) == (
        "OpenVINO int8 gives different results on this processor, so torch fp32 is used instead (slower). "
        "Nothing to do."
    )
    # With VNNI the processor is not the reason, nor if the self-test did not run, nor for today's int8.
    for variant, error, flags in (
        (of_an_earlier_version, failed, {"avx2", "avx_vnni"}),
        (of_an_earlier_version, refused, {"avx2"}),
        (of_this_one, failed, {"avx2"}),
    ):
        assert fallback_message(variant, error, FP32, frozenset(flags)) == (
            f"torch fp32 is used instead of OpenVINO int8: {error}"
        )


@pytest.mark.slow
def test_the_reasons_against_each_faster_variant_are_reported(request_: RuntimeRequest) -> None:
    write_profile(request_, "openvino", "int8", lost=6)
    add_openvino_variant(request_, "fp32")  # without a profile
    write_profile(request_, "torch", "fp32")
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, request_)
    choice.classifier.close()
    assert str(choice.variant) == "torch fp32"
    assert choice.not_made is None
    assert "torch fp32 is used instead of OpenVINO int8: at a false positive rate" in choice.why_not_faster
    assert "OpenVINO fp32 is not used: its error rates were not measured." in choice.why_not_faster


def test_no_reason_is_reported_if_the_fastest_variant_checks(request_: RuntimeRequest) -> None:
    write_profile(request_, "openvino", "int8", lost=0)
    write_profile(request_, "torch", "fp32")
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, request_)
    choice.classifier.close()
    assert (str(choice.variant), choice.why_not_faster) == ("OpenVINO int8", "")


def test_a_broken_manifest_refuses_only_a_request_for_openvino(
    request_: RuntimeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    request_.weights_dir.mkdir()
    (request_.weights_dir / f"{ENTRY.name}-fp32-broken.json").write_text("{")
    assert selected(request_) == ("torch", "fp32", True)
    assert "torch fp32 is used instead of OpenVINO fp32: " in caplog.text
    with pytest.raises(ModelRefused, match="can't be read"):
        selected(replace(request_, runtime="openvino", precision="fp32"))


def test_a_broken_manifest_does_not_hide_the_shipped_variant(request_: RuntimeRequest) -> None:
    write_profile(request_, "openvino", "int8", lost=0)
    request_.weights_dir.mkdir()
    broken = request_.weights_dir / f"{ENTRY.name}-int8-broken.json"
    broken.write_text("{")
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, request_)
    choice.classifier.close()
    assert (str(choice.variant), choice.why_not_faster) == (
        "OpenVINO int8",
        f"Another OpenVINO int8 is not used: {broken} can't be read; delete it, and make the variant again.",
    )


@pytest.mark.slow
def test_a_damaged_variant_that_can_be_made_again_is_reported_in_one_sentence(
    request_: RuntimeRequest,
) -> None:
    write_profile(request_, "torch", "fp32")
    add_openvino_variant(request_, "fp32")
    write_profile(request_, "openvino", "fp32")
    (weights,) = request_.weights_dir.glob("*.bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    only_fp32 = replace(request_, precision="fp32")
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, only_fp32)
    choice.classifier.close()
    assert choice.why_not_faster.startswith(
        f"torch fp32 is used until OpenVINO fp32 is made again: {weights.name} is truncated or altered"
    )
    assert "not made yet" not in choice.why_not_faster
    assert choice.once_made().why_not_faster == (
        "OpenVINO fp32 is made now, and checks from the next run on."
    )
    assert choice.not_makeable("the disk is full.").why_not_faster == (
        "OpenVINO fp32 is faster than torch fp32, but could not be made: the disk is full."
    )


@pytest.mark.slow
def test_a_truncated_variant_without_a_profile_is_replaced_too(request_: RuntimeRequest) -> None:
    add_openvino_variant(request_, "fp32")
    (weights,) = request_.weights_dir.glob("*.bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, request_)
    choice.classifier.close()
    assert str(choice.variant) == "torch fp32"
    assert choice.why_not_faster.startswith(
        f"torch fp32 is used until OpenVINO fp32 is made again: {weights.name} is truncated or altered"
    )
    with pytest.raises(ModelRefused, match="truncated or altered"):
        selected(replace(request_, runtime="openvino", precision="fp32"))


@pytest.mark.slow
def test_a_truncated_variant_gives_way(request_: RuntimeRequest) -> None:
    write_profile(request_, "torch", "fp32")
    add_openvino_variant(request_, "fp32")
    write_profile(request_, "openvino", "fp32")
    (weights,) = request_.weights_dir.glob("*.bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert selected(request_) == ("torch", "fp32", True)
    with pytest.raises(ModelRefused, match="truncated or altered"):
        selected(replace(request_, runtime="openvino", precision="fp32"))


def test_a_locally_made_int8_without_a_profile_does_not_hide_the_shipped_one(
    request_: RuntimeRequest,
) -> None:
    write_profile(request_, "openvino", "int8", lost=0)  # of the shipped one
    (shipped,) = manifests(ENTRY, request_.weights_dir, "int8")
    request_.weights_dir.mkdir()
    local = replace(shipped, bin_sha256="0" * 64, path=request_.weights_dir / f"{ENTRY.name}-int8-own.xml")
    write_manifest(local)
    assert [manifest.weights_sha256 for manifest in manifests(ENTRY, request_.weights_dir, "int8")] == [
        local.bin_sha256,
        shipped.bin_sha256,
    ]
    assert selected(request_) == ("openvino", "int8", True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "cuda"}, "torch finds no GPU"),
        ({"precision": "fp16"}, "does not run fp16 on cpu"),
        ({"runtime": "torch", "precision": "int8"}, "does not run int8"),
        ({"runtime": "openvino", "device": "cuda"}, "OpenVINO runs on the CPU"),
        ({"runtime": "openvino", "precision": "fp32"}, "models optimise efficientnet_lite0 --precision fp32"),
    ],
)
def test_a_request_that_cannot_run_is_refused_with_the_reason(
    request_: RuntimeRequest, changes: dict[str, Any], reason: str
) -> None:
    if changes.get("device") == "cuda" and "runtime" not in changes:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    with pytest.raises(ModelRefused, match=reason):
        selected(replace(request_, **changes))


def test_the_shipped_profile_belongs_to_the_shipped_int8() -> None:
    """The default of a new installation: int8, measured, with intact files."""
    from checker.decision.operating_point import SHIPPED_PROFILES

    profiles = [json.loads(path.read_text()) for path in SHIPPED_PROFILES.glob("*.json")]
    (manifest,) = manifests(ENTRY, Path("no such folder"), "int8")
    of_lite0 = (profile for profile in profiles if profile["model"] == ENTRY.name)
    (int8,) = (profile for profile in of_lite0 if profile["key"]["precision"] == "int8")
    assert int8["key"]["weights_sha256"] == manifest.weights_sha256
    assert manifest.source_sha256 == ENTRY.sha256


def test_without_torch_openvino_checks_even_if_there_is_a_gpu(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle lacks torch, and WSL always has the GPU's driver."""
    write_profile(request_, "openvino", "int8", lost=0)
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    add_driver_of_gpu(monkeypatch)
    assert selected(replace(request_, device="auto")) == ("openvino", "int8", True)


def test_torch_for_processors_is_not_imported_for_a_gpu(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import would take seconds and memory."""
    write_profile(request_, "openvino", "int8", lost=0)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__spec__=object()))  # without the module cuda
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "2.15.0+cpu" if name == "torch" else version(name)
    )
    add_driver_of_gpu(monkeypatch)
    assert selected(replace(request_, device="auto")) == ("openvino", "int8", True)


def add_driver_of_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/dxg" or exists(path))


@pytest.mark.parametrize("runtime", ["auto", "torch"])
def test_a_request_that_only_torch_could_run_is_refused_without_it(
    request_: RuntimeRequest, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(request_, "torch", "fp32")
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    monkeypatch.delitem(sys.modules, "checker.runtimes.torch_runtime", raising=False)
    with pytest.raises(ModelRefused, match=r"^The torch runtime is not installed; `pip install torch`"):
        selected(replace(request_, runtime=runtime, precision="fp32"))


def test_bf16_is_not_offered_as_faster_without_instructions_for_it(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine that shares the folder has made the variant."""
    write_profile(request_, "torch", "fp32")
    # ONEDNN_MAX_CPU_ISA would not do: torch reads it once in a process, so that later tests would be
    # affected.
    monkeypatch.setattr("checker.runtimes.selection.variants.cpu_flags", lambda: frozenset({"avx2"}))
    add_bf16_manifest(request_, ENTRY)
    choice = select_variant(ENTRY, openvino_variants.weights(), HOUSE_CAT, request_)
    choice.classifier.close()
    assert str(choice.variant) == "torch fp32"
    assert "bf16" not in choice.why_not_faster


def test_bf16_is_refused_by_a_processor_without_instructions_for_it(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checker.runtimes.selection.load.cpu_flags", lambda: frozenset({"avx2"}))
    with pytest.raises(
        ModelRefused, match=r"^This processor does not compute in bf16; fp32 runs everywhere\.$"
    ):
        selected(replace(request_, runtime="openvino", precision="bf16"))


def add_bf16_manifest(request: RuntimeRequest, entry: Entry) -> None:
    """Write the manifest of a variant; its files are missing."""
    request.weights_dir.mkdir(exist_ok=True)
    path = request.weights_dir / f"{entry.name}-bf16-made.xml"
    write_manifest(Manifest(entry.name, "bf16", entry.preprocessing.key, entry.sha256, "", "", {}, path))


def test_damaged_weights_do_not_stop_a_variant_that_was_made_of_them(
    request_: RuntimeRequest, tmp_path: Path
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"damaged")
    serving = Variant("openvino", "fp32", None, None)
    resnet = entry_named("resnet50_v1")
    assert list(not_made(resnet, tmp_path / "weights.pth", HOUSE_CAT, request_, serving)) == []


@pytest.mark.parametrize("made", [None, pytest.param("fp32", marks=pytest.mark.slow)])
def test_damaged_weights_are_refused_although_unmeasured_variants_exist(
    request_: RuntimeRequest, tmp_path: Path, made: str | None
) -> None:
    """The next model then checks, with measured rates."""
    assert manifests(ENTRY, request_.weights_dir, "int8")  # shipped
    if made:
        add_openvino_variant(request_, made)
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(b"damaged")
    with pytest.raises(ModelRefused, match=r"weights\.pth"):
        select_variant(ENTRY, damaged, HOUSE_CAT, request_)
