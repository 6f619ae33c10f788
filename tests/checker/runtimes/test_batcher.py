"""The batcher: micro-batches share a forward pass, and each caller gets its own rows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from checker.errors import ClassifierFailed
from checker.runtimes.batcher import Batcher
from checker.runtimes.torch_runtime import TorchClassifier
from checker.values import Activations, ModelInfo, Pixels
from models.catalogue import Preprocessing, resolve

ENTRY, PATH = resolve("efficientnet_lite0", Path())
ENDLESS_MS = 60_000.0
POISON = 255


class FirstByte:
    """A classifier whose logit is the first byte of each input; records the size of each forward pass."""

    model_info = ModelInfo("first-byte", "ab" * 32, "torch", "fp16", "cuda:0 none")
    preprocessing: Preprocessing = ENTRY.preprocessing

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.threads: set[str] = set()
        self.closed = False
        self.running, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def run(self, batch: Pixels) -> Activations:
        self.running.set()
        assert self.gate.wait(60)
        self.passes.append(len(batch))
        self.threads.add(threading.current_thread().name)
        if (batch == POISON).any():
            raise ClassifierFailed("poison")
        first_bytes = batch.reshape(len(batch), -1)[:, :1].astype(np.float32)
        return Activations(first_bytes, -first_bytes)

    def close(self) -> None:
        self.closed = True


def inputs(*values: int) -> Pixels:
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)


def test_batches_in_one_window_share_a_pass_and_get_their_own_rows() -> None:
    inner = FirstByte()
    # With an endless window only a full pass ends the waiting.
    batcher = Batcher(inner, window_ms=ENDLESS_MS, max_inputs=8)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: batcher.run(inputs(2 * n, 2 * n + 1)), range(4)))
    assert inner.passes == [8]
    assert inner.threads == {"forward"}
    for n, result in enumerate(results):
        assert result.logits.ravel().tolist() == [2 * n, 2 * n + 1]
        assert result.features.ravel().tolist() == [-2 * n, -2 * n - 1]
        assert result.inputs_per_forward == 8
    batcher.close()
    assert inner.closed


def test_without_a_window_batches_share_the_pass_after_the_running_one() -> None:
    inner = FirstByte()
    inner.gate.clear()
    batcher = Batcher(inner)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher.run, inputs(0))
        assert inner.running.wait(60)
        others = [pool.submit(batcher.run, inputs(n, n)) for n in (1, 2, 3)]
        with batcher._changed:
            assert batcher._changed.wait_for(lambda: len(batcher._waiting) == 3, 60)
        inner.gate.set()
        assert first.result(60).logits.ravel().tolist() == [0]
        assert [other.result(60).logits.ravel().tolist() for other in others] == [[1, 1], [2, 2], [3, 3]]
    assert inner.passes == [1, 6]
    batcher.close()


def test_a_single_batch_runs_when_the_window_ends() -> None:
    batcher = Batcher(FirstByte(), window_ms=1)
    assert batcher.run(inputs(7)).logits.tolist() == [[7.0]]
    batcher.close()


def test_a_pass_never_exceeds_its_bound() -> None:
    inner = FirstByte()
    batcher = Batcher(inner, window_ms=20, max_inputs=4)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: batcher.run(inputs(n, n, n)), range(6)))
    assert sum(inner.passes) == 18
    assert max(inner.passes) == 3  # two batches of three would be six
    batcher.run(inputs(*range(9)))  # a batch above the bound runs in its own pass
    assert inner.passes[-1] == 9
    batcher.close()


def test_one_failing_request_does_not_fail_the_batch() -> None:
    inner = FirstByte()
    batcher = Batcher(inner, window_ms=ENDLESS_MS, max_inputs=6)

    def run(value: int) -> Activations | ClassifierFailed:
        try:
            return batcher.run(inputs(value, value))
        except ClassifierFailed as error:
            return error

    with ThreadPoolExecutor(3) as pool:
        first, poisoned, last = pool.map(run, [1, POISON, 3])
    assert isinstance(poisoned, ClassifierFailed)
    assert isinstance(first, Activations)
    assert isinstance(last, Activations)
    assert first.logits.ravel().tolist() == [1, 1]
    assert last.logits.ravel().tolist() == [3, 3]
    assert first.inputs_per_forward == 2  # it ran again, alone
    batcher.close()


def test_close_finishes_the_running_pass_and_refuses_later_calls() -> None:
    inner = FirstByte()
    inner.gate.clear()
    batcher = Batcher(inner)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(batcher.run, inputs(5))
        assert inner.running.wait(60)
        closing = pool.submit(batcher.close)
        inner.gate.set()
        assert running.result(timeout=60).logits.tolist() == [[5.0]]
        closing.result(timeout=60)
    with pytest.raises(ClassifierFailed, match="closed"):
        batcher.run(inputs(1))


def test_a_real_model_gives_the_same_logits_in_a_shared_pass() -> None:
    model = TorchClassifier(ENTRY, PATH, device="cpu")
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8) for _ in range(4)]
    expected = [model.run(batch).logits for batch in batches]
    batcher = Batcher(model, window_ms=50)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(batcher.run, batches))
    for logits, result in zip(expected, results, strict=True):
        assert np.array_equal(result.logits, logits)
    batcher.close()
