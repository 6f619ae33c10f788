"""Make the files of one model for all variants of the speed benchmark: OpenVINO, ONNX, Hugging Face folder.

    python -m scripts.speed.prepare MODEL FOLDER VARIANT,...

The weights are those on disk, or random ones if there are none, because speed does not depend on them. The
preparation runs in a separate process, so that the measured processes never hold the memory that it needs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from checker.pixels.decode import decode
from models.build import architecture, build
from models.catalogue import Entry, default_weights_dir, entry_named, weights_path
from models.openvino_ir import PRECISIONS, sha256_of
from models.optimise import MIN_CALIBRATION_PHOTOS, optimise

_RESNETS = {"resnet18": ("basic", [2, 2, 2, 2]), "resnet50": ("bottleneck", [3, 4, 6, 3])}


class LogitsOnly(nn.Module):
    """A model that returns only the logits, because ONNX Runtime's examples have one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.model(pixels)[1]
        return logits


def prepare(folder: Path, model: str, variants: Sequence[str]) -> None:
    """Write the weights, the facts (``MODEL.json``) and the files of ``variants`` to ``folder``."""
    torch.manual_seed(0)
    entry = entry_named(model)
    path = weights_path(entry, default_weights_dir())
    is_random = path is None
    if path is None:
        path = folder / f"{model}.pth"
        torch.save(architecture(entry.architecture).state_dict(), path)
    entry = dataclasses.replace(entry, sha256=sha256_of(path))
    module = build(entry, path)
    facts = {
        "sha256": entry.sha256,
        "weights": str(path),
        "random_weights": is_random,
        "gop": _gop(module, entry),
    }
    (folder / f"{model}.json").write_text(json.dumps(facts))
    pixels = [decode(file.read_bytes(), entry.preprocessing) for file in sorted(folder.glob("500x375-*.jpg"))]
    # Flipped photos are sufficient to calibrate ranges; benchmark_accuracy.py measures accuracy on real
    # photos.
    flipped = [flip for photo in pixels for flip in (photo, photo[:, ::-1], photo[::-1], photo[::-1, ::-1])]
    calibration = (flipped * MIN_CALIBRATION_PHOTOS)[:MIN_CALIBRATION_PHOTOS]
    for precision in PRECISIONS:
        if any(name.startswith(f"openvino-{precision}") for name in variants):
            optimise(entry, path, folder, precision, calibration)
    if "onnxruntime" in variants:
        side = entry.preprocessing.input_px
        target = folder / f"{model}.onnx"
        torch.onnx.export(
            LogitsOnly(module).eval(),
            (torch.zeros(1, 3, side, side),),
            target,
            dynamo=True,
            verbose=False,
        )
    if "transformers" in variants and model in _RESNETS:
        _hugging_face(folder / f"{model}-hf", model)


def _gop(module: nn.Module, entry: Entry) -> float:
    """Return the operations for one photo in 10^9: two per multiply-add of convolutions and linear layers."""
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.get_parameter("weight")
        total += 2 * output.numel() * weight[0].numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.inference_mode():
        module(torch.zeros(1, 3, entry.preprocessing.input_px, entry.preprocessing.input_px))
    for hook in hooks:
        hook.remove()
    return total / 1e9


def _hugging_face(folder: Path, model: str) -> None:
    """Write a folder with a model and its image processor, like the published ``microsoft/resnet-50``."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

    kind, depths = _RESNETS[model]
    widths = {"basic": [64, 128, 256, 512], "bottleneck": [256, 512, 1024, 2048]}[kind]
    config = ResNetConfig(layer_type=kind, depths=depths, hidden_sizes=widths)
    config.num_labels = 1000
    ResNetForImageClassification(config).save_pretrained(folder)
    ConvNextImageProcessor(
        size={"shortest_edge": 224},
        crop_pct=0.875,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    parser.add_argument("variants")
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(None):
        prepare(arguments.folder, arguments.model, arguments.variants.split(","))


if __name__ == "__main__":
    main()
