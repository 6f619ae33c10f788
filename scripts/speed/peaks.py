"""The most that this processor's arithmetic units give: matrix products on all cores, in GOP/s.

Of several runs in each precision the fastest counts, since other load only makes a run slower.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from checker.cores import available_cores
from models.openvino_ir import without_telemetry

_SIDE, _LAYERS = 1024, 6
_HINTS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16"), "int8": ("f32", "INT8")}


def peaks(seconds: float) -> dict[str, float]:
    """Return precision -> GOP/s (two for each multiply-add) of all cores together."""
    without_telemetry()
    import openvino

    core = openvino.Core()
    offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {
        precision: _measured(openvino, core, precision, hint, seconds)
        for precision, (hint, capability) in _HINTS.items()
        if capability in offered
    }


def _measured(openvino: Any, core: Any, precision: str, hint: str, seconds: float) -> float:
    cores = available_cores()
    config = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "INFERENCE_PRECISION_HINT": hint}
    compiled = core.compile_model(
        _chain(openvino, precision == "int8"), "CPU", {**config, "ENABLE_CPU_PINNING": False}
    )
    matrix = np.random.default_rng(1).random((_SIDE, _SIDE), dtype=np.float32)
    best_s = [float("inf")] * cores
    start_together = threading.Barrier(cores)

    def run(worker: int) -> None:
        request = compiled.create_infer_request()
        request.infer([matrix], share_inputs=True)
        start_together.wait()
        until_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < until_s:
            request.infer([matrix], share_inputs=True, share_outputs=True)
            best_s[worker] = min(best_s[worker], time.perf_counter() - started_s)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(_LAYERS * 2 * _SIDE**3 / 1e9 / time_s for time_s in best_s)


def _chain(openvino: Any, quantised: bool) -> Any:
    """Chain products, each of the previous one with constants: only the first and the last meet float32."""
    ops = openvino.opset13
    numbers = np.random.default_rng(0).standard_normal((_SIDE, _SIDE)).astype(np.float32) / 30

    def rounded(x: Any, low: float, high: float, levels: int) -> Any:
        ends = [ops.constant(np.float32(end)) for end in (low, high, low, high)]
        return ops.fake_quantize(x, *ends, levels)

    start = ops.parameter([_SIDE, _SIDE], openvino.Type.f32)
    x = start
    for _ in range(_LAYERS):
        weights = ops.constant(numbers)
        if quantised:
            x, weights = rounded(ops.relu(x), 0, 2.55, 256), rounded(weights, -0.127, 0.127, 255)
        x = ops.matmul(x, weights, False, False)
    return openvino.Model([x], [start])
