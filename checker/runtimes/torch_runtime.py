"""The torch runtime: CPU (fp32, bf16) and CUDA (fp16, bf16, fp32)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from checker.decision.orientation import orientation_version
from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels import nvjpeg
from checker.pixels.decode import LIBRARIES
from checker.runtimes.batch_sizes import next_size
from checker.runtimes.finite import refuse_not_finite
from checker.runtimes.prepack import pack
from checker.values import INPUTS_PER_PHOTO, Activations, Floats, ModelInfo, Pixels
from models.build import build, fold_batch_norms
from models.catalogue import Entry, Preprocessing
from models.digest import verify
from models.processor import cpu_flags, instruction_sets

if TYPE_CHECKING:
    from checker.runtimes.cuda_graphs import Graphs

INPUTS_PER_FORWARD = INPUTS_PER_PHOTO
"""Number of inputs in every forward pass on a CPU: the inputs of one photo.

oneDNN selects kernels by shape, and different kernels round differently (by up to 6e-6 in a logit). With one
shape and one thread, the outputs for a photo are bitwise equal alone, in a batch of 64, and in a replay. In
fp32 this costs no time (EfficientNet-Lite is even fastest this way, because larger activations do not fit
into the cache); for ResNets in bf16 it costs a tenth.
"""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchClassifier:
    """One model on one device. ``run`` may be called from several threads: it writes no shared state.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto`` is fp32 on the CPU and fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU, set for each thread that calls ``run``.
        inputs_per_forward: 0: the sizes of ``batch_sizes``, which a GPU always uses.
        cuda_graphs: on a GPU, use recorded passes for the sizes at which they are faster.
    Raises:
        ModelRefused: the device is missing, or does not support the precision.
        models.errors.ModelsError: the weights differ from the catalogue.
    """

    def __init__(
        self,
        entry: Entry,
        path: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        inputs_per_forward: int = INPUTS_PER_FORWARD,
        cuda_graphs: bool = False,
    ) -> None:
        self._device = _device(device)
        on_gpu = self._device.type == "cuda"
        if precision == "auto":
            precision = "fp16" if on_gpu else "fp32"
        if precision not in _DTYPES or (precision == "fp16" and not on_gpu):
            raise ModelRefused(f"torch does not run {precision} on {self._device.type}.")
        self._dtype, self._threads = _DTYPES[precision], threads
        self._inputs_per_forward = 0 if on_gpu else inputs_per_forward
        self._preprocessing = preprocessing = entry.preprocessing
        if preprocessing.decoder == "nvjpeg" and not (on_gpu and nvjpeg.is_installed()):
            raise ModelRefused("Decoder nvjpeg needs a GPU and `pip install 'catloader[nvjpeg]'`.")
        digest = verify(entry, path)
        model = fold_batch_norms(build(entry, path)).to(self._device, self._dtype)
        model = model.to(memory_format=torch.channels_last)
        side = preprocessing.input_px
        if not on_gpu:
            example = torch.zeros(inputs_per_forward or INPUTS_PER_FORWARD, 3, side, side, dtype=self._dtype)
            torch.set_num_threads(threads)
            pack(model, example.contiguous(memory_format=torch.channels_last))
        self._model: torch.nn.Module | None = model
        # (x / scale - mean) / std as one multiplication and one addition, in float32, on the device.
        mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
        self._scale, self._shift = (
            torch.tensor(values, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
            for values in (1 / (preprocessing.scale * std), -mean / std)
        )
        self._graphs: Graphs | None = None
        if on_gpu and cuda_graphs:
            from checker.runtimes.cuda_graphs import Graphs, cuda_recorder

            blank = torch.zeros(1, side, side, 3, dtype=torch.uint8, device=self._device)
            self._graphs = Graphs(self._forward_on_device, blank, cuda_recorder())
        libraries = ["torch", *LIBRARIES] + ["torchcodec"] * (preprocessing.decoder == "nvjpeg")
        versions = {name: importlib.metadata.version(name) for name in libraries}
        if not on_gpu:
            versions["processor"] = instruction_sets(cpu_flags())
        versions |= orientation_version(digest)
        self._model_info = ModelInfo(
            model=entry.name,
            weights_sha256=digest,
            runtime="torch",
            precision=precision,
            device=f"{self._device} {torch.cuda.get_device_name(self._device)}" if on_gpu else "cpu",
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
        if self._device.type == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # OpenMP keeps this number for each calling thread
        try:
            outputs = [self._forward(chunk) for chunk in self._chunks(batch)]
        # torch.OutOfMemoryError is a RuntimeError; the CPU's allocator raises a plain RuntimeError.
        except (RuntimeError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ClassifierFailed(f"The model failed on {len(batch)} inputs: {reason}") from error
        features, logits = (np.concatenate(arrays)[: len(batch)] for arrays in zip(*outputs, strict=True))
        refuse_not_finite(logits, self._model_info.device)
        return Activations(logits, features, self._inputs_per_forward)

    def close(self) -> None:
        """Release the weights; no ``run`` may be in flight."""
        self._model = self._graphs = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _chunks(self, batch: Pixels) -> Iterator[Pixels]:
        """Yield the batches of the forward passes; the last batch is padded with zeros."""
        while len(batch):
            size = self._inputs_per_forward or next_size(len(batch))
            chunk, batch = batch[:size], batch[size:]
            if len(chunk) < size:
                padding = np.zeros_like(chunk, shape=(size - len(chunk), *chunk.shape[1:]))
                chunk = np.concatenate([chunk, padding])
            yield chunk

    @torch.inference_mode()
    def _forward(self, batch: Pixels) -> tuple[Floats, Floats]:
        pixels = torch.from_numpy(batch)
        if self._graphs is not None:
            outputs = self._graphs(pixels)
        else:
            outputs = self._forward_on_device(pixels.to(self._device))
        features, logits = (output.cpu().numpy() for output in outputs)
        return features, logits

    def _forward_on_device(self, pixels: Tensor) -> tuple[Tensor, ...]:
        if self._model is None:
            raise ClassifierFailed("The model is closed.")
        # A view of NHWC bytes as NCHW is channels_last without a copy. Sending bytes to a GPU takes a quarter
        # of the traffic of floats.
        channels_first = pixels.permute(0, 3, 1, 2)
        outputs = self._model((channels_first * self._scale + self._shift).to(self._dtype))
        return tuple(output.float() for output in outputs)


def _device(name: str) -> torch.device:
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if name == "cuda":
        raise ModelRefused("Device cuda was requested, but torch finds no GPU here; use auto or cpu.")
    return torch.device("cpu")
