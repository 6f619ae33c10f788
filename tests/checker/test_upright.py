"""A photo that seems turned is judged in its most upright orientation; every other photo as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import cast

import numpy as np
import pytest

from checker.decision.orientation import VERSION, fitted_orientation
from checker.errors import CheckerError, ClassifierFailed
from checker.evaluation.variants import NamedVariant
from checker.pipeline import check_batch
from checker.pixels.decode import model_inputs
from checker.ports import Classifier
from checker.upright import rotate, unrotated_evidence, upright_evidence
from checker.values import INPUTS_PER_PHOTO, Activations, Evidence, Pixels, Rendition
from models.catalogue import Preprocessing
from tests.support.fakes import LITE0, FaultySource, StubClassifier, StubRule, claim_of, photo
from tests.support.photo_sets import OWN_PHOTOS


@pytest.fixture(scope="module")
def lite0() -> Iterator[Classifier]:
    loaded = NamedVariant("efficientnet_lite0", precision="fp32").load()
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def recognised(lite0: Classifier) -> list[Pixels]:
    """The model inputs of photos that seem upright, and in every other orientation clearly turned."""
    orientation = fitted_orientation(lite0.model_info.weights_sha256)
    assert orientation is not None
    chosen = []
    for one in OWN_PHOTOS.photos:
        inputs = model_inputs(one.read(), lite0.preprocessing)
        rotations = np.concatenate([rotate(inputs, quarters) for quarters in range(4)])
        evidence = unrotated_evidence(lite0.run(rotations), rotations)
        log_odds = orientation.logits(evidence.features)
        clear = max(orientation.turned_at, log_odds[0] + orientation.margin)
        of_thumbnails = orientation.logits(evidence.features[:, -1:])
        if (
            log_odds[0] <= orientation.turned_at
            and (log_odds[1:] > clear).all()
            and not of_thumbnails.argmin()
        ):
            chosen.append(inputs)
    assert len(chosen) >= 4
    return chosen[:4]


def upright(pixels: Pixels, classifier: Classifier) -> Evidence:
    return upright_evidence(classifier.run(pixels), pixels, classifier)


def equal(one: Evidence, other: Evidence, *, except_for: str = "") -> bool:
    names = [field.name for field in fields(Evidence) if field.name != except_for]
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turned_photo_is_judged_like_the_upright_one(
    lite0: Classifier, recognised: list[Pixels], quarters: int
) -> None:
    expected = unrotated_evidence(lite0.run(recognised[0]), recognised[0])
    turned = upright(rotate(recognised[0], quarters), lite0)
    assert equal(turned, expected, except_for="turned_deg")
    assert turned.turned_deg.tolist() == [360 - 90 * quarters]


def test_photos_of_a_batch_are_rotated_independently(lite0: Classifier, recognised: list[Pixels]) -> None:
    inputs = [rotate(one, quarters) for quarters, one in enumerate(recognised)]
    together = upright(np.concatenate(inputs), lite0)
    assert together.turned_deg.tolist() == [0, 270, 180, 90]
    for number, one in enumerate(inputs):
        alone = upright(one, lite0)
        assert equal(together[slice(number, number + 1)], alone)


def test_photos_that_do_not_seem_turned_cost_one_forward_pass(
    recognised: list[Pixels], lite0: Classifier
) -> None:
    counting = Counting(lite0)
    evidence = upright(np.concatenate(recognised), cast(Classifier, counting))
    assert counting.batches == [INPUTS_PER_PHOTO * len(recognised)]
    assert not evidence.turned_deg.any()
    upright(np.concatenate([*recognised, rotate(recognised[0], 1)]), cast(Classifier, counting))
    assert counting.batches[1:] == [INPUTS_PER_PHOTO * (len(recognised) + 1), 3, INPUTS_PER_PHOTO]


class CornerModel(StubClassifier):
    """A model whose upper left pixel gives the log-odds that its input is turned."""

    def __init__(self) -> None:
        super().__init__()
        orientation = fitted_orientation(LITE0.sha256)
        assert orientation is not None
        self.orientation = orientation
        self.model_info = replace(StubClassifier.model_info, versions={VERSION: orientation.version})

    def run(self, batch: Pixels) -> Activations:
        weights = self.orientation.linear.features
        assert weights is not None
        log_odds = self.orientation.turned_at + (batch[:, 0, 0, 0].astype(float) - 100) / 10
        features = np.outer(log_odds - self.orientation.linear.bias, weights / (weights @ weights))
        logits = np.zeros((len(batch), 1, 1000), np.float32)
        return Activations(logits, features.astype(np.float32)[:, np.newaxis])


@pytest.mark.parametrize(
    ("corner", "turned_deg"), [((-1, 0), 90), ((-1, -1), 180), ((0, -1), 270)], ids=["left", "down", "right"]
)
@pytest.mark.parametrize("above_margin", [0.5, -0.5])
def test_a_photo_is_rotated_clockwise_only_if_it_looks_more_upright_by_the_margin(
    corner: tuple[int, int], turned_deg: int, above_margin: float
) -> None:
    model = CornerModel()
    pixels = np.full((INPUTS_PER_PHOTO, 224, 224, 3), 110, np.uint8)
    pixels[(slice(None), *corner)] = 110 - round(10 * (model.orientation.margin + above_margin))
    assert upright(pixels, model).turned_deg.tolist() == [turned_deg if above_margin > 0 else 0]


def test_a_model_without_a_fit_judges_photos_as_they_are() -> None:
    source = FaultySource()
    source.add(0)
    classifier = StubClassifier()
    (outcome,) = check_batch([claim_of(0)], source, classifier, StubRule())
    assert outcome.decision is not None
    assert classifier.batches == [INPUTS_PER_PHOTO]


def test_a_device_that_fails_on_a_rotated_photo_is_not_the_fault_of_its_neighbours(
    lite0: Classifier, recognised: list[Pixels]
) -> None:
    turned, others = rotate(recognised[0], 1), recognised[1:]
    failing = Counting(lite0, fails_on=recognised[0][-1])
    pixels = iter([turned, *others])
    source = FaultySource()
    for number in range(4):
        source.add(number, photo(number))

    def decode(
        photos: Sequence[Mapping[Rendition, bytes]], preprocessing: Preprocessing
    ) -> Iterator[Pixels | CheckerError]:
        del preprocessing
        return (next(pixels) for _ in photos)

    outcomes = check_batch(
        [claim_of(number) for number in range(4)], source, cast(Classifier, failing), StubRule(), decode
    )
    assert [outcome.decision is None for outcome in outcomes] == [True, False, False, False]
    assert outcomes[0].retryable


@dataclass
class Counting:
    """A classifier that records the size of each batch, and fails if one contains a given square."""

    classifier: Classifier
    fails_on: Pixels | None = None

    def __post_init__(self) -> None:
        self.batches: list[int] = []
        self.model_info, self.preprocessing = self.classifier.model_info, self.classifier.preprocessing

    def run(self, batch: Pixels) -> Activations:
        self.batches.append(len(batch))
        if self.fails_on is not None and any(np.array_equal(square, self.fails_on) for square in batch):
            raise ClassifierFailed("the device failed")
        return self.classifier.run(batch)
