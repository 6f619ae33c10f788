"""A refused model is loaded again at intervals that leave the machine to others."""

from __future__ import annotations

import time

import pytest

from checker.errors import ModelRefused
from checker.model_loading import ModelLoading
from checker.pipeline import LoadedModel


@pytest.mark.parametrize(("took_s", "shortest_s"), [(0.0, 0.1), (0.05, 0.5)])
def test_a_load_that_fails_slowly_is_repeated_less_often(took_s: float, shortest_s: float) -> None:
    pauses_s: list[float] = []

    def load() -> LoadedModel:
        time.sleep(took_s)
        raise ModelRefused("the self-test failed")

    def closes_within(wait_s: float) -> bool:
        pauses_s.append(wait_s)
        return len(pauses_s) == 3

    loading = ModelLoading(load, 0.1)
    assert loading.once() is None
    assert loading.until_accepted(closes_within) is None
    assert min(pauses_s) >= shortest_s
    assert loading.refusal == "the self-test failed"


def test_reasons_that_differ_each_time_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    drafts = iter(range(100))
    attempts = 0

    def load() -> LoadedModel:
        raise OSError(f"no room for draft {next(drafts)}")

    def closes_within(wait_s: float) -> bool:
        nonlocal attempts
        attempts += 1
        return attempts == 20

    loading = ModelLoading(load, 0.0)
    assert loading.once() is None
    assert loading.until_accepted(closes_within) is None
    assert loading.refusal == "The model could not be loaded: no room for draft 19"
    first = "The model could not be loaded: no room for draft 0"
    assert caplog.messages == [
        "the model could not be loaded",
        f"no photo is checked until this is fixed: {first}",
    ]
