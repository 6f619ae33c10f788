"""CUDA graphs: forward passes that are recorded once and then started by a single launch. Off by default.

With a small batch a GPU waits for the host, which starts hundreds of kernels one after the other. A graph
starts them all at once, for one input shape. The gain depends on the model, the GPU and the host, so each
size is timed when the model is loaded. On an H200 a pass for one photo took 0.9 instead of 3.0 ms with
EfficientNet-Lite 0 and 1.2 instead of 5.0 ms with ResNet-50; from 96 inputs on there was no difference.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Callable

import torch
from torch import Tensor

from checker.runtimes.batch_sizes import SIZES

logger = logging.getLogger(__name__)

Outputs = tuple[Tensor, ...]
Forward = Callable[[Tensor], Outputs]
"""Takes a batch on the device; returns tensors on the device with one row per input."""
Launch = Callable[[], Outputs]
Record = Callable[[Forward, Tensor], Launch]
"""Records ``forward`` on a tensor: each launch reads that tensor again and returns the same outputs."""

MAX_INPUTS = 48
"""A larger batch keeps the GPU busy for longer than the host takes to start its kernels."""
_SIZES = tuple(size for size in SIZES if size <= MAX_INPUTS)
_TIMINGS = 5
_TOLERANCE = 0.02
"""Accepted difference as a share of the largest output: kernels with another algorithm round differently, and
fp16 has three digits."""


class Graphs:
    """A ``forward`` for any batch, which uses a graph for the sizes at which that is faster.

    Thread-safe: launches share their input and outputs, so they run one at a time.
    Memory: permanently that of one pass of ``MAX_INPUTS`` inputs.
    """

    def __init__(self, forward: Forward, example: Tensor, record: Record) -> None:
        """Record and time all sizes: 2 s for a ResNet-50 on an H200, 14 s for EfficientNet-Lite 0.

        Args:
            example: any input, ``(1, ...)``, on the device.
            record: ``cuda_recorder()``.
        """
        self._forward, self._device, self._launching = forward, example.device, threading.Lock()
        self._graphs: dict[int, tuple[Tensor, Launch]] = {}
        with torch.inference_mode():
            try:
                for size in reversed(_SIZES):  # the largest first: smaller graphs reuse its memory
                    inputs = example.repeat(size, *[1] * (example.dim() - 1))
                    self._graphs[size] = inputs, record(forward, inputs)
            except RuntimeError as error:  # out of memory, or an operator that can't be recorded
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                logger.warning("The model runs without CUDA graphs: %s", reason)
                self._graphs.clear()
            # Only once all graphs are recorded, so that effects of one graph on another's memory show.
            self._graphs = {size: self._graphs[size] for size in self._graphs if self._is_faster(size)}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes that have a graph."""
        return tuple(sorted(self._graphs))

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Outputs:
        """
        Args:
            batch: ``(N, ...)``, on the host.
        Returns:
            Tensors of N rows each, on the host.
        """
        return self._launched(batch) if len(batch) in self._graphs else self._plain(batch)

    def _plain(self, batch: Tensor) -> Outputs:
        return tuple(output.cpu() for output in self._forward(batch.to(self._device)))

    def _launched(self, batch: Tensor) -> Outputs:
        inputs, launch = self._graphs[len(batch)]
        with self._launching:
            inputs.copy_(batch)
            # Copied, because the next launch overwrites the outputs.
            return tuple(output.to("cpu", copy=True) for output in launch())

    def _is_faster(self, size: int) -> bool:
        """Compare a launch with a plain pass: first the outputs, then the time."""
        batch = torch.randint_like(self._graphs[size][0], 256, device="cpu")
        for launched, expected in zip(self._launched(batch), self._plain(batch), strict=True):
            if not (launched - expected).abs().max() <= _TOLERANCE * expected.abs().max():  # also for NaN
                logger.warning("The CUDA graph for %d inputs gives different outputs and is not used.", size)
                return False
        return _median_s(lambda: self._launched(batch)) < _median_s(lambda: self._plain(batch))


def cuda_recorder() -> Record:
    """Make a recorder whose graphs share one memory pool."""
    pool = torch.cuda.graph_pool_handle()

    def record(forward: Forward, inputs: Tensor) -> Launch:
        current, warm_up = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        warm_up.wait_stream(current)
        with torch.cuda.stream(warm_up):  # libraries select their kernels and allocate their workspaces
            for _ in range(3):
                forward(inputs)
        current.wait_stream(warm_up)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": another model may serve in another thread meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            outputs = forward(inputs)

        def launch() -> Outputs:
            graph.replay()
            return outputs

        return launch

    return record


def _median_s(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_TIMINGS):
        started_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started_s)
    return statistics.median(seconds)
