"""The OpenVINO runtime, for CPUs: fp32, bf16 or int8. It imports neither torch nor torchvision.

The outputs for an input are the same to the last bit in any batch and on any number of threads.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from checker.decision.orientation import orientation_version
from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels.decode import LIBRARIES
from checker.process.cores import available_cores
from checker.process.heap import give_memory_back
from checker.runtimes.finite import refuse_not_finite
from checker.runtimes.in_flight import IDLE_S, InFlight
from checker.runtimes.openvino_import import shared_core
from checker.values import INPUTS_PER_PHOTO, Activations, Floats, ModelInfo, Pixels
from models.catalogue import Entry, Preprocessing
from models.errors import ModelsError
from models.openvino_ir import Manifest, verify
from models.processor import cpu_flags, instruction_sets

# Precision -> OpenVINO's inference precision, and the capability that the processor must have for it.
HINTS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16"), "int8": ("f32", "INT8")}
# With more inputs the activations no longer fit into the cache, and larger batches are slower.
_MAX_INPUTS = 9


class OpenVinoClassifier:
    """One model on the CPU. ``run`` may be called from any number of threads at once.

    ``workers`` calls run in parallel, each on one compute thread, so that no call waits for a thread that
    another process has displaced from its core. A single photo gets several cores while no other call is in
    flight: before the first larger load, one stream with a thread per core; afterwards, two streams that
    share its inputs.

    Memory: about 100 MB for the libraries, the weights twice (the file, and the processor's layout;
    ResNet-50 in int8: 2 x 26 MB, in fp32: 2 x 102 MB), and buffers: 12 MB for single photos, 30 to 35 MB for
    each worker with full batches. An idle model gives the buffers back.
    """

    def __init__(self, entry: Entry, manifest: Manifest, *, workers: int = 0, idle_s: float = IDLE_S) -> None:
        """
        Args:
            workers: number of calls that run in parallel; 0: one per core.
            idle_s: time after the last call at which memory is given back.
        Raises:
            ModelRefused: OpenVINO is missing, a file differs from the manifest, or the processor lacks the
                precision.
        """
        core = shared_core()
        try:
            verify(manifest)
        except ModelsError as error:
            raise ModelRefused(str(error)) from error
        self._core = core
        self._file, self._preprocessing = manifest.path, entry.preprocessing
        hint, capability = HINTS[manifest.precision]
        if capability not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ModelRefused(
                f"This processor does not compute in {manifest.precision}; fp32 runs everywhere."
            )
        self._config = {"INFERENCE_PRECISION_HINT": hint, "ENABLE_CPU_PINNING": False}
        self._cores = available_cores()
        self._workers = workers or self._cores
        self._latency_model: _CompiledModel | None = None
        self._throughput_model: _CompiledModel | None = None
        self._compiling = threading.Lock()
        self._closed = False
        self._in_flight = InFlight(self._release_memory, idle_s)
        versions = {name: importlib.metadata.version(name) for name in ("openvino", *LIBRARIES)}
        versions["processor"] = instruction_sets(cpu_flags())
        versions |= orientation_version(manifest.weights_sha256, manifest.source_sha256)
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
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    def run(self, batch: Pixels) -> Activations:
        """See ``ports.Classifier``."""
        with self._in_flight.call() as calls:
            single = calls == 1 and len(batch) <= INPUTS_PER_PHOTO
            try:
                model = self._model(single)
                outputs = [part for chunk in _chunks(batch) for part in model.infer(chunk, spread=single)]
            except (RuntimeError, MemoryError) as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
                raise ClassifierFailed(f"The model failed on {len(batch)} inputs: {reason}") from error
        logits, features = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        refuse_not_finite(logits, self._model_info.device)
        return Activations(logits, features, min(len(batch), _MAX_INPUTS))

    def close(self) -> None:
        """Release the compiled models; see ``ports.Classifier``."""
        self._in_flight.close()
        with self._compiling:
            self._closed = True
            self._latency_model = self._throughput_model = None

    def _model(self, single: bool) -> _CompiledModel:
        """Compile the model at first use, in 0.1 to 0.3 s. Only one model is kept: each holds the weights."""
        with self._compiling:
            if self._closed:
                raise ClassifierFailed("The model is closed.")
            if self._throughput_model is not None:
                return self._throughput_model
            if single:
                if self._latency_model is None:
                    self._latency_model = self._compile(streams=1, threads=self._cores)
                return self._latency_model
            self._latency_model = None
            self._throughput_model = self._compile(streams=self._workers, threads=self._workers)
            return self._throughput_model

    def _compile(self, *, streams: int, threads: int) -> _CompiledModel:
        config = {**self._config, "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads}
        return _CompiledModel(self._core.compile_model(self._file, "CPU", config), streams)

    def _release_memory(self) -> None:
        """Release what the idle model keeps for the next call, which takes a few milliseconds longer."""
        for model in (self._latency_model, self._throughput_model):
            if model is not None:
                model.release_memory()
        give_memory_back()


class _CompiledModel:
    """OpenVINO's compiled model, with one infer request for each of its streams."""

    def __init__(self, compiled: Any, streams: int) -> None:
        self._compiled = compiled
        self._free_requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(streams):
            self._free_requests.put(compiled.create_infer_request())

    def infer(self, batch: Pixels, *, spread: bool) -> list[tuple[Floats, ...]]:
        """Return logits and features in one part, or in two parts if two streams share the work (``spread``).

        Waits for a free request if there are more callers than streams.
        """
        with self._request() as request:
            second_request = self._spare_request() if spread and len(batch) > 1 else None
            if second_request is None:
                return [_outputs(request.infer([batch], share_inputs=True))]
            half = len(batch) // 2
            try:
                second_request.start_async([batch[half:]], share_inputs=True)
                first = _outputs(request.infer([batch[:half]], share_inputs=True))
                second_request.wait()
                second = _outputs(second_request.results)
            finally:
                try:
                    second_request.wait()  # another caller must not get a request that still runs
                finally:
                    self._free_requests.put(second_request)
            return [first, second]

    def release_memory(self) -> None:
        """Release the buffers of all streams. No request may run meanwhile."""
        self._compiled.release_memory()

    @contextlib.contextmanager
    def _request(self) -> Iterator[Any]:
        request = self._free_requests.get()
        try:
            yield request
        finally:
            self._free_requests.put(request)

    def _spare_request(self) -> Any | None:
        try:
            return self._free_requests.get_nowait()
        except queue.Empty:
            return None


def _chunks(batch: Pixels) -> list[Pixels]:
    return [batch[start : start + _MAX_INPUTS] for start in range(0, len(batch), _MAX_INPUTS)]


def _outputs(results: Any) -> tuple[Floats, ...]:
    # openvino returns copies by default; the next call overwrites the arrays of the request itself.
    return results["logits"], results["features"]
