"""Keras's ResNet-50 for tests: its configuration, random weights, and an evaluator of such models.

The evaluation follows the graph of ``model.json`` layer by layer, as Keras would, and shares no code with the
conversion that it tests.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Arrays = dict[str, npt.NDArray[np.float32]]
Topology = list[dict[str, Any]]
"""``modelTopology.model_config.config.layers`` of a ``model.json``."""

_MEAN = (103.939, 116.779, 123.68)
_WIDTHS = {2: (64, "abc"), 3: (128, "abcd"), 4: (256, "abcdef"), 5: (512, "abc")}


def logits(topology: Topology, arrays: Mapping[str, Any], pixels: npt.NDArray[np.uint8]) -> Any:
    """Evaluate the model on uint8 RGB pixels (N, H, W, 3) up to the softmax; float32."""
    x = torch.tensor(pixels[:, :, :, ::-1].astype(np.float32) - np.array(_MEAN, np.float32))
    outputs: dict[str, Tensor] = {}
    with torch.inference_mode():
        for layer in topology:
            sources = (
                [outputs[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else [x]
            )
            outputs[layer["name"]] = _output(layer["class_name"], layer["config"], sources, arrays)
    return outputs[topology[-1]["name"]].numpy()


def _output(kind: str, config: dict[str, Any], sources: list[Tensor], arrays: Mapping[str, Any]) -> Tensor:
    """Compute one layer; tensors are (N, H, W, C), as in Keras."""
    x = sources[0]

    def parameter(name: str) -> Tensor:
        return torch.tensor(np.array(arrays[f"{config['name']}/{name}"]))

    if kind == "InputLayer":
        return x
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = config["padding"]
        return functional.pad(x, (0, 0, left, right, top, bottom))
    if kind == "Conv2D":
        padding = config["padding"] if config["padding"] == "valid" else config["kernel_size"][0] // 2
        assert config["padding"] == "valid" or config["strides"] == [1, 1]
        kernel = parameter("kernel").permute(3, 2, 0, 1)
        y = functional.conv2d(x.permute(0, 3, 1, 2), kernel, None, config["strides"], padding)
        return y.permute(0, 2, 3, 1) + parameter("bias")
    if kind == "BatchNormalization":
        deviation = torch.sqrt(parameter("moving_variance") + config["epsilon"])
        return parameter("gamma") * (x - parameter("moving_mean")) / deviation + parameter("beta")
    if kind == "Activation":
        assert config["activation"] == "relu"
        return x.clamp_min(0)
    if kind == "MaxPooling2D":
        assert config["padding"] == "valid"
        y = functional.max_pool2d(x.permute(0, 3, 1, 2), config["pool_size"], config["strides"])
        return y.permute(0, 2, 3, 1)
    if kind == "Add":
        return sources[0] + sources[1]
    if kind == "GlobalAveragePooling2D":
        return x.mean((1, 2))
    assert (kind, config["activation"]) == ("Dense", "softmax")
    return x @ parameter("kernel") + parameter("bias")


def resnet50_topology() -> Topology:
    """Return the configuration of Keras's ResNet-50, with the fields that ``logits`` reads."""
    layers: Topology = []

    def add(kind: str, name: str, *sources: str, **config: Any) -> str:
        nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
        layers.append(
            {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}
        )
        return name

    def convolution(suffix: str, x: str, filters: int, side: int, stride: int = 1) -> str:
        padding = "same" if side == 3 else "valid"
        x = add(
            "Conv2D",
            f"res{suffix}",
            x,
            filters=filters,
            kernel_size=[side, side],
            strides=[stride, stride],
            padding=padding,
        )
        return add("BatchNormalization", f"bn{suffix}", x, epsilon=1e-3)

    def relu(x: str) -> str:
        return add("Activation", f"{x}_relu", x, activation="relu")

    x = add("ZeroPadding2D", "conv1_pad", add("InputLayer", "input"), padding=[[3, 3], [3, 3]])
    x = add("Conv2D", "conv1", x, filters=64, kernel_size=[7, 7], strides=[2, 2], padding="valid")
    x = relu(add("BatchNormalization", "bn_conv1", x, epsilon=1e-3))
    x = add("ZeroPadding2D", "pool1_pad", x, padding=[[1, 1], [1, 1]])
    x = add("MaxPooling2D", "pool1", x, pool_size=[3, 3], strides=[2, 2], padding="valid")
    for stage, (width, letters) in _WIDTHS.items():
        for letter in letters:
            name, stride = f"{stage}{letter}_branch", 2 if letter == "a" and stage > 2 else 1
            y = relu(convolution(f"{name}2a", x, width, 1, stride))
            y = relu(convolution(f"{name}2b", y, width, 3))
            y = convolution(f"{name}2c", y, 4 * width, 1)
            if letter == "a":
                x = convolution(f"{name}1", x, 4 * width, 1, stride)
            x = relu(add("Add", f"add{name}", y, x))
    x = add("GlobalAveragePooling2D", "avg_pool", x)
    add("Dense", "fc1000", x, units=1000, activation="softmax")
    return layers


