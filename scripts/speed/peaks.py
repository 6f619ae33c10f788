"""The peak rate of this processor's arithmetic units: products on all cores, in GOP/s.

The peak is the faster of matrix products and 1x1 convolutions, because without VNNI, OpenVINO's int8 is fast
only in convolutions. The fastest of several runs counts, because other load can only slow a run down.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from checker.process.cores import available_cores
from checker.runtimes.openvino_runtime import HINTS
from models.openvino_package import prepare_import

_LAYERS = 6
_SIDE = 1024
_CHANNELS, _MAP_SIDE = 512, 28
Chain = tuple[Any, int]
"""A model, and its number of operations."""
Shape = tuple[int, ...]


def peaks(seconds: float) -> dict[str, float]:
    """Return precision -> GOP/s (two for each multiply-add) of all cores together."""
    prepare_import()
    import openvino

    core = openvino.Core()
    offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        precision: max(
            _measured(core, chain, hint, seconds / 2)
            for chain in (_products(openvino, precision), _convolutions(openvino, precision))
        )
        for precision, (hint, capability) in HINTS.items()
        if capability in offered
    }


def _measured(core: Any, chain: Chain, hint: str, seconds: float) -> float:
    model, operations = chain
    cores = available_cores()
    config = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "INFERENCE_PRECISION_HINT": hint}
    compiled = core.compile_model(model, "CPU", {**config, "ENABLE_CPU_PINNING": False})
    values = np.random.default_rng(1).random(tuple(model.input(0).shape), dtype=np.float32)
    best_s = [math.inf] * cores
    start_together = threading.Barrier(cores)

    def run(worker: int) -> None:
        request = compiled.create_infer_request()
        request.infer([values], share_inputs=True)
        start_together.wait()
        until_s = time.perf_counter() + seconds
        best_s[worker] = fastest_s(
            lambda: request.infer([values], share_inputs=True, share_outputs=True), until_s
        )

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(operations / 1e9 / time_s for time_s in best_s)


def fastest_s(
    run: Callable[[], object], until_s: float, clock_s: Callable[[], float] = time.perf_counter
) -> float:
    """Call ``run`` repeatedly until ``until_s`` on the clock; return the shortest duration of a call.

    A call that ends later counts only if it is the first: by then the other cores may be idle, and a core is
    faster while its neighbours are idle.
    """
    best_s = math.inf
    while (started_s := clock_s()) < until_s:
        run()
        ended_s = clock_s()
        if ended_s <= until_s or math.isinf(best_s):
            best_s = min(best_s, ended_s - started_s)
    return best_s


def _products(openvino: Any, precision: str) -> Chain:
    multiply = partial(openvino.opset13.matmul, transpose_a=False, transpose_b=False)
    square = (_SIDE, _SIDE)
    return _chain(openvino, precision, square, square, multiply), _LAYERS * 2 * _SIDE**3


def _convolutions(openvino: Any, precision: str) -> Chain:
    convolve = partial(
        openvino.opset13.convolution, strides=[1, 1], pads_begin=[0, 0], pads_end=[0, 0], dilations=[1, 1]
    )
    shape, weights = (1, _CHANNELS, _MAP_SIDE, _MAP_SIDE), (_CHANNELS, _CHANNELS, 1, 1)
    return _chain(openvino, precision, shape, weights, convolve), _LAYERS * 2 * _CHANNELS**2 * _MAP_SIDE**2


def _chain(
    openvino: Any, precision: str, shape: Shape, weights_shape: Shape, product: Callable[[Any, Any], Any]
) -> Any:
    """Return a chain of products with constants; only its first input and last output are float32."""
    ops = openvino.opset13
    numbers = np.random.default_rng(0).standard_normal(weights_shape).astype(np.float32) / 30

    def rounded(x: Any, low: float, high: float, levels: int) -> Any:
        ends = [ops.constant(np.float32(end)) for end in (low, high, low, high)]
        return ops.fake_quantize(x, *ends, levels)

    start = ops.parameter(list(shape), openvino.Type.f32)
    x = start
    for _ in range(_LAYERS):
        weights = ops.constant(numbers)
        if precision == "int8":
            x, weights = rounded(ops.relu(x), 0, 2.55, 256), rounded(weights, -0.127, 0.127, 255)
        x = product(x, weights)
    return openvino.Model([x], [start])
