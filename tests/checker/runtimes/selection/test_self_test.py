"""The self-test: any fault between the golden photo's bytes and its score refuses the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from catloader.settings import Settings
from catloader.wiring import load_model
from checker.__main__ import main as folder_tool
from checker.decision.head import Head
from checker.decision.operating_point import ThresholdRule
from checker.decision.profile import OperatingPoint, Profile, ProfileKey, Rate, find_profile, load_profile
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.evaluation.golden import golden_test
from checker.ports import Classifier
from checker.runtimes.selection.load import load_classifier
from checker.runtimes.selection.self_test import SelfTestFailed, self_test
from checker.runtimes.torch_runtime import TorchClassifier
from models.build import architecture
from models.catalogue import (
    Entry,
    Preprocessing,
    class_names,
    default_weights_dir,
    entry_named,
    weights_path,
)

ENTRY = entry_named("efficientnet_lite0")
HOUSE_CAT = load_subject("house_cat")


def weights() -> Path:
    path = weights_path(ENTRY, default_weights_dir())
    assert path is not None
    return path


def load(entry: Entry = ENTRY) -> Classifier:
    return load_classifier(entry, weights(), device="cpu")


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    classifier = load()
    yield classifier
    classifier.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, classifier: Classifier) -> Path:
    """A folder with a profile and its golden photo, as written by calibration."""
    folder = tmp_path_factory.mktemp("profiles")
    rate = Rate(1, 100, 0.01, 0.002, 0.05)
    profile = Profile(
        key=ProfileKey.of(classifier.model_info, classifier.preprocessing, HOUSE_CAT),
        model=ENTRY.name,
        head=Head(),
        cat=(OperatingPoint(0.01, 0.5, rate, rate),),
        not_cat=(OperatingPoint(0.01, 0.1, rate, rate),),
        soft=(OperatingPoint(0.01, 0.5, rate, rate),),
        made={"date": "2999-01-01"},
    )
    rule = ThresholdRule(HOUSE_CAT, class_names(), profile=profile)
    golden_test(profile, classifier, folder, rule).save(folder / "lite0.json")
    return folder


@pytest.fixture
def profile(folder: Path, classifier: Classifier) -> Profile:
    key = ProfileKey.of(classifier.model_info, classifier.preprocessing, HOUSE_CAT)
    profile = find_profile(key, [folder])
    assert profile is not None
    return profile


def rule(profile: Profile, names: tuple[str, ...] | None = None) -> ThresholdRule:
    return ThresholdRule(HOUSE_CAT, names or class_names(), profile=profile)


def changed(profile: Profile, **golden: Any) -> Profile:
    return dataclasses.replace(profile, golden={**profile.golden, **golden})


def prepared_as(**changes: Any) -> Entry:
    return dataclasses.replace(ENTRY, preprocessing=dataclasses.replace(ENTRY.preprocessing, **changes))


@pytest.mark.processor
def test_the_measured_model_passes(classifier: Classifier, profile: Profile) -> None:
    self_test(classifier, rule(profile))


@pytest.mark.parametrize(
    "change",
    [
        {"interpolation": "bilinear"},  # another resampling filter of the decoder
        {"mean": (120.0, 120.0, 120.0)},
        {"std": (120.0, 120.0, 120.0)},
        {"scale": 255.0},
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "scale": 255.0},
    ],
    ids="-".join,
)
def test_another_preprocessing_is_refused(profile: Profile, change: dict[str, Any]) -> None:
    classifier = load(prepared_as(**change))
    with pytest.raises(SelfTestFailed, match="preprocessing, decoder, class order or weights differ"):
        self_test(classifier, rule(profile))


def test_swapped_classes_are_refused(classifier: Classifier, profile: Profile) -> None:
    """Also classes that the golden photo does not show, and with a profile that has no digest of names."""
    names = list(class_names())
    names[1], names[2] = names[2], names[1]
    with pytest.raises(ModelRefused, match="the class names, or their order, differ"):
        self_test(classifier, rule(profile, tuple(names)))
    names = list(class_names())
    names[281:286] = names[282:286] + names[281:282]
    old = changed(profile, classes_sha256=None)
    with pytest.raises(ModelRefused, match="their order is wrong"):
        self_test(classifier, rule(old, tuple(names)))


def test_red_and_blue_swapped_are_refused(classifier: Classifier, profile: Profile) -> None:
    class Swapped:
        model_info, preprocessing = classifier.model_info, classifier.preprocessing

        def run(self, batch: Any) -> Any:
            return classifier.run(batch[..., ::-1].copy())

        def close(self) -> None: ...

    with pytest.raises(ModelRefused, match="was measured"):
        self_test(Swapped(), rule(profile))


def test_other_weights_are_refused(profile: Profile, tmp_path: Path) -> None:
    """Weights that the catalogue accepts, with another digest: a model that was trained further."""
    state = torch.load(weights(), weights_only=True)
    name = next(name for name, value in reversed(state.items()) if value.ndim == 2)
    state[name] = state[name] * 1.1
    architecture(ENTRY.architecture).load_state_dict(state)
    path = tmp_path / "other.pth"
    torch.save(state, path)
    other = TorchClassifier(dataclasses.replace(ENTRY, sha256=""), path, device="cpu")
    with pytest.raises(ModelRefused, match="weights differ from calibration"):
        self_test(other, rule(profile))


def test_another_photo_is_refused(classifier: Classifier, profile: Profile, tmp_path: Path) -> None:
    (tmp_path / "golden.jpg").write_bytes((profile.folder / "golden.jpg").read_bytes() + b"x")
    with pytest.raises(ModelRefused, match="is not the photo"):
        self_test(classifier, rule(dataclasses.replace(profile, folder=tmp_path)))
    with pytest.raises(ModelRefused, match="FileNotFoundError"):
        self_test(classifier, rule(dataclasses.replace(profile, folder=tmp_path / "none")))


def test_another_head_is_refused(classifier: Classifier, profile: Profile) -> None:
    """The labels are as measured, but the score is not."""
    other = dataclasses.replace(profile, head=Head(bias=-6.0))
    with pytest.raises(ModelRefused, match="the golden photo's score is 0"):
        self_test(classifier, rule(other))


def settings(tmp_path: Path, folder: Path) -> Settings:
    (tmp_path / "profiles").symlink_to(folder)
    return Settings(data_dir=tmp_path, model=ENTRY.name, device="cpu", runtime="torch", precision="fp32")


@pytest.mark.processor
def test_the_site_loads_a_model_that_passes_with_its_profile(tmp_path: Path, folder: Path) -> None:
    loaded = load_model(settings(tmp_path, folder))
    assert isinstance(loaded.rule, ThresholdRule)
    assert loaded.rule.profile_id == load_profile(folder / "lite0.json").profile_id
    loaded.classifier.close()


def test_the_site_refuses_a_model_that_fails(tmp_path: Path, folder: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    data = json.loads((folder / "lite0.json").read_text())
    data["golden"]["labels"]["photo"] = {"coffee mug": 0.9}
    (broken / "lite0.json").write_text(json.dumps(data))
    (broken / "golden.jpg").write_bytes((folder / "golden.jpg").read_bytes())
    with pytest.raises(ModelRefused, match="self-test"):
        load_model(settings(tmp_path, broken))


def test_a_catalogue_with_other_preprocessing_than_measured_is_refused(
    classifier: Classifier, folder: Path
) -> None:
    """No profile matches such a model. It must not be treated like a model that was never measured."""
    other: Preprocessing = prepared_as(mean=(120.0, 120.0, 120.0)).preprocessing
    changed_model = load(prepared_as(mean=other.mean))
    assert find_profile(ProfileKey.of(changed_model.model_info, other, HOUSE_CAT), [folder]) is None
    blank = ThresholdRule(HOUSE_CAT, class_names())
    with pytest.raises(ModelRefused, match=r"prepares photos as .*120.* where .*127.* was measured"):
        self_test(changed_model, blank, [folder])
    # With another decoder the verdicts are marked as uncalibrated instead.
    on_gpu = SimpleNamespace(
        model_info=changed_model.model_info, preprocessing=prepared_as(decoder="nvjpeg").preprocessing
    )
    self_test(cast(Classifier, on_gpu), blank, [folder])
    never_measured = ThresholdRule(load_subject("dog"), class_names())
    self_test(classifier, never_measured, [folder])


def test_the_folder_tool_refuses_a_model_that_fails_the_self_test(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((folder / "lite0.json").read_text())
    data["golden"]["score"] = 0.1
    (tmp_path / "lite0.json").write_text(json.dumps(data))
    (tmp_path / "golden.jpg").write_bytes((folder / "golden.jpg").read_bytes())
    photo = str(folder / "golden.jpg")
    common = [photo, "--model", ENTRY.name, "--device", "cpu", "--runtime", "torch"]
    common += ["--precision", "fp32"]
    assert folder_tool([*common, "--profiles", str(tmp_path)]) == 2
    assert "self-test" in capsys.readouterr().err
    assert folder_tool([*common, "--profiles", str(folder)]) == 0


def test_lists_of_labels_that_differ_in_length_are_compared(classifier: Classifier, profile: Profile) -> None:
    """The subject's best class is a sixth label if it is not among the five most likely classes."""
    five = profile.golden["labels"]["photo"]
    first, *others = five.values()
    other_classes = dict(zip(five, [*others, first], strict=True))
    for photo, difference in ((five, None), (other_classes, "their order is wrong")):
        labels = {**profile.golden["labels"], "photo": {**photo, "dingo": 1e-4}}
        expectation: AbstractContextManager[object] = (
            pytest.raises(SelfTestFailed, match=difference) if difference else nullcontext()
        )
        with expectation:
            self_test(classifier, rule(changed(profile, labels=labels)))


def test_a_class_that_changes_places_with_the_sixth_is_no_difference(
    classifier: Classifier, profile: Profile
) -> None:
    """Even if an unlikely class of the subject is the sixth label."""
    labels = {rendition: dict(of_one) for rendition, of_one in profile.golden["labels"].items()}
    fifth = min(labels["photo"], key=lambda name: labels["photo"][name])
    labels["photo"]["dingo"] = labels["photo"].pop(fifth)
    labels["photo"]["Chihuahua"] = 1e-9
    self_test(classifier, rule(changed(profile, labels=labels, label_tolerance=1e-4)))
