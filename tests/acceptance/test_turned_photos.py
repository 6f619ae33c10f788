"""Photos that are turned without EXIF data are judged upright, from files to verdicts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from catloader.settings import Settings
from catloader.wiring import load_model
from checker.evaluation.photos import CAT, NOT_CAT
from checker.pipeline import LoadedModel, check_batch
from checker.pixels.renditions import site_renditions
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, Verdict
from tests.support.photo_sets import PhotoSet

MOST = {"efficientnet_lite0": 60, "resnet50_v1": 20}
"""Maximum number of photos of each label; fewer for ResNet-50, which takes three times as long."""
TURNED = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
"""Degrees clockwise that make the photo upright again, and the rotation (anticlockwise) that turns it."""


@pytest.fixture(scope="module", params=MOST)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    changes: dict[str, Any] = {"model": name}
    if name != "efficientnet_lite0":
        changes["weights_dir"] = request.getfixturevalue("resnet_weights")
    return load_model(Settings(device="cpu", data_dir=tmp_path_factory.mktemp("data"), **changes))


def decisions(model: LoadedModel, images: Sequence[Image.Image]) -> list[Decision]:
    source, decided = InMemoryImageSource(), []
    claims = [Claim(number, "token", str(number), str(number), 1) for number in range(len(images))]
    for claim, image in zip(claims, images, strict=True):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=92)
        source.put(claim, site_renditions(file.getvalue(), fast=False))
    for start in range(0, len(claims), 4):
        for outcome in check_batch(claims[start : start + 4], source, model.classifier, model.rule):
            assert outcome.decision is not None, outcome.error
            decided.append(outcome.decision)
    return decided


def spread(photo_set: PhotoSet, label: str, most: int) -> list[Image.Image]:
    files = photo_set.files(label)
    return [Image.open(path).convert("RGB") for path in files[:: max(1, len(files) // most)][:most]]


def test_turned_photos_are_judged_as_upright_ones(name: str, model: LoadedModel, photo_set: PhotoSet) -> None:
    cats, others = (spread(photo_set, label, MOST[name]) for label in (CAT, NOT_CAT))
    photos = [*cats, *others]
    upright = decisions(model, photos)
    assert sum(decision.turned_deg != 0 for decision in upright) <= 0.05 * len(photos) + 1
    found = called = right = wrong = 0
    for degrees, turn in TURNED.items():
        turned = decisions(model, [photo.transpose(turn) for photo in photos])
        right += sum(decision.turned_deg == degrees for decision in turned)
        wrong += sum(decision.turned_deg not in (0, degrees) for decision in turned)
        found += sum(decision.verdict is Verdict.CAT for decision in turned[: len(cats)])
        called += sum(decision.verdict is Verdict.CAT for decision in turned[len(cats) :])
    assert right >= 0.6 * 3 * len(photos), f"{right} of {3 * len(photos)} were judged upright"
    assert wrong <= 0.05 * 3 * len(photos), f"{wrong} were rotated to another orientation"
    assert found >= 0.93 * 3 * len(cats), f"{found} of {3 * len(cats)} turned cats were found"
    assert called <= 0.02 * 3 * len(others) + 1, f"{called} of {3 * len(others)} others were called cat"
