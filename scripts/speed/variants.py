"""CatLoader's variants in the speed benchmark, and the preparation of all variants."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from checker.evaluation.provenance import ROOT
from checker.pixels.decode import decode, keep_memory, model_inputs
from checker.ports import Classifier
from checker.process.cores import available_cores
from checker.runtimes.batcher import Batcher
from checker.values import Pixels, Rendition
from models.catalogue import Entry, entry_named
from models.openvino_ir import get
from scripts.command_line import CannotRun, require
from scripts.speed.names import GRAPHS, NVJPEG, PACKAGES, WHOLE, WINDOW, WINDOW_MS
from scripts.speed.others import OnnxRuntime, Torchvision, Transformers, Variant
from scripts.speed.photos import thumbnail_of

_MICRO_BATCH = {"cpu": 8, "cuda": 32}
"""Device -> number of photos, with one input each, in a micro-batch."""


def make_variants(model: str, folder: Path, variants: Sequence[str]) -> None:
    """Write the files for ``prepared`` and ``load`` to ``folder``, in a child process (``speed.prepare``).

    Raises:
        CannotRun: a package or the model is missing.
    """
    for variant in variants:
        require(*PACKAGES.get(variant, ()))
    command = [sys.executable, "-m", "scripts.speed.prepare", model, str(folder), ",".join(variants)]
    child = subprocess.run(
        command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if child.returncode:
        reason = (child.stderr.strip() or "its process was killed").splitlines()[-1]
        raise CannotRun(f"{model} could not be prepared: {reason}")


def prepared(model: str, folder: Path) -> tuple[Entry, Path]:
    """Return the entry and the weights that ``speed.prepare`` wrote to ``folder``."""
    facts = json.loads((folder / f"{model}.json").read_text())
    return dataclasses.replace(entry_named(model), sha256=facts["sha256"]), Path(facts["weights"])


def load(name: str, model: str, folder: Path, device: str) -> Variant:
    """Load a variant whose files ``make_variants`` has written."""
    entry, weights = prepared(model, folder)
    if name == "torchvision":
        return Torchvision(entry, weights, device)
    if name == "transformers":
        return Transformers(folder / f"{model}-hf", device)
    if name == "onnxruntime":
        return OnnxRuntime(entry, folder / f"{model}.onnx")
    works = WholePhotos if name.endswith(WHOLE) else CatLoader
    classifier = load_classifier(name.removesuffix(WHOLE), entry, weights, folder, device)
    return works(classifier, _MICRO_BATCH[device])


def load_classifier(name: str, entry: Entry, weights: Path, folder: Path, device: str) -> Classifier:
    """Load CatLoader's variant RUNTIME-PRECISION or, on a GPU, RUNTIME-PRECISION-OPTION."""
    runtime, precision, *options = name.split("-")
    if runtime == "openvino":
        from checker.runtimes.openvino_runtime import OpenVinoClassifier

        return OpenVinoClassifier(entry, get(entry, folder, precision))
    from checker.runtimes.torch_runtime import TorchClassifier

    if NVJPEG in options:
        entry = entry.decoded_by(NVJPEG)
    on_device = TorchClassifier(
        entry, weights, device=device, precision=precision, cuda_graphs=GRAPHS in options
    )
    if device == "cpu":
        return on_device
    return Batcher(on_device, window_ms=WINDOW_MS if WINDOW in options else 0.0)


class CatLoader:
    """CatLoader's classifier, used as in the service: one worker per core processes micro-batches."""

    def __init__(self, classifier: Classifier, micro_batch: int) -> None:
        self._classifier, self._micro_batch = classifier, micro_batch
        self._workers = available_cores()
        keep_memory(self._workers)

    def classify(self, photo: Path) -> Any:
        return self._scores([photo])

    def photos_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        return self._in_all_workers(self._scores, photos, seconds)

    def forwards_per_s(self, photos: Sequence[Path], seconds: float) -> tuple[float, int]:
        """Return the rate for decoded photos, without the other work that ``photos_per_s`` includes."""
        pixels = np.concatenate([self._decoded(photos[0])] * self._micro_batch)
        return self._in_all_workers(lambda _: self._classifier.run(pixels), photos, seconds)

    def _decoded(self, photo: Path) -> Pixels:
        """Return the photo's inputs, uint8 ``(inputs, H, W, 3)``."""
        return decode(photo.read_bytes(), self._classifier.preprocessing)[np.newaxis]

    def _scores(self, photos: Sequence[Path]) -> Any:
        logits = self._classifier.run(np.concatenate([self._decoded(photo) for photo in photos])).logits
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def _in_all_workers(
        self, work: Callable[[Sequence[Path]], object], photos: Sequence[Path], seconds: float
    ) -> tuple[float, int]:
        # The rates of the threads are added, so that waiting for the last batch of other threads does not
        # count.
        endless, lock = itertools.cycle(photos), threading.Lock()
        rates, done = [0.0] * self._workers, [0] * self._workers
        errors: list[BaseException] = []
        start_together = threading.Barrier(self._workers)

        def next_batch() -> list[Path]:
            with lock:
                return [next(endless) for _ in range(self._micro_batch)]

        def run(worker: int) -> None:
            try:
                start_together.wait()
                started_s, spent_s = time.perf_counter(), 0.0
                while spent_s < seconds:
                    batch = next_batch()
                    work(batch)
                    done[worker] += len(batch)
                    spent_s = time.perf_counter() - started_s
                rates[worker] = done[worker] / spent_s
            except BaseException as error:  # passed on to the main thread
                errors.append(error)

        threads = [threading.Thread(target=run, args=(worker,)) for worker in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return sum(rates), sum(done)


class WholePhotos(CatLoader):
    """CatLoader's classifier on complete photos, as on the site: both ends and the thumbnail."""

    def __init__(self, classifier: Classifier, micro_batch: int) -> None:
        super().__init__(classifier, micro_batch // 2)

    def _decoded(self, photo: Path) -> Pixels:
        renditions = {
            Rendition.PHOTO: photo.read_bytes(),
            Rendition.THUMBNAIL: thumbnail_of(photo).read_bytes(),
        }
        return model_inputs(renditions, self._classifier.preprocessing)
