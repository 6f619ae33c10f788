"""The loops with which CatLoader is compared, written as in the documentation of their libraries."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.catalogue import Entry


class Variant(Protocol):
    """A model that has been loaded in its own process."""

    def classify(self, photo: Path) -> Any:
        """Return one photo's class scores, from its file."""
        ...

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        """Return the highest rate that the variant reaches, and the number of photos measured."""
        ...


def _one_by_one(variant: Variant, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
    """Return the rate of a loop over single photos, as in tutorials."""
    started_s, done = time.perf_counter(), 0
    for photo in itertools.cycle(photos):
        variant.classify(photo)
        done += 1
        spent_s = time.perf_counter() - started_s
        if spent_s >= seconds:
            break
    return done / spent_s, done


class Torchvision:
    """PyTorch's hub tutorial: Pillow, torchvision.transforms, a batch of one, no_grad."""

    def __init__(self, entry: Entry, weights: Path, device: str) -> None:
        import torch
        import torchvision
        from torchvision import transforms

        if hasattr(torchvision.models, entry.architecture):
            model = getattr(torchvision.models, entry.architecture)(weights=None)
            model.load_state_dict(torch.load(weights, weights_only=True))
        else:  # torchvision has no EfficientNet-Lite: CatLoader's model in the same loop
            from models.build import build

            model = build(entry, weights)
        preprocessing = entry.preprocessing
        self._torch, self._device = torch, device
        self._model = model.eval().to(device)
        self._preprocess = transforms.Compose(
            [
                transforms.Resize(preprocessing.resize_px),
                transforms.CenterCrop(preprocessing.input_px),
                transforms.ToTensor(),
                transforms.Normalize(
                    [of_bytes * preprocessing.scale / 255 for of_bytes in preprocessing.mean],
                    [of_bytes * preprocessing.scale / 255 for of_bytes in preprocessing.std],
                ),
            ]
        )

    def classify(self, photo: Path) -> Any:
        from PIL import Image

        image = Image.open(photo).convert("RGB")
        batch = self._preprocess(image).unsqueeze(0).to(self._device)
        with self._torch.no_grad():
            output = self._model(batch)
        logits = output[1] if isinstance(output, tuple) else output
        return self._torch.nn.functional.softmax(logits[0], dim=0).cpu()

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return _one_by_one(self, photos, seconds)


class Transformers:
    """``pipeline("image-classification")``, called with a list of files for many photos, or with one file."""

    def __init__(self, folder: Path, device: str) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import pipeline

        if not folder.is_dir():
            raise FileNotFoundError("transformers has no model of this kind")
        self._pipeline = pipeline("image-classification", model=str(folder), device=device)

    def classify(self, photo: Path) -> Any:
        return self._pipeline(str(photo))

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        started_s, done, spent_s = time.perf_counter(), 0, 0.0
        while spent_s < seconds:
            self._pipeline([str(photo) for photo in photos])
            done += len(photos)
            spent_s = time.perf_counter() - started_s
        return done / spent_s, done


class OnnxRuntime:
    """ONNX Runtime's image classification examples: Pillow, numpy, one ``session.run`` per photo."""

    def __init__(self, entry: Entry, file: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._preprocessing = entry.preprocessing

    def classify(self, photo: Path) -> Any:
        from PIL import Image

        preprocessing = self._preprocessing
        image = Image.open(photo).convert("RGB")
        scale = preprocessing.resize_px / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left = (image.width - preprocessing.input_px) // 2
        top = (image.height - preprocessing.input_px) // 2
        image = image.crop((left, top, left + preprocessing.input_px, top + preprocessing.input_px))
        pixels = np.asarray(image).astype(np.float32) / np.float32(preprocessing.scale)
        mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
        batch = ((pixels - mean) / std).transpose(2, 0, 1)[np.newaxis]
        logits = self._session.run(None, {self._input: batch})[0][0]
        shares = np.exp(logits - logits.max())
        return shares / shares.sum()

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return _one_by_one(self, photos, seconds)
