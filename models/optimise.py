"""Make a model's OpenVINO variant once: torch -> OpenVINO -> fp32, bf16 or int8.

This needs torch and openvino, and nncf for int8 from photos; int8 from a recipe needs none of them. Serving
needs only openvino.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.catalogue import Entry
from models.convert import Floats, Pixels, convert, import_package, logits_of
from models.digest import verify
from models.errors import OptimiseFailed, WeightsRefused
from models.openvino_ir import (
    PRECISIONS,
    Manifest,
    read_manifest,
    sha256_of,
    stem,
    write_manifest,
)
from models.openvino_ir import verify as verify_files
from models.quantise import SETTINGS, quantise
from models.recipes import read_recipe, recipes, tensors_of
from models.temporary import temporary_folder

MIN_CALIBRATION_PHOTOS = 50
"""With fewer photos, the ranges of the activations depend on chance; 300 photos are plenty."""


def optimise(
    entry: Entry,
    path: Path,
    weights_dir: Path,
    precision: str,
    calibration: Sequence[Pixels] = (),
) -> Manifest:
    """Make the entry's OpenVINO variant, unless it exists already.

    Args:
        path: the weights, as returned by ``catalogue.resolve``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        calibration: for int8, photos like those that will be checked, each uint8 ``(H, W, 3)`` as
            ``checker.pixels.decode`` returns it. They determine the ranges of activations; their content is
            not kept. With a recipe, no photos are needed.
    Raises:
        OptimiseFailed: a package or photos are missing, or the outputs differ from torch's.
        WeightsMissing, WeightsRefused: as ``models.build``.
    """
    if precision not in PRECISIONS:
        raise OptimiseFailed(f"OpenVINO runs {', '.join(PRECISIONS)} here, not {precision}.")
    source_sha256 = verify(entry, path)
    if precision == "int8" and not calibration:
        for recipe in recipes(entry, source_sha256):
            return _rebuild(recipe, path, weights_dir)
    if precision == "int8" and len(calibration) < MIN_CALIBRATION_PHOTOS:
        raise OptimiseFailed(
            f"int8 needs {MIN_CALIBRATION_PHOTOS} calibration photos or more (--photos FOLDER); "
            f"given: {len(calibration)}."
        )
    photos = np.stack(calibration) if precision == "int8" else None
    photos_sha256 = "" if photos is None else hashlib.sha256(photos.data).hexdigest()
    made_with = "" if photos is None else f"{SETTINGS} {photos_sha256}"
    target = weights_dir / f"{stem(entry, source_sha256, precision, made_with)}.xml"
    if manifest := _verified(target):
        return manifest
    draft = Manifest(entry.name, precision, entry.preprocessing.key, source_sha256, "", "", {}, target)
    with _alone(weights_dir):
        return _verified(target) or _make(entry, path, photos, draft)


def _rebuild(recipe: Manifest, path: Path, weights_dir: Path) -> Manifest:
    """Make exactly the files that the recipe was made from, without torch and openvino."""
    target = weights_dir / f"{recipe.path.name.partition('.')[0]}.xml"
    if manifest := _verified(target):
        return manifest
    with _alone(weights_dir):
        if manifest := _verified(target):
            return manifest
        graph, weights = read_recipe(recipe.path).files(tensors_of(path))

        def write(xml: Path) -> None:
            xml.write_bytes(graph)
            xml.with_suffix(".bin").write_bytes(weights)

        return _save(write, dataclasses.replace(recipe, path=target))


def _make(entry: Entry, path: Path, photos: Pixels | None, draft: Manifest) -> Manifest:
    """Make the files of ``draft``; return the completed manifest."""
    openvino = import_package("openvino")
    made: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    model = convert(openvino, entry, path)
    packages = ["numpy", "openvino", "torch"]
    if photos is not None:
        fp32 = model
        model = quantise(import_package("nncf"), fp32, photos)
        made["calibration"] = {"photos": len(photos), "sha256": hashlib.sha256(photos.data).hexdigest()}
        made["quantisation"] = SETTINGS
        made["against_fp32"] = _compare(logits_of(openvino, fp32, photos), logits_of(openvino, model, photos))
        packages.append("nncf")
    made["versions"] = {name: importlib.metadata.version(name) for name in packages}
    to_fp16 = draft.precision == "bf16"
    return _save(
        lambda xml: openvino.save_model(model, xml, compress_to_fp16=to_fp16),
        dataclasses.replace(draft, made=made),
    )


@contextlib.contextmanager
def _alone(weights_dir: Path) -> Iterator[None]:
    """Let only one process at a time make variants: a process that waited finds the result of the first.

    Raises:
        OptimiseFailed: the folder can't be made or read.
    """
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        folder = os.open(weights_dir, os.O_RDONLY)
    except OSError as error:
        raise OptimiseFailed(f"{weights_dir} can't be used: {error.strerror}.") from error
    try:
        with contextlib.suppress(OSError):  # without locks, several processes may make the same files
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _verified(target: Path) -> Manifest | None:
    """Read the manifest of an earlier run; None if there is none, or its files are damaged."""
    path = target.with_suffix(".json")
    try:
        manifest = read_manifest(path) if path.exists() else None
        if manifest is not None:
            verify_files(manifest)
    except WeightsRefused:
        return None
    return manifest


def _compare(fp32: Floats, int8: Floats) -> dict[str, float]:
    """Compare logits on the calibration photos, for the record: a profile decides whether int8 may serve."""
    return {
        "top1_agreement": round(float((fp32.argmax(-1) == int8.argmax(-1)).mean()), 4),
        "rms_logit_difference": round(float(np.sqrt(((fp32 - int8) ** 2).mean())), 4),
    }


def _save(write: Callable[[Path], None], manifest: Manifest) -> Manifest:
    """Write all files of the manifest, or none if an error occurs.

    Args:
        write: takes the path of the graph, and writes the weights next to it.
    """
    folder = manifest.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(".making-", folder) as draft:
            xml = draft / manifest.path.name
            write(xml)
            manifest = dataclasses.replace(
                manifest, xml_sha256=sha256_of(xml), bin_sha256=sha256_of(xml.with_suffix(".bin"))
            )
            write_manifest(dataclasses.replace(manifest, path=xml))
            for suffix in (".bin", ".xml", ".json"):
                xml.with_suffix(suffix).replace(manifest.path.with_suffix(suffix))
    except (OSError, RuntimeError) as error:
        # OpenVINO's errors give no reason, for example "basic_ios::clear: iostream error".
        reason = getattr(error, "strerror", None) or f"perhaps the disk is full ({error})"
        raise OptimiseFailed(f"{manifest.path} could not be written: {reason}.") from error
    return manifest
