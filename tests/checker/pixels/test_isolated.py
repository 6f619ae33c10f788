"""Step 7 in child processes: the same pixels, and one bad photo affects no other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from checker.errors import CheckerError, DecodingTooSlow, UnreadableImage
from checker.isolation.limits import Limits
from checker.pipeline import check_batch
from checker.pixels.decode import decode_each
from checker.pixels.facts import facts_of
from checker.pixels.isolated import IsolatedDecoder, isolated_decoder
from checker.pixels.renditions import site_renditions
from checker.values import Pixels, Rendition
from tests.support.bombs import slow_tiff
from tests.support.fakes import LITE0, FaultySource, StubClassifier, StubRule, claim_of, flat, photo


@pytest.fixture(scope="module")
def decode() -> Iterator[IsolatedDecoder]:
    with isolated_decoder(2, Limits(cpu_s=1.0, wall_s=120.0, memory_bytes=2**30)) as decoder:
        yield decoder


def test_pixels_equal_those_of_this_process(decode: IsolatedDecoder) -> None:
    photos = [site_renditions(photo(number)) for number in range(3)]
    photos.append(dict.fromkeys(Rendition, flat("red")))
    isolated = list(decode(photos, LITE0.preprocessing))
    for expected, pixels in zip(decode_each(photos, LITE0.preprocessing), isolated, strict=True):
        assert isinstance(expected, np.ndarray)
        assert isinstance(pixels, np.ndarray)
        assert pixels.dtype == np.uint8
        assert np.array_equal(expected, pixels)


@pytest.mark.slow
def test_bad_photo_is_a_separate_error(decode: IsolatedDecoder) -> None:
    good, slow = (dict.fromkeys(Rendition, data) for data in (photo(), slow_tiff()))
    results: list[Pixels | CheckerError] = list(
        decode([good, dict.fromkeys(Rendition, b"no photo"), slow, good], LITE0.preprocessing)
    )
    assert [type(result) for result in results] == [np.ndarray, UnreadableImage, DecodingTooSlow, np.ndarray]


@pytest.mark.slow
def test_neighbours_of_a_photo_that_loops_get_their_verdicts(decode: IsolatedDecoder) -> None:
    source = FaultySource()
    for number in range(4):
        source.add(number, slow_tiff() if number == 1 else None)
    claims = [claim_of(number) for number in range(4)]
    outcomes = check_batch(claims, source, StubClassifier(), StubRule(), decode)
    assert [outcome.claim for outcome in outcomes] == claims
    assert [outcome.decision is not None for outcome in outcomes] == [True, False, True, True]
    slow = outcomes[1]
    assert (slow.unreadable, slow.retryable, slow.blames_machine) == (True, True, False)
    assert slow.error == "Decoding this photo takes too long."


def test_renditions_of_a_file_equal_those_of_this_process(decode: IsolatedDecoder) -> None:
    assert decode.renditions(photo()) == site_renditions(photo())
    with pytest.raises(UnreadableImage, match="not a photo"):
        decode.renditions(b"no photo")
    with pytest.raises(UnreadableImage, match="takes too long"):  # by a walk over its parts, not by the limit
        decode.renditions(slow_tiff())
    large = photo(px=3000)
    assert (
        decode.renditions(large, fast=False) == site_renditions(large, fast=False) != site_renditions(large)
    )


@pytest.mark.slow
def test_facts_equal_those_of_this_process(decode: IsolatedDecoder) -> None:
    assert decode.facts(photo()) == facts_of(photo())
    with pytest.raises(DecodingTooSlow):
        decode.facts(slow_tiff())
