"""What the speed benchmark compares: three ways found in documentation, and ours.

A variant is made once in its own process. ``classify`` is one photo from its file to class scores;
``photos_per_s`` is as many as its way allows.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from checker.pixels.decode import decode, keep_memory
from checker.ports import Classifier
from checker.runtimes.batcher import Batcher
from models.catalogue import Entry, entry_named
from models.openvino_ir import get
from scripts._command import CannotRun, needs
from scripts._provenance import ROOT

PEERS = ("torchvision", "transformers", "onnxruntime")
OURS = ("openvino-int8", "openvino-bf16", "openvino-fp32", "torch-bf16", "torch-fp32")
ON_GPU = ("torchvision", "transformers", "torch-fp16", "torch-fp16-nvjpeg", "torch-bf16")
PACKAGES = {
    "transformers": ("transformers",),
    "onnxruntime": ("onnxruntime", "onnxscript"),
    "openvino-int8": ("nncf",),
    "torch-fp16-nvjpeg": ("torchcodec",),
}
"""Of ``requirements-bench.txt``, by the variant that needs them."""
_MICRO_BATCH = {"cpu": 8, "cuda": 32}
"""Pictures; on a CPU four photos and their thumbnails, as the service takes them."""


class Variant(Protocol):
    def classify(self, photo: Path) -> Any: ...

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        """The rate, and how many photos that were."""
        ...


def make_forms(model: str, folder: Path, forms: Sequence[str]) -> None:
    """What ``made`` and ``make`` find there; in a process of its own, see ``speed_prepare``.

    Raises:
        CannotRun: a package is missing, or the network is.
    """
    for form in forms:
        needs(*PACKAGES.get(form, ()))
    command = [sys.executable, "-m", "scripts.speed.prepare", model, str(folder), ",".join(forms)]
    done = subprocess.run(
        command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        why = (done.stderr.strip() or "its process was killed").splitlines()[-1]
        raise CannotRun(f"{model} was not made ready: {why}")


def make(name: str, model: str, folder: Path, device: str) -> Variant:
    entry, weights = made(model, folder)
    if name == "torchvision":
        return Torchvision(entry, weights, device)
    if name == "transformers":
        return Transformers(folder / f"{model}-hf", device)
    if name == "onnxruntime":
        return OnnxRuntime(entry, folder / f"{model}.onnx")
    return Ours(classifier(name, entry, weights, folder, device), _MICRO_BATCH[device])


def _one_by_one(variant: Variant, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
    """What a loop over photos gives: as every tutorial has it."""
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
            network = getattr(torchvision.models, entry.architecture)(weights=None)
            network.load_state_dict(torch.load(weights, weights_only=True))
        else:  # torchvision has no Lite networks: ours in the same loop
            from models.build import build

            network = build(entry, weights)
        way = entry.preprocessing
        self._torch, self._device = torch, device
        self._network = network.eval().to(device)
        self._preprocess = transforms.Compose(
            [
                transforms.Resize(way.resize_px),
                transforms.CenterCrop(way.input_px),
                transforms.ToTensor(),
                transforms.Normalize(
                    [of_bytes * way.scale / 255 for of_bytes in way.mean],
                    [of_bytes * way.scale / 255 for of_bytes in way.std],
                ),
            ]
        )

    def classify(self, photo: Path) -> Any:
        from PIL import Image

        image = Image.open(photo).convert("RGB")
        batch = self._preprocess(image).unsqueeze(0).to(self._device)
        with self._torch.no_grad():
            said = self._network(batch)
        logits = said[1] if isinstance(said, tuple) else said
        return self._torch.nn.functional.softmax(logits[0], dim=0).cpu()

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return _one_by_one(self, photos, seconds)


class Transformers:
    """``pipeline("image-classification")``: a list of files for many, a file for one."""

    def __init__(self, folder: Path, device: str) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from transformers import pipeline

        if not folder.is_dir():
            raise FileNotFoundError("transformers has no network of this kind")
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
    """ONNX Runtime's image classification examples: Pillow, numpy, one ``session.run`` for each photo."""

    def __init__(self, entry: Entry, file: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._way = entry.preprocessing

    def classify(self, photo: Path) -> Any:
        from PIL import Image

        way = self._way
        image = Image.open(photo).convert("RGB")
        scale = way.resize_px / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (image.width - way.input_px) // 2, (image.height - way.input_px) // 2
        image = image.crop((left, top, left + way.input_px, top + way.input_px))
        pixels = np.asarray(image).astype(np.float32) / np.float32(way.scale)
        normalised = (pixels - np.array(way.mean, np.float32)) / np.array(way.std, np.float32)
        batch = normalised.transpose(2, 0, 1)[np.newaxis]
        logits = self._session.run(None, {self._input: batch})[0][0]
        shares = np.exp(logits - logits.max())
        return shares / shares.sum()

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return _one_by_one(self, photos, seconds)


def made(model: str, folder: Path) -> tuple[Entry, Path]:
    """The entry and the weights that ``speed_prepare`` left in ``folder``."""
    facts = json.loads((folder / f"{model}.json").read_text())
    return dataclasses.replace(entry_named(model), sha256=facts["sha256"]), Path(facts["weights"])


def classifier(name: str, entry: Entry, weights: Path, folder: Path, device: str) -> Classifier:
    runtime, precision, *decoder = name.split("-")
    if runtime == "openvino":
        from checker.runtimes.openvino_runtime import OpenVinoClassifier

        return OpenVinoClassifier(entry, get(entry, folder, precision))
    from checker.runtimes.torch_runtime import TorchClassifier

    if decoder:
        entry = entry.decoded_by(*decoder)
    on_device = TorchClassifier(entry, weights, device=device, precision=precision)
    return on_device if device == "cpu" else Batcher(on_device)


class Ours:
    """As the service works: as many workers as cores, each takes a micro-batch from its files to logits."""

    def __init__(self, classifier: Classifier, micro_batch: int) -> None:
        self._classifier, self._micro_batch = classifier, micro_batch
        self._workers = len(os.sched_getaffinity(0))
        keep_memory(self._workers)

    def classify(self, photo: Path) -> Any:
        return self._scores([photo])

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return self._side_by_side(self._scores, photos, seconds)

    def forwards_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        """Of pictures that are decoded already: what the rest costs is the difference."""
        pixels = np.stack([self._decoded(photo) for photo in photos[:1]] * self._micro_batch)
        return self._side_by_side(lambda _: self._classifier.run(pixels), photos, seconds)

    def _decoded(self, photo: Path) -> Any:
        return decode(photo.read_bytes(), self._classifier.preprocessing)

    def _scores(self, photos: Sequence[Path]) -> Any:
        logits = self._classifier.run(np.stack([self._decoded(photo) for photo in photos])).logits
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def _side_by_side(self, work: Any, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        # Each thread's own rate, added up: none is charged for the others' last batch.
        endless, taking = itertools.cycle(photos), threading.Lock()
        rates, done = [0.0] * self._workers, [0] * self._workers
        errors: list[BaseException] = []
        together = threading.Barrier(self._workers)

        def take() -> list[Path]:
            with taking:
                return [next(endless) for _ in range(self._micro_batch)]

        def run(worker: int) -> None:
            try:
                together.wait()
                started_s, spent_s = time.perf_counter(), 0.0
                while spent_s < seconds:
                    batch = take()
                    work(batch)
                    done[worker] += len(batch)
                    spent_s = time.perf_counter() - started_s
                rates[worker] = done[worker] / spent_s
            except BaseException as error:  # handed to the main thread
                errors.append(error)

        threads = [threading.Thread(target=run, args=(worker,)) for worker in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return sum(rates), sum(done)
