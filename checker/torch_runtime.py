"""The torch runtime: CPU (fp32, bf16) and CUDA (fp16, bf16, fp32)."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import torch

from checker.errors import ClassifierFailed, ModelRefused
from checker.ports import Activations, ModelStamp, Pixels
from models.build import build, fold_batch_norms, verify
from models.catalogue import Entry, Preprocessing

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchClassifier:
    """One network on one device. ``run`` is safe from several threads: nothing in it is written."""

    def __init__(
        self, entry: Entry, path: Path, *, device: str = "auto", precision: str = "auto", threads: int = 1
    ) -> None:
        self._device = _device(device)
        on_gpu = self._device.type == "cuda"
        if precision == "auto":
            precision = "fp16" if on_gpu else "fp32"
        if precision not in _DTYPES or (precision == "fp16" and not on_gpu):
            raise ModelRefused(f"torch on {self._device.type} does not run {precision}.")
        self._threads = threads
        self._dtype = _DTYPES[precision]
        self._preprocessing = entry.preprocessing
        digest = verify(entry, path)
        network = fold_batch_norms(build(entry, path))
        self._network = network.to(self._device, self._dtype).to(memory_format=torch.channels_last)
        way = entry.preprocessing
        # (x / scale - mean) / std as one multiply and one add, in float32 on the device.
        scale = 1 / (way.scale * np.array(way.std))
        shift = -np.array(way.mean) / np.array(way.std)
        self._scale = torch.tensor(scale, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._shift = torch.tensor(shift, dtype=torch.float32, device=self._device).view(1, 3, 1, 1)
        self._stamp = ModelStamp(
            model=entry.name,
            weights_sha256=digest,
            runtime="torch",
            precision=precision,
            device=f"cuda:{self._device.index or 0} {torch.cuda.get_device_name(self._device)}"
            if on_gpu
            else "cpu",
            versions={name: importlib.metadata.version(name) for name in ("torch", "numpy", "pillow")},
        )

    @property
    def stamp(self) -> ModelStamp:
        return self._stamp

    @property
    def input_px(self) -> int:
        return self._preprocessing.input_px

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    def run(self, batch: Pixels) -> Activations:
        """See ``ports.Classifier``."""
        if self._device.type == "cpu" and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # of the calling thread: OpenMP keeps one number each
        try:
            with torch.inference_mode():
                # NHWC bytes seen as NCHW: channels_last without a copy.
                pixels = torch.from_numpy(batch).to(self._device).permute(0, 3, 1, 2)
                features, logits = self._network((pixels * self._scale + self._shift).to(self._dtype))
                return Activations(
                    logits=logits.float().cpu().numpy(), features=features.float().cpu().numpy()
                )
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise ClassifierFailed(
                f"The network failed on {len(batch)} pictures: {str(error).splitlines()[0]}"
            ) from error

    def close(self) -> None:
        del self._network


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelRefused("CATCHECK_DEVICE=cuda, but torch finds no GPU here; auto or cpu would run.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
