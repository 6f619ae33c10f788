"""Recorded forward passes: real graphs on a machine with a GPU, otherwise a fake on the CPU."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from checker.runtimes import cuda_graphs
from checker.runtimes.cuda_graphs import Forward, Graphs, Launch, Outputs, Record, cuda_recorder

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
EXAMPLE = torch.zeros(1, 4, 4, 3, dtype=torch.uint8, device=DEVICE)


def stand_in(forward: Forward, inputs: Tensor) -> Launch:
    """Behaves like a graph: each launch reads the same inputs and overwrites the same outputs."""
    outputs = forward(inputs)

    def launch() -> Outputs:
        for output, new in zip(outputs, forward(inputs), strict=True):
            output.copy_(new)
        return outputs

    return launch


@pytest.fixture(params=["launches", "plain passes"])
def faster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Make launches, or plain passes, win the timing."""
    seconds = iter([1.0, 2.0] * 100 if request.param == "launches" else [2.0, 1.0] * 100)
    monkeypatch.setattr(cuda_graphs, "_median_s", lambda _: next(seconds))
    return bool(request.param == "launches")


@pytest.fixture
def record() -> Record:
    return cuda_recorder() if DEVICE == "cuda" else stand_in


class Sums:
    """A fake model whose outputs are the sum of each input's bytes and twice the sum; records pass sizes."""

    def __init__(self) -> None:
        self.passes: list[int] = []

    def __call__(self, inputs: Tensor) -> Outputs:
        self.passes.append(len(inputs))
        sums = inputs.float().sum(dim=(1, 2, 3))
        return sums, 2 * sums


def batch(count: int) -> Tensor:
    return torch.randint(256, (count, 4, 4, 3), dtype=torch.uint8)


def test_every_input_gets_its_own_outputs_at_every_size(faster: bool, record: Record) -> None:
    graphs = Graphs(Sums(), EXAMPLE, record)
    assert graphs.sizes == ((3, 6, 12, 24, 48) if faster else ())
    for count in (48, 3, 6, 7, 24, 96, 12, 3):
        inputs = batch(count)
        sums, doubles = graphs(inputs)
        expected = inputs.float().sum(dim=(1, 2, 3))
        assert torch.equal(sums, expected)
        assert torch.equal(doubles, 2 * expected)


@pytest.mark.skipif(DEVICE == "cuda", reason="a launched graph does not call Python")
@pytest.mark.parametrize("faster", ["launches"], indirect=True)
def test_other_sizes_run_plain(faster: bool) -> None:
    recorded, plain = Sums(), Sums()
    graphs = Graphs(plain, EXAMPLE, lambda _, inputs: stand_in(recorded, inputs))
    plain.passes.clear()
    recorded.passes.clear()
    for count in (3, 5, 48, 96):
        graphs(batch(count))
    assert (recorded.passes, plain.passes) == ([3, 48], [5, 96])


@pytest.mark.parametrize("faster", ["launches"], indirect=True)
def test_a_model_that_cannot_be_recorded_runs_without_graphs(
    faster: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(forward: Forward, inputs: Tensor) -> Launch:
        if len(inputs) == 12:
            raise RuntimeError("operation not permitted when stream is capturing\nmore of it")
        return stand_in(forward, inputs)

    graphs = Graphs(Sums(), EXAMPLE, refuses)
    assert graphs.sizes == ()
    assert "without CUDA graphs: operation not permitted when stream is capturing" in caplog.text
    assert "more of it" not in caplog.text
    inputs = batch(3)
    assert torch.equal(graphs(inputs)[0], inputs.float().sum(dim=(1, 2, 3)))


@pytest.mark.parametrize("wrong", [1.1, float("nan")])
@pytest.mark.parametrize("faster", ["launches"], indirect=True)
def test_a_graph_with_different_outputs_is_never_used(
    faster: bool, wrong: float, caplog: pytest.LogCaptureFixture
) -> None:
    def off(forward: Forward, inputs: Tensor) -> Launch:
        launch = stand_in(forward, inputs)
        return (lambda: tuple(output * wrong for output in launch())) if len(inputs) == 12 else launch

    with caplog.at_level(logging.WARNING):
        assert 12 not in Graphs(Sums(), EXAMPLE, off).sizes
    assert "for 12 inputs gives different outputs" in caplog.text


@pytest.mark.parametrize("faster", ["launches"], indirect=True)
def test_threads_never_get_each_others_outputs(faster: bool, record: Record) -> None:
    def slow(forward: Forward, inputs: Tensor) -> Launch:
        launch = record(forward, inputs)

        def late() -> Outputs:
            time.sleep(0.002)
            return launch()

        return late

    graphs = Graphs(Sums(), EXAMPLE, slow)

    def own(number: int) -> bool:
        inputs = batch(3 * 2 ** (number % 4))
        return torch.equal(graphs(inputs)[0], inputs.float().sum(dim=(1, 2, 3)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(own, range(64)))


def test_only_sizes_that_are_faster_have_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the test's clock a plain pass takes 5 ms, and a launch 0 or 20 ms."""
    now_s = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)

    class Slow(Sums):
        def __call__(self, inputs: Tensor) -> Outputs:
            nonlocal now_s
            now_s += 0.005
            return super().__call__(inputs)

    def record(_forward: Forward, inputs: Tensor) -> Launch:
        launch = stand_in(Sums(), inputs)

        def late() -> Outputs:
            nonlocal now_s
            now_s += 0.02
            return launch()

        return late if len(inputs) > 24 else launch

    assert Graphs(Slow(), EXAMPLE, record).sizes == (3, 6, 12, 24)