def random_arrays(topology: Topology) -> Arrays:
    """Return parameters that keep activations about as large as those of a trained model."""
    rng = np.random.default_rng(0)
    arrays: Arrays = {}
    channels: dict[str, int] = {}

    def uniform(name: str, low: float, high: float, count: int) -> None:
        arrays[name] = rng.uniform(low, high, count).astype(np.float32)

    for layer in topology:
        name, config = layer["name"], layer["config"]
        inputs = channels[layer["inbound_nodes"][0][0][0]] if layer["inbound_nodes"] else 3
        outputs = config.get("filters", config.get("units", inputs))
        channels[name] = outputs
        if "filters" in config or "units" in config:
            shape = (*config.get("kernel_size", []), inputs, outputs)
            scale = math.sqrt(2 / math.prod(shape[:-1])) / (50 if name == "conv1" else 1)
            arrays[f"{name}/kernel"] = rng.standard_normal(shape, np.float32) * np.float32(scale)
            uniform(f"{name}/bias", -0.3, 0.3, outputs)
        elif layer["class_name"] == "BatchNormalization":
            gain = 0.3 if name.endswith("2c") else 1.0
            uniform(f"{name}/gamma", 0.5 * gain, gain, outputs)
            uniform(f"{name}/beta", -0.2, 0.2, outputs)
            uniform(f"{name}/moving_mean", -0.2, 0.2, outputs)
            uniform(f"{name}/moving_variance", 0.5, 1.5, outputs)
            # Some variances are so small that the epsilon matters, as in dead channels of trained models.
            arrays[f"{name}/moving_variance"][::16] = 0.005
            arrays[f"{name}/gamma"][::16] *= 0.07
    return arrays


def write_folder(folder: Path, topology: Topology, arrays: Arrays, shard_bytes: int = 1 << 23) -> Path:
    """Write a TensorFlow.js layers model; return the folder."""
    folder.mkdir(parents=True)
    data = b"".join(array.tobytes() for array in arrays.values())
    shards = [data[start : start + shard_bytes] for start in range(0, len(data), shard_bytes)]
    paths = [f"group1-shard{number}of{len(shards)}.bin" for number in range(1, len(shards) + 1)]
    for path, shard in zip(paths, shards, strict=True):
        (folder / path).write_bytes(shard)
    weights = [{"name": n, "shape": list(a.shape), "dtype": "float32"} for n, a in arrays.items()]
    model = {
        "format": "layers-model",
        "modelTopology": {"model_config": {"class_name": "Model", "config": {"layers": topology}}},
        "weightsManifest": [{"paths": paths, "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return folder


def write_tarball(path: Path, folder: Path) -> Path:
    """Pack a folder like npm does, but without compression."""
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        archive.addfile(tarfile.TarInfo("package/package.json"), io.BytesIO())
        for file in sorted(folder.iterdir()):
            archive.add(file, f"package/ResNet50/{file.name}")
    return path


def write_h5(path: Path, arrays: Arrays, *, old_names: bool) -> Path:
    """Write a file of weights with the names of Keras 1, or of Keras 2."""
    import h5py

    old = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, parameter = name.split("/")
            inner = f"{layer}_{old.get(parameter, parameter)}_1:0" if old_names else f"{layer}/{parameter}:0"
            file[f"{layer}/{inner}"] = array
    return path
