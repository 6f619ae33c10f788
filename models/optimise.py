"""Make a model's OpenVINO variant, once: torch -> OpenVINO -> fp32, bf16 or int8.

The input is a decoded photo (uint8, NHWC, RGB): the normalisation is part of the graph. The outputs are
logits and pooled features. Needs torch and openvino, and nncf for int8; serving needs openvino alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import importlib
import importlib.metadata
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.build import build
from models.catalogue import Entry, Preprocessing
from models.digest import verify
from models.errors import OptimiseFailed, WeightsRefused
from models.openvino_ir import (
    PRECISIONS,
    Manifest,
    read_manifest,
    sha256_of,
    stem,
    without_telemetry,
    write_manifest,
)
from models.openvino_ir import verify as verify_files
from models.quantise import SETTINGS, quantise

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

MIN_CALIBRATION_PHOTOS = 50
"""Fewer leave the ranges of the activations to chance; 300 are plenty."""
# torch and OpenVINO add up float32 in different orders: 1e-6 of the largest logit. Any mistake exceeds 1e-2.
_TOLERANCE = 1e-3
_PROBES = 4


def optimise(
    entry: Entry,
    path: Path,
    weights_dir: Path,
    precision: str,
    calibration: Sequence[Pixels] = (),
) -> Manifest:
    """Make the entry's OpenVINO variant, unless it is there already.

    Args:
        path: the weights, as returned by ``catalogue.resolve``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        calibration: for int8, photos like those to come, each uint8 ``(H, W, 3)`` as
            ``checker.pixels.decode`` returns them. They set ranges; nothing of them is kept.
    Raises:
        OptimiseFailed: a package or photos are missing, or the outputs differ from torch's.
        WeightsMissing, WeightsRefused: as ``models.build``.
    """
    if precision not in PRECISIONS:
        raise OptimiseFailed(f"OpenVINO runs {', '.join(PRECISIONS)} here, not {precision}.")
    if precision == "int8" and len(calibration) < MIN_CALIBRATION_PHOTOS:
        raise OptimiseFailed(
            f"int8 needs {MIN_CALIBRATION_PHOTOS} calibration photos or more; {len(calibration)} were given."
        )
    photos = np.stack(calibration) if precision == "int8" else None
    photos_sha256 = "" if photos is None else hashlib.sha256(photos.data).hexdigest()
    made_with = "" if photos is None else f"{SETTINGS} {photos_sha256}"
    source_sha256 = verify(entry, path)
    target = weights_dir / f"{stem(entry, source_sha256, precision, made_with)}.xml"
    if manifest := _verified(target):
        return manifest
    draft = Manifest(entry.name, precision, entry.preprocessing.key, source_sha256, "", "", {}, target)
    with _alone(weights_dir):
        return _verified(target) or _make(entry, path, photos, draft)


def _make(entry: Entry, path: Path, photos: Pixels | None, draft: Manifest) -> Manifest:
    """Make the files of ``draft``; complete it."""
    openvino = _import("openvino")
    made: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    model = _convert(openvino, entry, path)
    packages = ["numpy", "openvino", "torch"]
    if photos is not None:
        fp32 = model
        model = quantise(_import("nncf"), fp32, photos)
        made["calibration"] = {"photos": len(photos), "sha256": hashlib.sha256(photos.data).hexdigest()}
        made["quantisation"] = SETTINGS
        made["against_fp32"] = _compare(_logits(openvino, fp32, photos), _logits(openvino, model, photos))
        packages.append("nncf")
    made["versions"] = {name: importlib.metadata.version(name) for name in packages}
    return _save(openvino, model, dataclasses.replace(draft, made=made))


@contextlib.contextmanager
def _alone(weights_dir: Path) -> Iterator[None]:
    """Let one process at a time make variants: those that wait find the first one's.

    Raises:
        OptimiseFailed: the folder can't be made or locked.
    """
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        folder = os.open(weights_dir, os.O_RDONLY)
    except OSError as error:
        raise OptimiseFailed(f"{weights_dir} can't be used: {error.strerror}.") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _verified(target: Path) -> Manifest | None:
    """Read the manifest of an earlier run; None where there is none, or its files are damaged."""
    path = target.with_suffix(".json")
    try:
        manifest = read_manifest(path) if path.exists() else None
        if manifest is not None:
            verify_files(manifest)
    except WeightsRefused:
        return None
    return manifest


def _import(name: str) -> Any:
    without_telemetry()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptimiseFailed(
            f"This needs {name}, which is not installed; `pip install 'catloader[optimise]'` installs it."
        ) from error


def _convert(openvino: Any, entry: Entry, path: Path) -> Any:
    """Convert from torch: uint8 NHWC in, float32 ``logits`` and ``features`` out.

    Raises:
        OptimiseFailed: the logits differ from torch's on some noise.
    """
    import torch
    from openvino.tools.ovc import convert_model  # openvino has it too, but not where a model is being served

    preprocessing = entry.preprocessing
    side = preprocessing.input_px
    module = build(entry, path)
    # Two inputs: with one, torch.export takes the batch size for a constant.
    example = torch.zeros(2, 3, side, side)
    any_batch = ({0: torch.export.Dim("inputs", min=1, max=4096)},)
    model = convert_model(torch.export.export(module, (example,), dynamic_shapes=any_batch))
    model.reshape([-1, 3, side, side])
    for output, name in zip(model.outputs, ("features", "logits"), strict=True):
        output.tensor.set_names({name})
    model = _add_preprocessing(openvino, model, preprocessing)

    noise = np.random.default_rng(0).integers(0, 256, (_PROBES, side, side, 3), dtype=np.uint8)
    normalised = (noise / preprocessing.scale - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    with torch.inference_mode():
        expected = module(torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2))[1].numpy()
    difference = float(np.abs(_logits(openvino, model, noise) - expected).max() / np.abs(expected).max())
    if not difference <= _TOLERANCE:
        raise OptimiseFailed(f"{entry.name} in OpenVINO differs from torch by {difference:.1%} of a logit.")
    return model


def _add_preprocessing(openvino: Any, model: Any, preprocessing: Preprocessing) -> Any:
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    scale = preprocessing.scale
    normalise = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    normalise.mean([scale * value for value in preprocessing.mean])
    normalise.scale([scale * value for value in preprocessing.std])
    return steps.build()


def _logits(openvino: Any, model: Any, photos: Pixels) -> Floats:
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled([photo[np.newaxis]])["logits"] for photo in photos])


def _compare(fp32: Floats, int8: Floats) -> dict[str, float]:
    """Compare logits on the calibration photos. A profile, on other photos, decides whether int8 may
    serve."""
    return {
        "top1_agreement": round(float((fp32.argmax(-1) == int8.argmax(-1)).mean()), 4),
        "rms_logit_difference": round(float(np.sqrt(((fp32 - int8) ** 2).mean())), 4),
    }


def _save(openvino: Any, model: Any, manifest: Manifest) -> Manifest:
    folder = manifest.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as draft:
            xml = Path(draft) / manifest.path.name
            openvino.save_model(model, xml, compress_to_fp16=manifest.precision == "bf16")
            manifest = dataclasses.replace(
                manifest, xml_sha256=sha256_of(xml), bin_sha256=sha256_of(xml.with_suffix(".bin"))
            )
            for suffix in (".bin", ".xml"):
                xml.with_suffix(suffix).replace(manifest.path.with_suffix(suffix))
        write_manifest(manifest)
    except (OSError, RuntimeError) as error:
        raise OptimiseFailed(f"{manifest.path} could not be written: {error}") from error
    return manifest
