"""Make the recipe of an int8 variant, so that the variant can be shipped without its integers.

    python scripts/make_recipe.py models/weights/resnet50_v1-int8-59fe34fe1b43.json

models/recipes.py describes recipes. The weight from which a constant was computed is found by trial, because
the graph does not name it.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import scripts  # noqa: F401 - first: finds the packages without an installation
from models.catalogue import resolve
from models.openvino_ir import SHIPPED, read_manifest, verify
from models.recipes import Integers, Recipe, tensors_of, write_recipe
from scripts.command_line import CannotRun, existing_file, report_errors

_EPSILONS = (1e-5, 1.001e-5, 1e-3)
_TRIED_OUTPUTS = 16
_MOST_WRONG = 0.02
"""Maximum share of the integers that may be rounded differently."""
_MIN_BYTES = 1000
"""Smaller constants stay in the recipe."""

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Constant:
    offset: int
    shape: tuple[int, ...]
    scale_offset: int
    values: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]


@report_errors
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "manifest",
        type=existing_file,
        help="manifest (.json) of the variant, next to its two other files",
    )
    parser.add_argument("--output", type=Path, default=SHIPPED, help="folder of the recipe")
    options = parser.parse_args()
    manifest = read_manifest(options.manifest)
    if manifest is None or manifest.precision != "int8":
        raise CannotRun(f"{options.manifest} is not the manifest of an int8 variant.")
    verify(manifest)
    _, weights = resolve(manifest.model, options.manifest.parent)
    tensors = tensors_of(weights)
    xml = manifest.path.read_bytes()
    data = manifest.path.with_suffix(".bin").read_bytes()
    rest, integers = bytearray(data), []
    for constant in _constants(xml, data):
        one = _origin(constant, tensors)
        integers.append(one)
        rest[one.offset : one.offset + constant.values.size] = bytes(constant.values.size)
        print(f"{one.weight:<32} {one.norm or 'no batch norm'}")
    recipe = _with_corrections(
        Recipe(manifest, xml, bytes(rest), tuple(integers), np.zeros(0, np.int64), np.zeros(0, np.uint8)),
        tensors,
        data,
    )
    recipe.files(tensors)  # raises an error if the result differs from the variant
    path = write_recipe(recipe, options.output)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(recipe.values)} integers corrected")
    return 0


def _constants(xml: bytes, data: bytes) -> Iterator[Constant]:
    """Yield the int8 constants of a graph that are converted and multiplied by a scale."""
    root = ET.fromstring(xml)
    layers = {layer.get("id"): layer for layer in root.iter("layer")}
    edges = [(edge.get("from-layer"), edge.get("to-layer")) for edge in root.iter("edge")]
    after = dict(edges)
    before: dict[str | None, list[str | None]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
    for id, layer in layers.items():
        facts = layer.find("data")
        if layer.get("type") != "Const" or facts is None or facts.get("element_type") != "i8":
            continue
        shape, offset = tuple(map(int, (facts.get("shape") or "1").split(","))), int(facts.get("offset") or 0)
        multiplied = after[after[id]]
        scales = [
            layers[source].find("data")
            for source in before[multiplied]
            if layers[source].get("type") == "Const"
        ]
        size = int(np.prod(shape))
        if size < _MIN_BYTES or len(scales) != 1 or scales[0] is None:
            continue
        scale_offset = int(scales[0].get("offset") or 0)
        yield Constant(
            offset,
            shape,
            scale_offset,
            np.frombuffer(data, np.int8, size, offset),
            np.frombuffer(data, "<f4", shape[0], scale_offset),
        )


def _origin(constant: Constant, tensors: Tensors) -> Integers:
    """Return the weight, batch norm and epsilon that reproduce the constant best."""
    outputs = constant.shape[0]
    rows = constant.values.reshape(outputs, -1)[:_TRIED_OUTPUTS]
    norms = [
        name.removesuffix(".running_var")
        for name, tensor in tensors.items()
        if name.endswith(".running_var") and tensor.shape == (outputs,)
    ]
    norm_choices = [("", 0.0), *itertools.product(norms, _EPSILONS)]
    best, least_wrong = None, 1.0
    for name in (name for name, tensor in tensors.items() if tensor.shape == constant.shape):
        for norm, epsilon in norm_choices:
            one = Integers(constant.offset, name, constant.scale_offset, norm, epsilon)
            cut = {key: tensors[key][:_TRIED_OUTPUTS] for key in _names(one)}
            predicted = one.predicted(cut, constant.scale[:_TRIED_OUTPUTS])
            wrong = float((predicted != rows).mean())
            if wrong < least_wrong:
                best, least_wrong = one, wrong
    if best is None or least_wrong > _MOST_WRONG:
        raise CannotRun(f"No weight gives the constant {constant.shape} at {constant.offset}.")
    return best


def _names(one: Integers) -> list[str]:
    return [one.weight, *(f"{one.norm}.{part}" for part in ("weight", "running_var") if one.norm)]


def _with_corrections(recipe: Recipe, tensors: Tensors, data: bytes) -> Recipe:
    positions: list[npt.NDArray[np.int64]] = []
    for one in recipe.integers:
        outputs = len(tensors[one.weight])
        scale = np.frombuffer(data, "<f4", outputs, one.scale_offset)
        predicted = one.predicted(tensors, scale).ravel()
        actual = np.frombuffer(data, np.int8, predicted.size, one.offset)
        positions.append(np.flatnonzero(predicted != actual).astype(np.int64) + one.offset)
    where = np.sort(np.concatenate(positions))
    return replace(recipe, positions=where, values=np.frombuffer(data, np.uint8)[where])


if __name__ == "__main__":
    sys.exit(main())
