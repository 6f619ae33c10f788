"""The batcher: company in one forward pass, and everybody gets their own."""

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
FOREVER_MS = 60_000.0
POISON = 255


class Counting:
    """Says of each picture its first byte, all in one pass; and keeps how large the passes were."""

    model_info = ModelInfo("counting", "ab" * 32, "torch", "fp16", "cuda:0 none")
    preprocessing: Preprocessing = ENTRY.preprocessing
    input_px = 1

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.threads: set[str] = set()
        self.closed = False
        self.entered, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()

    def run(self, batch: Pixels) -> Activations:
        self.entered.set()
        self.may_go.wait(10)
        self.passes.append(len(batch))
        self.threads.add(threading.current_thread().name)
        if (batch == POISON).any():
            raise ClassifierFailed("poison")
        said = batch.reshape(len(batch), -1)[:, :1].astype(np.float32)
        return Activations(said, -said)

    def close(self) -> None:
        self.closed = True


def pictures(*values: int) -> Pixels:
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)


def test_batches_that_come_together_share_a_pass_and_get_their_own_rows() -> None:
    inner = Counting()
    # It would wait for good: only a full pass ends the waiting.
    batcher = Batcher(inner, wait_ms=FOREVER_MS, most_pictures=8)
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda n: batcher.run(pictures(2 * n, 2 * n + 1)), range(4)))
    assert inner.passes == [8]
    assert inner.threads == {"forward"}
    for n, own in enumerate(said):
        assert own.logits.ravel().tolist() == [2 * n, 2 * n + 1]
        assert own.features.ravel().tolist() == [-2 * n, -2 * n - 1]
        assert own.inputs_per_forward == 8
    batcher.close()
    assert inner.closed


def test_a_lonely_batch_does_not_wait_for_good() -> None:
    batcher = Batcher(Counting(), wait_ms=1)
    assert batcher.run(pictures(7)).logits.tolist() == [[7.0]]
    batcher.close()


def test_a_pass_never_grows_beyond_its_bound() -> None:
    inner = Counting()
    batcher = Batcher(inner, wait_ms=20, most_pictures=4)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: batcher.run(pictures(n, n, n)), range(6)))
    assert sum(inner.passes) == 18
    assert max(inner.passes) == 3  # two batches of three would be six
    batcher.run(pictures(*range(9)))  # one that is larger by itself goes through
    assert inner.passes[-1] == 9
    batcher.close()


def test_nobody_fails_for_the_companys_sake() -> None:
    inner = Counting()
    batcher = Batcher(inner, wait_ms=FOREVER_MS, most_pictures=6)

    def run(value: int) -> Activations | ClassifierFailed:
        try:
            return batcher.run(pictures(value, value))
        except ClassifierFailed as error:
            return error

    with ThreadPoolExecutor(3) as pool:
        first, poisoned, last = pool.map(run, [1, POISON, 3])
    assert isinstance(poisoned, ClassifierFailed)
    assert isinstance(first, Activations)
    assert isinstance(last, Activations)
    assert first.logits.ravel().tolist() == [1, 1]
    assert last.logits.ravel().tolist() == [3, 3]
    assert first.inputs_per_forward == 2  # as it really ran
    batcher.close()


def test_what_is_at_work_at_the_end_is_still_done_and_nothing_after_it() -> None:
    inner = Counting()
    inner.may_go.clear()
    batcher = Batcher(inner, wait_ms=0)
    with ThreadPoolExecutor(2) as pool:
        at_work = pool.submit(batcher.run, pictures(5))
        assert inner.entered.wait(10)
        closing = pool.submit(batcher.close)
        inner.may_go.set()
        assert at_work.result(timeout=10).logits.tolist() == [[5.0]]
        closing.result(timeout=10)
    with pytest.raises(ClassifierFailed, match="closed"):
        batcher.run(pictures(1))


def test_with_a_real_network_everybody_gets_what_they_would_get_alone() -> None:
    network = TorchClassifier(ENTRY, PATH, device="cpu")
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8) for _ in range(4)]
    alone = [network.run(batch).logits for batch in batches]
    batcher = Batcher(network, wait_ms=50)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(batcher.run, batches))
    for wanted, found in zip(alone, together, strict=True):
        assert np.array_equal(wanted, found.logits)
    batcher.close()
