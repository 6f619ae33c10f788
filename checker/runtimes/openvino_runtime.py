"""The OpenVINO runtime: CPUs, in fp32, bf16 or int8. Imports neither torch nor torchvision.

A picture's numbers are the same to the last bit in any batch, on any number of threads.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels.decode import LIBRARIES
from checker.values import Activations, Floats, ModelInfo, Pixels
from models.catalogue import Entry, Preprocessing
from models.errors import ModelsError
from models.openvino_ir import Manifest, verify, without_telemetry

# In OpenVINO's words: what the arithmetic is, and what the processor must offer for it to be so.
_HINTS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16"), "int8": ("f32", "INT8")}
# Beyond eight the activations leave the cache, and each larger batch is slower.
_MOST_PICTURES = 8
# One photo: itself and its thumbnail.
_FEW_PICTURES = 2


class OpenVinoClassifier:
    """One network on the CPU. ``run`` may be called from any number of threads at once.

    ``workers`` calls run side by side, each on one compute thread: nothing waits for a thread that another
    process keeps off its core. One photo that comes when nobody else is here gets all cores: until the first
    burst as one stream of many threads, after it with each of its two pictures on a stream.

    Memory: about 100 MB for the libraries, the weights twice (as a file in memory and as the processor likes
    them; ResNet-50 in int8: 2 x 26 MB, in fp32: 2 x 102 MB), and 10 to 20 MB for each worker.
    """

    def __init__(self, entry: Entry, manifest: Manifest, *, workers: int = 0) -> None:
        """``workers``: 0 is one per core.

        Raises:
            ModelRefused: OpenVINO is missing, a file differs from the manifest, or the processor is unfit.
        """
        openvino = _openvino()
        try:
            verify(manifest)
        except ModelsError as error:
            raise ModelRefused(str(error)) from error
        self._core = openvino.Core()
        self._file, self._preprocessing = manifest.path, entry.preprocessing
        hint, capability = _HINTS[manifest.precision]
        if capability not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ModelRefused(
                f"This processor does not compute in {manifest.precision}; fp32 runs everywhere."
            )
        self._config = {"INFERENCE_PRECISION_HINT": hint, "ENABLE_CPU_PINNING": False}
        self._cores = len(os.sched_getaffinity(0))
        self._workers = workers or self._cores
        self._lonely: _Form | None = None
        self._burst: _Form | None = None
        self._compiling = threading.Lock()
        self._inside = 0
        self._counting = threading.Lock()
        versions = {name: importlib.metadata.version(name) for name in ("openvino", *LIBRARIES)}
        self._model_info = ModelInfo(
            model=entry.name,
            weights_sha256=manifest.weights_sha256,
            runtime="openvino",
            precision=manifest.precision,
            device="cpu",
            versions=versions,
        )

    @property
    def model_info(self) -> ModelInfo:
        return self._model_info

    @property
    def input_px(self) -> int:
        return self._preprocessing.input_px

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    def run(self, batch: Pixels) -> Activations:
        """See ``ports.Classifier``."""
        with self._alone() as alone:
            lonely = alone and len(batch) <= _FEW_PICTURES
            try:
                form = self._form(lonely)
                said = [part for some in _in_parts(batch) for part in form.infer(some, spread=lonely)]
            except (RuntimeError, MemoryError) as error:
                why = (str(error).strip() or type(error).__name__).splitlines()[-1]
                raise ClassifierFailed(f"The network failed on {len(batch)} pictures: {why}") from error
        logits, features = (np.concatenate(parts) for parts in zip(*said, strict=True))
        return Activations(logits, features, inputs_per_forward=min(len(batch), _MOST_PICTURES))

    def close(self) -> None:
        with self._compiling:
            self._lonely = self._burst = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        with self._counting:
            self._inside += 1
            alone = self._inside == 1
        try:
            yield alone
        finally:
            with self._counting:
                self._inside -= 1

    def _form(self, lonely: bool) -> _Form:
        """Compiled at its first use, in 0.1 to 0.3 s. Never both: each holds the weights."""
        with self._compiling:
            if self._burst is not None:
                return self._burst
            if lonely:
                self._lonely = self._lonely or self._compiled(streams=1, threads=self._cores)
                return self._lonely
            self._lonely = None
            self._burst = self._compiled(streams=self._workers, threads=self._workers)
            return self._burst

    def _compiled(self, *, streams: int, threads: int) -> _Form:
        config = {**self._config, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
        return _Form(self._core.compile_model(self._file, "CPU", config), streams)


class _Form:
    """A compiled network, with one infer request for each of its streams."""

    def __init__(self, compiled: Any, streams: int) -> None:
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(streams):
            self._free.put(compiled.create_infer_request())

    def infer(self, batch: Pixels, *, spread: bool) -> list[tuple[Floats, ...]]:
        """Logits and features, in one part or (``spread`` over two streams) in two.

        Waits for a request where more threads than streams come.
        """
        with self._request() as request:
            other = self._one_more() if spread and len(batch) > 1 else None
            if other is None:
                return [_said(request.infer([batch], share_inputs=True))]
            half = len(batch) // 2
            try:
                other.start_async([batch[half:]], share_inputs=True)
                first = _said(request.infer([batch[:half]], share_inputs=True))
                other.wait()
                second = _said(other.results)
            finally:
                other.wait()  # nobody may get a request that is still at work
                self._free.put(other)
            return [first, second]

    @contextlib.contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._free.get()
        try:
            yield request
        finally:
            self._free.put(request)

    def _one_more(self) -> Any | None:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            return None


def _in_parts(batch: Pixels) -> list[Pixels]:
    return [batch[start : start + _MOST_PICTURES] for start in range(0, len(batch), _MOST_PICTURES)]


def _said(results: Any) -> tuple[Floats, ...]:
    # Copies, as openvino hands them out by itself: the request's own arrays are the next caller's.
    return results["logits"], results["features"]


def _openvino() -> Any:
    without_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise ModelRefused(
            "The OpenVINO runtime is not installed here; `pip install openvino` brings it."
        ) from error
    # Its table of NumPy types is filled at the first use, behind a C++ guard that is held while the GIL
    # changes hands: two threads that come first together wait for each other for good. So: here, by one.
    openvino.Type.u8.to_dtype()
    np.asarray(openvino.Tensor(np.zeros(1, np.float32), shared_memory=True).data)
    return openvino
