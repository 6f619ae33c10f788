"""Make a network's OpenVINO form, once: torch -> OpenVINO -> fp32, bf16 or int8.

Pictures go in as they are decoded (uint8, NHWC, RGB): the normalisation is part of the graph. Logits and
pooled features come out. Needs torch and openvino, and nncf for int8; serving needs openvino alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import importlib
import importlib.metadata
import sys
import tempfile
from collections.abc import Sequence
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
    read_card,
    sha256_of,
    stem,
    without_telemetry,
    write_manifest,
)
from models.openvino_ir import verify as verify_files

Pictures = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

LEAST_CALIBRATION = 50
"""Fewer photos leave the ranges of the activations to chance; 300 are plenty."""
# Both add up float32, in another order: 1e-6 of the largest logit. Anything wrong is beyond 1e-2.
_SAME = 1e-3
_PROBES = 4


def optimise(
    entry: Entry,
    path: Path,
    weights_dir: Path,
    precision: str,
    calibration: Sequence[Pictures] = (),
) -> Manifest:
    """The entry's network for OpenVINO, made unless it is there already.

    Args:
        path: the weights, as ``catalogue.resolve`` found them.
        precision: ``fp32``, ``bf16`` or ``int8``.
        calibration: for int8, photos like those to come, each uint8 ``(H, W, 3)`` as
            ``checker.pixels.decode`` gives them. They set ranges; nothing of them is kept.
    Raises:
        OptimiseFailed: a package or photos are missing, or the result does not say what torch says.
        WeightsMissing, WeightsRefused: as ``models.build``.
    """
    if precision not in PRECISIONS:
        raise OptimiseFailed(f"OpenVINO runs {', '.join(PRECISIONS)} here, not {precision}.")
    photos = np.stack(calibration) if precision == "int8" and len(calibration) else None
    if precision == "int8" and len(calibration) < LEAST_CALIBRATION:
        raise OptimiseFailed(
            f"int8 needs {LEAST_CALIBRATION} calibration photos or more; {len(calibration)} were given."
        )
    photos_sha256 = "" if photos is None else hashlib.sha256(photos.data).hexdigest()
    source_sha256 = verify(entry, path)
    target = weights_dir / f"{stem(entry, source_sha256, precision, photos_sha256)}.xml"
    if there := _made_before(target):
        return there
    openvino = _package("openvino")
    made: dict[str, Any] = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    network = _converted(openvino, entry, path)
    packages = ["numpy", "openvino", "torch"]
    if photos is not None:
        original = network
        network = _quantised(_package("nncf"), original, photos)
        made["calibration"] = {"photos": len(photos), "sha256": photos_sha256}
        made["against_fp32"] = _compared(_run(openvino, original, photos), _run(openvino, network, photos))
        packages.append("nncf")
    made["versions"] = {name: importlib.metadata.version(name) for name in packages}
    manifest = Manifest(entry.name, precision, entry.preprocessing.key, source_sha256, "", "", made, target)
    return _saved(openvino, network, manifest)


def _made_before(target: Path) -> Manifest | None:
    try:
        manifest = read_card(target.with_suffix(".json")) if target.with_suffix(".json").exists() else None
        if manifest is not None:
            verify_files(manifest)
    except WeightsRefused:
        return None  # made again, over what is broken
    return manifest


def _package(name: str) -> Any:
    without_telemetry()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptimiseFailed(f"This needs {name}; `pip install {name}` brings it.") from error


def _converted(openvino: Any, entry: Entry, path: Path) -> Any:
    """uint8 NHWC in, ``logits`` and ``features`` out, float32; said the same as torch on some noise."""
    import torch

    side = entry.preprocessing.input_px
    module = build(entry, path)
    # Two pictures: with one, torch.export takes the batch size for a constant.
    example = torch.zeros(2, 3, side, side)
    any_number = ({0: torch.export.Dim("pictures", min=1, max=4096)},)
    network = openvino.convert_model(torch.export.export(module, (example,), dynamic_shapes=any_number))
    network.reshape([-1, 3, side, side])
    for output, name in zip(network.outputs, ("features", "logits"), strict=True):
        output.tensor.set_names({name})
    network = _fed_with_bytes(openvino, network, entry.preprocessing)

    noise = np.random.default_rng(0).integers(0, 256, (_PROBES, side, side, 3), dtype=np.uint8)
    way = entry.preprocessing
    normalised = (noise / way.scale - np.array(way.mean)) / np.array(way.std)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2))[1].numpy()
    worst = float(np.abs(_run(openvino, network, noise) - wanted).max() / np.abs(wanted).max())
    if not worst <= _SAME:
        raise OptimiseFailed(f"{entry.name} in OpenVINO differs from torch by {worst:.1%} of a logit.")
    return network


def _fed_with_bytes(openvino: Any, network: Any, way: Preprocessing) -> Any:
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    normalise = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    normalise.mean([way.scale * value for value in way.mean]).scale([way.scale * value for value in way.std])
    return steps.build()


def _quantised(nncf: Any, network: Any, photos: Pictures) -> Any:
    """Weights for each channel and activations for each tensor, ranges and biases set on the photos."""
    nncf.set_log_level("ERROR")
    dataset = nncf.Dataset([photo[np.newaxis] for photo in photos])
    with contextlib.redirect_stdout(sys.stderr):  # its progress bars
        return nncf.quantize(network.clone(), dataset, subset_size=len(photos))


def _run(openvino: Any, network: Any, photos: Pictures) -> Floats:
    """float32 logits."""
    compiled = openvino.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled([photo[np.newaxis]])["logits"] for photo in photos])


def _compared(full: Floats, small: Floats) -> dict[str, float]:
    """A first look only: whether int8 may serve is for a profile to say, on photos that had no part in it."""
    return {
        "top1_agreement": round(float((full.argmax(1) == small.argmax(1)).mean()), 4),
        "rms_logit_difference": round(float(np.sqrt(((full - small) ** 2).mean())), 4),
    }


def _saved(openvino: Any, network: Any, manifest: Manifest) -> Manifest:
    folder = manifest.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as draft:
            xml = Path(draft) / manifest.path.name
            openvino.save_model(network, xml, compress_to_fp16=manifest.precision == "bf16")
            manifest = dataclasses.replace(
                manifest, xml_sha256=sha256_of(xml), bin_sha256=sha256_of(xml.with_suffix(".bin"))
            )
            for suffix in (".bin", ".xml"):
                xml.with_suffix(suffix).replace(manifest.path.with_suffix(suffix))
        write_manifest(manifest)
    except (OSError, RuntimeError) as error:
        raise OptimiseFailed(f"{manifest.path} could not be written: {error}") from error
    return manifest
