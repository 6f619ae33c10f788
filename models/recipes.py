"""Recipes of int8 variants: everything in a variant that can't be computed from the weights.

An int8 variant depends on calibration photos, so a machine without them can't make it, and its files have a
quarter of the size of the weights. But each of its integers is a weight, scaled and rounded. A recipe has a
hundredth of that size: it contains only the graph, the scales, the corrected biases, and the few integers
that were rounded differently. From the recipe and the weights any machine rebuilds the same files, with numpy
alone and with float64 operations that IEEE 754 rounds correctly.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.catalogue import Entry
from models.errors import OptimiseFailed
from models.openvino_ir import SHIPPED, Manifest
from models.tensor_file import NotTensors, Tensors, parse

logger = logging.getLogger(__name__)

_SUFFIX = ".recipe.npz"


@dataclass(frozen=True, slots=True)
class Integers:
    """One int8 constant of the variant: ``weight`` times the factor of a batch norm, divided by ``scale``."""

    offset: int
    """Position in the file of weights."""
    weight: str
    """Name of the tensor, ``(outputs, ...)``."""
    scale_offset: int
    """Position of the scales in the file of weights: float32, one for each output."""
    norm: str = ""
    """Prefix of the names of the batch norm's tensors; empty if there is no batch norm."""
    epsilon: float = 0.0
    """Epsilon of the batch norm."""

    def predicted(self, tensors: Tensors, scale: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Return the integers that the weights give.

        Args:
            scale: ``(outputs,)``.
        Raises:
            KeyError, ValueError: the tensors differ from those of the recipe.
        """
        weight = tensors[self.weight].astype(np.float64)
        rows = weight.reshape(weight.shape[0], -1)
        if self.norm:
            variance = tensors[f"{self.norm}.running_var"].astype(np.float64)
            factor = tensors[f"{self.norm}.weight"].astype(np.float64) / np.sqrt(variance + self.epsilon)
            rows = rows * factor[:, np.newaxis]
        with np.errstate(divide="ignore", invalid="ignore"):  # an output without weights
            scaled = rows / scale.astype(np.float64)[:, np.newaxis]
        return np.clip(np.rint(np.nan_to_num(scaled)), -128, 127).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A variant without the parts that can be computed from the weights."""

    manifest: Manifest
    """The variant's manifest; ``path`` is the path of the recipe."""
    xml: bytes
    rest: bytes
    """The variant's file of weights with zeros instead of the integers."""
    integers: tuple[Integers, ...]
    positions: npt.NDArray[np.int64]
    """Ascending positions, in the file of weights, of bytes that ``Integers.predicted`` gets wrong."""
    values: npt.NDArray[np.uint8]

    def files(self, tensors: Tensors) -> tuple[bytes, bytes]:
        """Return the variant's graph and weights.

        Raises:
            OptimiseFailed: the result does not match the manifest, so the tensors differ.
        """
        weights = bytearray(self.rest)
        try:
            for constant in self.integers:
                outputs = len(tensors[constant.weight])
                scale = np.frombuffer(self.rest, "<f4", outputs, constant.scale_offset)
                integers = constant.predicted(tensors, scale).tobytes()
                weights[constant.offset : constant.offset + len(integers)] = integers
            np.frombuffer(weights, np.uint8)[self.positions] = self.values
        except (KeyError, ValueError, IndexError) as error:
            raise self._differs() from error
        digests = tuple(hashlib.sha256(data).hexdigest() for data in (self.xml, weights))
        if digests != (self.manifest.xml_sha256, self.manifest.bin_sha256):
            raise self._differs()
        return self.xml, bytes(weights)

    def _differs(self) -> OptimiseFailed:
        return OptimiseFailed(
            f"{self.manifest.path.name} does not give the {self.manifest.precision} variant that it was "
            f"made from; the weights of {self.manifest.model} differ, or the recipe is damaged."
        )


def recipes(entry: Entry, source_sha256: str = "", folder: Path = SHIPPED) -> Iterator[Manifest]:
    """Yield the manifests of the int8 variants that can be rebuilt; ``path`` is the path of the recipe.

    A damaged recipe is logged and skipped, because other variants can check photos.

    Args:
        source_sha256: digest of the weights; empty: yield recipes for the catalogue's weights.
    """
    for path in sorted(folder.glob(f"{entry.name}-int8-*{_SUFFIX}")):
        try:
            manifest = _manifest(path, *_arrays(path, "manifest"))
        except OptimiseFailed as error:
            logger.warning("OpenVINO int8 can't be made: %s", error)
            continue
        if (manifest.model, manifest.preprocessing) == (
            entry.name,
            entry.preprocessing.key,
        ) and manifest.source_sha256.startswith(source_sha256 or entry.sha256):
            yield manifest


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        OptimiseFailed: the file is damaged, or is not a recipe.
    """
    manifest, xml, rest, integers, positions, values = _arrays(
        path, "manifest", "xml", "rest", "integers", "positions", "values"
    )
    try:
        constants = tuple(Integers(**fields) for fields in json.loads(integers.tobytes()))
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error
    return Recipe(_manifest(path, manifest), xml.tobytes(), rest.tobytes(), constants, positions, values)


def write_recipe(recipe: Recipe, folder: Path) -> Path:
    """Write a recipe into the folder; return its path."""
    facts = dataclasses.asdict(recipe.manifest)
    path = folder / f"{facts.pop('path').stem.partition('.')[0]}{_SUFFIX}"
    integers = [dataclasses.asdict(constant) for constant in recipe.integers]
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            manifest=_as_bytes(facts),
            xml=np.frombuffer(recipe.xml, np.uint8),
            rest=np.frombuffer(recipe.rest, np.uint8),
            integers=_as_bytes(integers),
            positions=recipe.positions,
            values=recipe.values,
        )
    return path


def tensors_of(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    """Read the weights in the format of ``models.tensor_file``.

    Raises:
        OptimiseFailed: the file can't be read, or has another format.
    """
    try:
        return parse(path.read_bytes())
    except (OSError, NotTensors) as error:
        raise OptimiseFailed(f"{path} can't be read: {error}.") from error


def _arrays(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path) from error


def _manifest(path: Path, text: npt.NDArray[np.uint8]) -> Manifest:
    try:
        return Manifest(**json.loads(text.tobytes()), path=path)
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> OptimiseFailed:
    return OptimiseFailed(f"{path} is damaged; install CatLoader again.")


def _as_bytes(facts: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(facts).encode(), np.uint8)
