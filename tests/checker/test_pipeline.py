"""A micro-batch: one outcome per claim; a bad photo affects no other one."""

from __future__ import annotations

import gc
import hashlib
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checker.errors import (
    CheckerError,
    ClassifierFailed,
    DecoderUnavailable,
    DecodingFailed,
    ModelRefused,
    StoreUnavailable,
    UnreadableImage,
)
from checker.pipeline import check_batch, classify, fetch
from checker.ports import Classifier
from checker.runtimes.selection.load import load_classifier
from checker.values import INPUTS_PER_PHOTO, Activations, Claim, Pixels, Rendition
from models.catalogue import resolve
from tests.support.fakes import FaultySource, StubClassifier, StubRule, claim_of, flat, photo


@pytest.fixture(scope="module")
def lite0() -> Classifier:
    return load_classifier(*resolve("efficientnet_lite0", Path()), device="cpu", runtime="torch")


@pytest.fixture
def source() -> FaultySource:
    source = FaultySource()
    for number in range(8):
        source.add(number)
    return source


def test_outcome_contains_what_a_replay_needs(source: FaultySource) -> None:
    claims = [claim_of(number) for number in range(3)]
    source.add(1, thumbnail_data=photo(9))
    outcomes = check_batch(claims, source, StubClassifier(), StubRule())
    assert [outcome.claim for outcome in outcomes] == claims
    middle = outcomes[1]
    assert middle.decision is not None
    assert middle.model_info == StubClassifier.model_info
    assert middle.photo_sha256 == hashlib.sha256(photo(1)).hexdigest()
    assert middle.thumbnail_sha256 == hashlib.sha256(photo(9)).hexdigest()
    assert middle.batch_size == 9
    assert set(middle.ms) == {"fetch", "decode", "classify", "total"}
    assert middle.ms["total"] >= middle.ms["decode"]
    assert (middle.error, middle.unreadable, middle.retryable) == (None, False, False)


@pytest.mark.slow
def test_photo_gets_the_same_bits_alone_and_among_64_with_bad_ones(lite0: Classifier) -> None:
    source, claims = FaultySource(), [claim_of(number) for number in range(64)]
    for number in range(64):
        source.add(number)
    source.put(claims[5], {Rendition.PHOTO: b"not a photo"})
    source.put(claims[40], {Rendition.THUMBNAIL: photo(40)[:2000]})
    together = check_batch(claims, source, lite0, StubRule())
    assert [outcome.unreadable for outcome in together] == [number in (5, 40) for number in range(64)]
    for number in (0, 4, 6, 33, 63):
        alone = check_batch([claims[number]], source, lite0, StubRule())[0]
        assert alone.decision == together[number].decision
        assert alone.decision is not None
        assert alone.batch_size == together[number].batch_size == INPUTS_PER_PHOTO
    scores = {outcome.decision.score for outcome in together if outcome.decision}
    assert len(scores) == 62  # every photo has its own fingerprint


def test_photo_and_thumbnail_are_not_mixed_up() -> None:
    black, white = (flat(colour) for colour in ("black", "white"))
    source = FaultySource()
    source.add(0, black, white)
    source.add(1, white, black)
    outcomes = check_batch([claim_of(0), claim_of(1)], source, StubClassifier(), StubRule())
    # The stub's logits and features are the mean colours of the three inputs. Its score weights the logits
    # with 1, 2, 3 and the features with 4, 5, 6; the third input is the thumbnail.
    scores = [outcome.decision.score for outcome in outcomes if outcome.decision]
    assert scores == [(3 + 6) * 3 * 255, (1 + 2 + 4 + 5) * 3 * 255]


@pytest.mark.parametrize("rendition", list(Rendition))
def test_unreadable_rendition_is_final(source: FaultySource, rendition: Rendition) -> None:
    source.put(claim_of(1), {rendition: b"\xff\xd8\xff\xe0 and nothing more"})
    outcomes = check_batch([claim_of(n) for n in range(3)], source, StubClassifier(), StubRule())
    assert [outcome.decision is None for outcome in outcomes] == [False, True, False]
    bad = outcomes[1]
    assert (bad.unreadable, bad.retryable, bad.blames_machine) == (True, False, False)
    assert bad.error is not None
    assert bad.error.startswith("The photo can't be decoded: ")
    assert bad.photo_sha256 is not None
    assert bad.thumbnail_sha256 is not None


