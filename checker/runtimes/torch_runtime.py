"""The torch runtime: CPU (fp32, bf16) and CUDA (fp16, bf16, fp32)."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels import nvjpeg
from checker.pixels.decode import LIBRARIES
from checker.runtimes.cuda_graphs import Graphs, cuda_recorder
from checker.runtimes.prepack import pack
from checker.values import Activations, Floats, ModelInfo, Pixels
from models.build import build, fold_batch_norms, verify
from models.catalogue import Entry, Preprocessing

PICTURES_PER_FORWARD = 2
"""On a CPU every forward pass has this shape: one photo with its thumbnail.

The kernels choose their way by the shape, and another way rounds differently (by up to 6e-6 in a logit): with
one shape and one thread a photo gets the same bits alone, among 64, and in a replay. It costs nothing with
fp32 (EfficientNet-Lite is fastest so: larger activations fall out of the cache), a tenth with bf16 ResNets.
"""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchClassifier:
    """One network on one device. ``run`` is safe from several threads: it writes nothing they share.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto`` is fp32 on the CPU and fp16 on a GPU.
        threads: compute threads of one forward pass on the CPU, set for each thread that calls ``run``.
        inputs_per_forward: 0: all of a batch at once; always so on a GPU.
    Raises:
        ModelRefused: no such device, or a precision it does not run.
        models.errors.ModelsError: the weights do not hold.
    """

    def __init__(
        self,
        entry: Entry,
        path: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 1,
        inputs_per_forward: int = PICTURES_PER_FORWARD,
    ) -> None:
        self._device = _device(device)
        on_gpu = self._device.type == "cuda"
        if precision == "auto":
            precision = "fp16" if on_gpu else "fp32"
        if precision not in _DTYPES or (precision == "fp16" and not on_gpu):
            raise ModelRefused(f"torch does not run {precision} on {self._device.type}.")
        self._dtype, self._threads = _DTYPES[precision], threads
        self._pictures_per_forward = 0 if on_gpu else inputs_per_forward
        self._preprocessing = way = entry.preprocessing
        if way.decoder == "nvjpeg" and not (on_gpu and nvjpeg.is_installed()):
            raise ModelRefused("Decoder nvjpeg needs a GPU and `pip install torchcodec`.")
        digest = verify(entry, path)
        network = fold_batch_norms(build(entry, path)).to(self._device, self._dtype)
        network = network.to(memory_format=torch.channels_last)
        if not on_gpu:
            size = (inputs_per_forward or PICTURES_PER_FORWARD, 3, way.input_px, way.input_px)
            example = torch.zeros(size, dtype=self._dtype).contiguous(memory_format=torch.channels_last)
            torch.set_num_threads(threads)
            pack(network, example)
        self._network: torch.nn.Module | None = network
        # (x / scale - mean) / std as one multiply and one add, in float32, on the device.
        mean, std = np.array(way.mean), np.array(way.std)
        self._scale, self._shift = (
            torch.tensor(values, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
            for values in (1 / (way.scale * std), -mean / std)
        )
        self._graphs: Graphs | None = None
        if on_gpu:
            picture = torch.zeros(1, way.input_px, way.input_px, 3, dtype=torch.uint8, device=self._device)
            self._graphs = Graphs(self._on_device, picture, cuda_recorder())
        libraries = ["torch", *LIBRARIES] + ["torchcodec"] * (way.decoder == "nvjpeg")
        self._model_info = ModelInfo(
            model=entry.name,
            weights_sha256=digest,
            runtime="torch",
            precision=precision,
            device=f"{self._device} {torch.cuda.get_device_name(self._device)}" if on_gpu else "cpu",
            versions={name: importlib.metadata.version(name) for name in libraries},
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
        if self._device.type == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # OpenMP keeps this number for each calling thread
        try:
            passes = [self._forward(part) for part in self._parts(batch)]
        # torch.OutOfMemoryError is a RuntimeError; the CPU's allocator raises the plain one.
        except (RuntimeError, MemoryError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ClassifierFailed(f"The network failed on {len(batch)} pictures: {why}") from error
        features, logits = (np.concatenate(arrays)[: len(batch)] for arrays in zip(*passes, strict=True))
        if not np.isfinite(logits).all():
            raise ClassifierFailed(f"The network gave no finite numbers on {self._model_info.device}.")
        return Activations(logits, features, self._pictures_per_forward)

    def close(self) -> None:
        """Lets go of the weights; ``run`` must not be under way."""
        self._network = self._graphs = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _parts(self, batch: Pixels) -> Iterator[Pixels]:
        size = self._pictures_per_forward or len(batch)
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            if len(part) < size:
                part = np.concatenate([part, np.zeros_like(part, shape=(size - len(part), *part.shape[1:]))])
            yield part

    @torch.inference_mode()
    def _forward(self, batch: Pixels) -> tuple[Floats, Floats]:
        pictures = torch.from_numpy(batch)
        outputs = self._on_device(pictures) if self._graphs is None else self._graphs(pictures)
        features, logits = (output.numpy() for output in outputs)
        return features, logits

    def _on_device(self, pictures: Tensor) -> tuple[Tensor, ...]:
        if self._network is None:
            raise ClassifierFailed("The network is closed.")
        # NHWC bytes seen as NCHW: channels_last without a copy, and a quarter of the traffic to a GPU.
        pixels = pictures.permute(0, 3, 1, 2)
        outputs = self._network((pixels * self._scale + self._shift).to(self._dtype))
        return tuple(output.float() for output in outputs)


def _device(name: str) -> torch.device:
    if name != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if name == "cuda":
        raise ModelRefused("Device cuda was asked for, but torch finds no GPU here; auto or cpu would run.")
    return torch.device("cpu")
