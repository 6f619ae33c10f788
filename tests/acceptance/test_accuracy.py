"""The real model on real photos, decided like the site decides: renditions, pipeline, shipped profile.

The shipped head was fitted on the larger photo set, so counts on that set only prove that serving and
calibration agree. The rates for unseen photos are in the profile, and the last test checks them.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from catloader.settings import Settings
from catloader.wiring import load_model
from checker.decision.operating_point import UNCALIBRATED, ThresholdRule
from checker.decision.profile import Profile
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, LabelledPhoto
from checker.pipeline import LoadedModel, check_batch
from checker.testing import InMemoryImageSource
from checker.values import Claim, Decision, Rendition, Verdict
from tests.support.photo_sets import OWN_PHOTOS, VARIABLE, PhotoSet

BATCH = 8
Read = Callable[[LabelledPhoto], Mapping[Rendition, bytes]]
Decided = list[tuple[LabelledPhoto, Decision]]


@pytest.fixture(scope="module", params=["served", "torch"])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(variant: str, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The model like the site loads it with default settings; or its torch variant."""
    changes: dict[str, Any] = {} if variant == "served" else {"runtime": "torch", "precision": "fp32"}
    folder = tmp_path_factory.mktemp("data")
    return load_model(Settings(model="efficientnet_lite0", device="cpu", data_dir=folder, **changes))


@pytest.fixture(scope="module")
def profile(model: LoadedModel) -> Profile:
    assert isinstance(model.rule, ThresholdRule)
    assert model.rule.profile is not None, "no profile is shipped for Lite0 as it runs here"
    return model.rule.profile


@pytest.fixture(scope="module")
def read() -> Read:
    """A function that returns both renditions of a photo. They are cached (80 MB) for the second variant."""
    return functools.cache(lambda photo: photo.read())


@pytest.fixture(scope="module")
def decided(variant: str, model: LoadedModel, photo_set: PhotoSet, read: Read) -> Decided:
    """Decide all photos with the served variant. torch takes three times as long, so it decides fewer."""
    return decide(model, photo_set.photos if variant == "served" else photo_set.enough(), read)


def decide(model: LoadedModel, photos: Sequence[LabelledPhoto], read: Read) -> Decided:
    claims = [Claim(number, "token", photo.name, photo.name, 1) for number, photo in enumerate(photos)]
    rows: Decided = []
    for start in range(0, len(claims), BATCH):
        batch, source = claims[start : start + BATCH], InMemoryImageSource()
        for claim in batch:
            source.put(claim, read(photos[claim.photo_id]))
        for outcome in check_batch(batch, source, model.classifier, model.rule):
            assert outcome.decision is not None, f"{outcome.claim.photo_key}: {outcome.error}"
            rows.append((photos[outcome.claim.photo_id], outcome.decision))
    return rows


def _verdicts(decided: Decided, label: str) -> Counter[Verdict]:
    return Counter(decision.verdict for photo, decision in decided if photo.label == label)


def most(rate: float, photos: int, photo_set: PhotoSet) -> float:
    """Return the maximum number of ``photos`` to which an event with a promised ``rate`` may happen.

    A small set can only show that a rate is far too high. Its limit is the count that one in a thousand such
    sets exceeds by chance.
    """
    if photo_set.is_large:
        return rate * photos
    tail, count = 1.0, -1
    while tail > 0.001:
        count += 1
        tail -= math.comb(photos, count) * rate**count * (1 - rate) ** (photos - count)
    return count


def test_at_the_shipped_threshold_cats_are_found_and_others_are_not_called_cat(
    decided: Decided, photo_set: PhotoSet
) -> None:
    cats, others = _verdicts(decided, CAT), _verdicts(decided, NOT_CAT)
    assert cats.total() - cats[Verdict.CAT] <= most(0.06, cats.total(), photo_set)
    assert others[Verdict.CAT] <= most(0.015, others.total(), photo_set)
    assert cats[Verdict.NOT_CAT] <= most(0.01, cats.total(), photo_set)


def test_no_photo_of_the_repository_gets_a_wrong_verdict_and_at_most_one_is_unsure(
    model: LoadedModel, read: Read
) -> None:
    decided = decide(model, OWN_PHOTOS.photos, read)
    wrong = [
        (photo.name, decision.verdict, decision.wild_feline)
        for photo, decision in decided
        if decision.verdict not in (Verdict.CAT if photo.label == CAT else Verdict.NOT_CAT, Verdict.UNSURE)
        or decision.wild_feline != (photo.label == WILD_FELINE)
    ]
    assert not wrong
    unsure = [(photo.name, photo.label) for photo, decision in decided if decision.verdict is Verdict.UNSURE]
    assert len(unsure) <= 1, "a cat in a corner of the pika would score no higher"
    assert CAT not in {label for _, label in unsure}


def test_the_verdicts_are_calibrated(decided: Decided) -> None:
    assert UNCALIBRATED not in {decision.profile_id for _, decision in decided}


def test_wild_felines_are_reported_as_such_and_none_is_called_a_house_cat(
    decided: Decided, photo_set: PhotoSet
) -> None:
    wild = [decision for photo, decision in decided if photo.label == WILD_FELINE]
    assert wild or photo_set.chosen_by == VARIABLE, "the set of photos shows no wild feline"
    assert sum(decision.wild_feline for decision in wild) >= 0.5 * len(wild)
    assert Verdict.CAT not in {decision.verdict for decision in wild}
    house = [decision for photo, decision in decided if photo.label == CAT]
    assert sum(decision.wild_feline for decision in house) <= most(0.01, len(house), photo_set)


@pytest.mark.parametrize(("rate", "recall"), [(0.01, 0.985), (0.003, 0.97)])
def test_rates_on_unseen_photos_are_within_the_promise(profile: Profile, rate: float, recall: float) -> None:
    """The rates are those of the worst kind, as precise as its number of photos allows."""
    point = next(point for point in profile.cat if point.target == rate)
    assert point.realised.low <= rate
    assert point.realised.errors <= math.ceil(rate * point.realised.n) + 1
    assert point.recall.rate >= recall
    assert point.realised.n >= 500
