"""Recorded forward passes. On a machine with a GPU its graphs are tried, else a stand-in on the CPU."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from checker.runtimes import cuda_graphs
from checker.runtimes.cuda_graphs import Forward, Graphs, Outputs, Record, Replay, cuda_recorder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
PICTURE = torch.zeros(1, 4, 4, 3, dtype=torch.uint8, device=DEVICE)


def stand_in(forward: Forward, pictures: Tensor) -> Replay:
    """As a graph does: reads the same input again and writes over the same outputs."""
    outputs = forward(pictures)

    def replay() -> Outputs:
        for kept, new in zip(outputs, forward(pictures), strict=True):
            kept.copy_(new)
        return outputs

    return replay


@pytest.fixture(params=["replays", "plain passes"])
def faster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether replays win the trial."""
    seconds = iter([1.0, 2.0] * 100 if request.param == "replays" else [2.0, 1.0] * 100)
    monkeypatch.setattr(cuda_graphs, "_median_s", lambda _: next(seconds))
    return bool(request.param == "replays")


@pytest.fixture
def record() -> Record:
    return cuda_recorder() if DEVICE == "cuda" else stand_in


class Sums:
    """Of each picture the sum of its bytes, and its double; keeps the size of each pass."""

    def __init__(self) -> None:
        self.passes: list[int] = []

    def __call__(self, pictures: Tensor) -> Outputs:
        self.passes.append(len(pictures))
        sums = pictures.float().sum(dim=(1, 2, 3))
        return sums, 2 * sums


def batch(count: int) -> Tensor:
    return torch.randint(256, (count, 4, 4, 3), dtype=torch.uint8)


def test_every_picture_gets_its_own_numbers_at_every_size(faster: bool, record: Record) -> None:
    found = Graphs(Sums(), PICTURE, record)
    assert found.sizes == ((2, 8, 16, 24, 32, 40, 48, 56, 64) if faster else ())
    for count in (64, 1, 2, 3, 7, 8, 9, 33, 65, 2):
        pictures = batch(count)
        sums, doubles = found(pictures)
        expected = pictures.float().sum(dim=(1, 2, 3))
        assert torch.equal(sums, expected)
        assert torch.equal(doubles, 2 * expected)


@pytest.mark.skipif(DEVICE == "cuda", reason="a graph's replay does not call Python")
@pytest.mark.parametrize("faster", ["replays"], indirect=True)
def test_a_batch_is_filled_up_to_the_next_size_and_a_large_one_runs_as_it_is(faster: bool) -> None:
    forward = Sums()
    found = Graphs(forward, PICTURE, stand_in)
    forward.passes.clear()
    for count in (1, 3, 9, 64, 65, 200):
        found(batch(count))
    assert forward.passes == [2, 8, 16, 64, 65, 200]


@pytest.mark.parametrize("faster", ["replays"], indirect=True)
def test_what_cannot_be_recorded_runs_without(faster: bool, caplog: pytest.LogCaptureFixture) -> None:
    def refuses(_forward: Forward, pictures: Tensor) -> Replay:
        if len(pictures) == 8:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        return stand_in(_forward, pictures)

    found = Graphs(Sums(), PICTURE, refuses)
    assert found.sizes == ()
    assert "without CUDA graphs: operation not permitted when stream is capturing" in caplog.text
    assert "more of it" not in caplog.text
    pictures = batch(3)
    assert torch.equal(found(pictures)[0], pictures.float().sum(dim=(1, 2, 3)))


@pytest.mark.parametrize("wrong", [1.1, float("nan")])
@pytest.mark.parametrize("faster", ["replays"], indirect=True)
def test_a_replay_with_other_numbers_is_never_used(
    faster: bool, wrong: float, caplog: pytest.LogCaptureFixture
) -> None:
    def off(forward: Forward, pictures: Tensor) -> Replay:
        replay = stand_in(forward, pictures)
        return (lambda: tuple(output * wrong for output in replay())) if len(pictures) == 16 else replay

    with caplog.at_level(logging.WARNING):
        assert 16 not in Graphs(Sums(), PICTURE, off).sizes
    assert "for 16 pictures gives other numbers" in caplog.text


@pytest.mark.parametrize("faster", ["replays"], indirect=True)
def test_threads_never_get_each_others_numbers(faster: bool, record: Record) -> None:
    def slow(forward: Forward, pictures: Tensor) -> Replay:
        replay = record(forward, pictures)

        def late() -> Outputs:
            time.sleep(0.002)
            return replay()

        return late

    found = Graphs(Sums(), PICTURE, slow)

    def own(number: int) -> bool:
        pictures = batch(2 + number % 7)
        return torch.equal(found(pictures)[0], pictures.float().sum(dim=(1, 2, 3)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(own, range(64)))


def test_the_trial_takes_the_faster_way() -> None:
    """By the clock: a plain pass takes 5 ms, a replay nothing or 20."""

    class Slow(Sums):
        def __call__(self, pictures: Tensor) -> Outputs:
            time.sleep(0.005)
            return super().__call__(pictures)

    def record(_forward: Forward, pictures: Tensor) -> Replay:
        replay = stand_in(Sums(), pictures)

        def late() -> Outputs:
            time.sleep(0.02)
            return replay()

        return late if len(pictures) > 32 else replay

    assert Graphs(Slow(), PICTURE, record).sizes == (2, 8, 16, 24, 32)
