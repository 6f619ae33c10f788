"""Forward passes that are recorded once and then replayed by one launch each: CUDA graphs.

A small batch keeps a GPU waiting for the host, which starts some hundred kernels one after the other. A graph
starts them all at once, for one shape of input. Whether that pays depends on the network, the GPU and the
host, so it is tried out when the network is loaded.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Outputs = tuple[Tensor, ...]
Forward = Callable[[Tensor], Outputs]
"""A batch on the device to tensors of as many rows there."""
Replay = Callable[[], Outputs]
Record = Callable[[Forward, Tensor], Replay]
"""Of ``forward`` on that very tensor, which each replay reads again; it answers with the same tensors."""

STEP = 8
MOST = 64
"""Pictures. Beyond, a pass keeps a GPU busy for longer than the host takes to start its kernels."""
_SIZES = (2, *range(STEP, MOST + 1, STEP))
_TIMES = 5
_APART = 0.02
"""Of the largest output: kernels of another algorithm round otherwise, and fp16 has three digits."""


class Graphs:
    """``forward`` for any batch: a replay where that is faster, filled up to the next size.

    Thread-safe: replays share their input and their outputs, so they go one at a time.
    Memory: that of one pass of ``MOST`` pictures, kept.
    """

    def __init__(self, forward: Forward, picture: Tensor, record: Record) -> None:
        """Takes a second or two.

        Args:
            picture: any one, ``(1, ...)``, on the device.
            record: ``cuda_recorder()``.
        """
        self._forward, self._device, self._using = forward, picture.device, threading.Lock()
        self._replays: dict[int, tuple[Tensor, Replay]] = {}
        with torch.inference_mode():
            try:
                for size in reversed(_SIZES):  # the largest first: its memory does for the others
                    pictures = picture.repeat(size, *[1] * (picture.dim() - 1))
                    self._replays[size] = pictures, record(forward, pictures)
            except RuntimeError as error:  # out of memory, or an operator that can't be recorded
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                logger.warning("The network runs without CUDA graphs: %s", why)
                self._replays.clear()
            # When all are recorded: what one does to another's memory would show.
            self._replays = {size: self._replays[size] for size in self._replays if self._pays(size)}

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pictures in the batches that are replayed."""
        return tuple(sorted(self._replays))

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Outputs:
        """
        Args:
            batch: ``(N, ...)``, on the host.
        Returns:
            N rows each, on the host.
        """
        size = 2 if len(batch) <= 2 else -(-len(batch) // STEP) * STEP
        return self._replayed(size, batch) if size in self._replays else self._plain(batch)

    def _plain(self, batch: Tensor) -> Outputs:
        return tuple(output.cpu() for output in self._forward(batch.to(self._device)))

    def _replayed(self, size: int, batch: Tensor) -> Outputs:
        pictures, replay = self._replays[size]
        with self._using:
            pictures[: len(batch)].copy_(batch)
            return tuple(output[: len(batch)].cpu() for output in replay())

    def _pays(self, size: int) -> bool:
        batch = torch.randint_like(self._replays[size][0], 256, device="cpu")
        for said, expected in zip(self._replayed(size, batch), self._plain(batch), strict=True):
            if not (said - expected).abs().max() <= _APART * expected.abs().max():  # NaN as well
                logger.warning("The CUDA graph for %d pictures gives other numbers and is not used.", size)
                return False
        return _median_s(lambda: self._replayed(size, batch)) < _median_s(lambda: self._plain(batch))


def cuda_recorder() -> Record:
    """All that it records share one pool of memory."""
    pool = torch.cuda.graph_pool_handle()

    def record(forward: Forward, pictures: Tensor) -> Replay:
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):  # libraries choose their kernels and take their workspaces
            for _ in range(3):
                forward(pictures)
        here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Another network may be serving in another thread meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = forward(pictures)

        def replay() -> Outputs:
            graph.replay()
            return outputs

        return replay

    return record


def _median_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_TIMES):
        started_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started_s)
    return statistics.median(seconds)