@pytest.mark.parametrize("rendition", list(Rendition))
@pytest.mark.parametrize("data", [photo(1), photo(0)[:-200], b""], ids=["altered", "cut", "empty"])
def test_altered_object_is_never_judged_and_never_unreadable(
    source: FaultySource, rendition: Rendition, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    digest = hashlib.sha256(photo(0)).hexdigest()
    good, claim = (
        replace(claim_of(number), photo_sha256=digest, thumbnail_sha256=digest) for number in (10, 11)
    )
    for stored in (good, claim):
        source.put(stored, dict.fromkeys(Rendition, photo(0)))
    source.put(claim, {rendition: data})
    unaltered, altered = check_batch([good, claim], source, StubClassifier(), StubRule())
    assert unaltered.decision
    assert unaltered.photo_sha256 == digest
    assert altered.decision is None
    assert (altered.retryable, altered.unreadable, altered.blames_machine) == (True, False, False)
    assert altered.error == f"The photo store gave a {rendition} that is not the one that was stored."
    (alarm,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"photo 11: the object store holds other bytes under the key {claim.key(rendition)}" in (
        alarm.getMessage()
    )


def test_object_that_was_altered_once_in_transit_is_fetched_again() -> None:
    class Once(FaultySource):
        answers = 0

        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            self.answers += 1
            return super().get(claim, rendition)[: 100 if self.answers == 1 else None]

    source = Once()
    digest = hashlib.sha256(photo(0)).hexdigest()
    claim = replace(claim_of(0), photo_sha256=digest, thumbnail_sha256=digest)
    source.add(0, photo(0))
    (outcome,) = check_batch([claim], source, StubClassifier(), StubRule())
    assert outcome.decision
    assert source.answers == 3


def test_missing_object_is_retryable_and_blamed_on_the_photo(source: FaultySource) -> None:
    source.delete(claim_of(1), Rendition.THUMBNAIL)
    bad = check_batch([claim_of(0), claim_of(1)], source, StubClassifier(), StubRule())[1]
    assert (bad.unreadable, bad.retryable, bad.blames_machine) == (False, True, False)
    assert bad.photo_sha256 is not None
    assert bad.thumbnail_sha256 is None


def test_unavailable_store_is_retryable_and_blamed_on_the_machine(source: FaultySource) -> None:
    source.errors[1] = StoreUnavailable("S3 does not answer.")
    bad = check_batch([claim_of(0), claim_of(1)], source, StubClassifier(), StubRule())[1]
    assert (bad.error, bad.unreadable) == ("S3 does not answer.", False)
    assert (bad.retryable, bad.blames_machine) == (True, True)


def test_out_of_memory_halves_the_batch_until_it_fits(
    source: FaultySource, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = StubClassifier(most=4, fails=ClassifierFailed("out of memory"))
    claims = [claim_of(number) for number in range(7)]
    outcomes = check_batch(claims, source, classifier, StubRule())
    assert classifier.batches == [21, 9, 3, 6, 3, 3, 12, 6, 3, 3, 6, 3, 3]
    assert all(outcome.decision for outcome in outcomes)
    assert [outcome.claim for outcome in outcomes] == claims
    at_once = check_batch(claims, source, StubClassifier(), StubRule())
    assert [o.decision for o in outcomes] == [o.decision for o in at_once]
    assert "out of memory; trying again with batches of 3" in caplog.text


def test_model_that_always_fails_is_blamed_on_the_machine(source: FaultySource) -> None:
    classifier = StubClassifier(most=0, fails=ClassifierFailed("the GPU is lost"))
    outcomes = check_batch([claim_of(n) for n in range(3)], source, classifier, StubRule())
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert (outcome.error, outcome.unreadable) == ("the GPU is lost", False)
        assert (outcome.retryable, outcome.blames_machine) == (True, True)


class _NoRed(StubClassifier):
    """A model that fails on red squares, alone or with others."""

    def run(self, batch: Pixels) -> Activations:
        if (batch[..., 0].min(axis=(1, 2)) > 250).any():
            raise ClassifierFailed("not a number")
        return super().run(batch)


def test_photo_on_which_the_model_fails_even_alone_is_blamed(source: FaultySource) -> None:
    source.add(1, flat("red"))
    outcomes = check_batch([claim_of(n) for n in range(3)], source, _NoRed(), StubRule())
    assert [outcome.decision is None for outcome in outcomes] == [False, True, False]
    assert (outcomes[1].retryable, outcomes[1].blames_machine) == (True, False)


def test_profile_for_another_model_gives_no_final_outcome(source: FaultySource) -> None:
    rule = StubRule(fails=ModelRefused("1280 features, not 2048"))
    outcome = check_batch([claim_of(0)], source, StubClassifier(), rule)[0]
    assert (outcome.unreadable, outcome.retryable, outcome.blames_machine) == (False, True, True)


@pytest.mark.parametrize("where", ["source", "classifier", "rule"])
def test_unexpected_error_is_logged_and_becomes_an_outcome(
    source: FaultySource, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault = ZeroDivisionError("a bug")
    if where == "source":
        source.errors[1] = fault
    classifier = StubClassifier(most=0, fails=fault if where == "classifier" else None)
    rule = StubRule(fails=fault if where == "rule" else None)
    outcomes = check_batch([claim_of(0), claim_of(1)], source, classifier, rule)
    assert len(outcomes) == 2
    assert outcomes[1].error == "The checker failed on this photo (ZeroDivisionError)."
    assert (outcomes[1].unreadable, outcomes[1].retryable) == (False, True)
    assert not outcomes[1].blames_machine  # otherwise one photo could stop the queue forever
    assert "Traceback" in caplog.text
    assert "photo 1: a bug" in caplog.text
    if where == "source":
        assert outcomes[0].decision is not None


def test_failed_fetch_keeps_no_pixels_in_memory() -> None:
    """Otherwise broken large photos fill the memory until the garbage collector runs."""
    references: list[weakref.ref[np.ndarray[Any, Any]]] = []

    class Broken(FaultySource):
        def get(self, claim: Claim, rendition: Rendition) -> bytes:
            decoded = np.zeros((100, 100))
            references.append(weakref.ref(decoded))
            try:
                raise ValueError("broken")
            except ValueError as error:
                raise UnreadableImage("broken") from error

    gc.disable()
    try:
        batch = fetch([claim_of(0), claim_of(1)], Broken())
        assert [reference() for reference in references] == [None, None]
        outcomes = classify(batch, StubClassifier(), StubRule())
    finally:
        gc.enable()
    assert [(outcome.error, outcome.unreadable) for outcome in outcomes] == [("broken", True)] * 2


@pytest.mark.parametrize(
    ("error", "flags"),
    [
        (DecodingFailed("It takes too long."), (True, True, False)),
        (DecoderUnavailable("No process can be started."), (False, True, True)),
    ],
)
def test_decoder_that_fails_on_a_photo_is_distinguished_from_an_unavailable_decoder(
    source: FaultySource, error: CheckerError, flags: tuple[bool, bool, bool]
) -> None:
    batch = fetch([claim_of(0)], source)
    (outcome,) = classify(batch, StubClassifier(), StubRule(), lambda photos, _: iter([error] * len(photos)))
    assert (outcome.unreadable, outcome.retryable, outcome.blames_machine) == flags
    assert batch[0].renditions == {}, "its bytes are not needed any more"


def test_model_is_not_run_without_readable_photos(source: FaultySource) -> None:
    classifier = StubClassifier()
    source.add(0, b"")
    assert len(check_batch([claim_of(0)], source, classifier, StubRule())) == 1
    assert classifier.batches == []
    assert check_batch([], source, classifier, StubRule()) == []
