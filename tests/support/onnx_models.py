"""ResNets as ONNX files, written field by field of the format's definition (onnx.proto3).

Exporters write two forms: with batch norms, and with batch norms merged into the convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

State = Mapping[str, torch.Tensor]
_FLOAT, _INT, _INTS = 1, 2, 7  # of AttributeProto.AttributeType
_EPSILON = 1e-5
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.float16): 10}  # of TensorProto.DataType


def field(number: int, value: bytes | str | int) -> bytes:
    """Encode one field of a protobuf message: a varint or a byte string."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tensor(name: str, values: npt.NDArray[np.floating], *, beside: tuple[str, int] | None = None) -> bytes:
    """Encode a TensorProto.

    Args:
        beside: name of an external file that contains the values, and their offset in that file.
    """
    message = b"".join(field(1, size) for size in values.shape) + field(2, _TYPES[values.dtype])
    message += field(8, name)
    if beside is None:
        return message + field(9, values.astype(values.dtype.newbyteorder("<")).tobytes())
    facts = {"location": beside[0], "offset": str(beside[1]), "length": str(values.nbytes)}
    entries = b"".join(field(13, field(1, key) + field(2, value)) for key, value in facts.items())
    return message + entries + field(14, 1)


def node(kind: str, inputs: Iterable[str], output: str, **attributes: float | list[int]) -> bytes:
    message = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, list):
            content = b"".join(field(8, number) for number in value) + field(20, _INTS)
        elif isinstance(value, int):
            content = field(3, value) + field(20, _INT)
        else:
            content = _varint(2 << 3 | 5) + np.float32(value).tobytes() + field(20, _FLOAT)
        message += field(5, field(1, name) + content)
    return message


def value_info(name: str, *sizes: int, kind: int = 1) -> bytes:
    shape = b"".join(field(1, field(1, size)) for size in sizes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


class ResNetWriter:
    """Writes a basic-block ResNet (18 or 34) from torchvision's parameters."""

    def __init__(
        self,
        state: State,
        *,
        merged: bool,
        end: str = "Identity",
        opset: int = 17,
        shortcut_first: bool = False,
        channels_last: bool = False,
        dtype: type[np.floating] = np.float32,
    ) -> None:
        """
        Args:
            end: last operation, such as ``Softmax``.
            shortcut_first: add the longer branch of a block to its shortcut, as MXNet and Keras do.
            channels_last: the input is ``(1, 224, 224, 3)``.
            dtype: of the parameters, the input and the output.
        """
        self._state, self._merged, self._end, self._opset = state, merged, end, opset
        self._shortcut_first, self._channels_last, self._dtype = shortcut_first, channels_last, dtype
        self.nodes: list[bytes] = []
        self.tensors: dict[str, npt.NDArray[np.floating]] = {}

    def write(self, path: Path, *, beside: str = "", classes: int = 1000) -> Path:
        """Write the model; with ``beside`` its weights go to a file of that name."""
        self._graph()
        kind = _TYPES[np.dtype(self._dtype)]
        shape = value_info(
            "photo", *((1, 224, 224, 3) if self._channels_last else (1, 3, 224, 224)), kind=kind
        )
        offset, initialisers, blob = 0, b"", b""
        for name, original in self.tensors.items():
            values = original.astype(self._dtype)
            initialisers += field(5, tensor(name, values, beside=(beside, offset) if beside else None))
            offset += values.nbytes
            blob += values.tobytes() if beside else b""
        graph = b"".join(field(1, each) for each in self.nodes) + field(2, "network") + initialisers
        graph += field(11, shape) + field(12, value_info("logits", 1, classes, kind=kind))
        path.write_bytes(field(1, 8) + field(2, "test") + field(7, graph) + field(8, field(2, self._opset)))
        if beside:
            path.with_name(beside).write_bytes(blob)
        return path

    def _graph(self) -> None:
        x = self._node("Transpose", ["photo"], perm=[0, 3, 1, 2]) if self._channels_last else "photo"
        x = self._convolution(x, "conv1", "bn1", stride=2, relu=True)
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        x = self._node("MaxPool", [x], **window)
        blocks = sorted({name.rpartition(".conv1.")[0] for name in self._state if ".conv1." in name})
        for block in blocks:
            stride = 2 if block.endswith(".0") and not block.startswith("layer1") else 1
            y = self._convolution(x, f"{block}.conv1", f"{block}.bn1", stride, relu=True)
            y = self._convolution(y, f"{block}.conv2", f"{block}.bn2")
            if f"{block}.downsample.0.weight" in self._state:
                x = self._convolution(x, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            x = self._node("Relu", [self._node("Add", [x, y] if self._shortcut_first else [y, x])])
        x = self._node("Flatten", [self._node("GlobalAveragePool", [x])], axis=1)
        x = self._node("Gemm", [x, self._keep("fc.weight"), self._keep("fc.bias")], transB=1)
        axis = {} if self._end == "Identity" else {"axis": 1}
        self.nodes.append(node(self._end, [x], "logits", **axis))

    def _node(self, kind: str, inputs: list[str], **attributes: float | list[int]) -> str:
        output = f"value{len(self.nodes)}"
        self.nodes.append(node(kind, inputs, output, **attributes))
        return output

    def _convolution(self, x: str, name: str, norm: str, stride: int = 1, *, relu: bool = False) -> str:
        weight = self._state[f"{name}.weight"]
        size = weight.shape[-1]
        layout = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [size // 2] * 4}
        parameters = ("running_mean", "running_var", "weight", "bias")
        if self._merged:
            mean, variance, gamma, beta = (self._state[f"{norm}.{key}"] for key in parameters)
            merged = fuse_conv_bn_weights(weight, None, mean, variance, _EPSILON, gamma, beta)
            names = [f"onnx::Conv_{len(self.tensors) + i}" for i in range(2)]
            for key, values in zip(names, merged, strict=True):
                self.tensors[key] = values.detach().numpy()
            x = self._node("Conv", [x, *names], **layout)
        else:
            x = self._node("Conv", [x, self._keep(f"{name}.weight")], **layout)
            keys = [self._keep(f"{norm}.{key}") for key in ("weight", "bias", "running_mean", "running_var")]
            x = self._node("BatchNormalization", [x, *keys], epsilon=_EPSILON)
        return self._node("Relu", [x]) if relu else x

    def _keep(self, name: str) -> str:
        self.tensors[name] = self._state[name].numpy()
        return name


def random_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return random parameters for the model that keep its activations bounded."""
    torch.manual_seed(0)
    state = {}
    for name, values in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "downsample.1.weight")):
            state[name] = torch.rand_like(values) + 0.5
        elif values.dim() > 1:
            state[name] = torch.randn_like(values) * (2 / values[0].numel()) ** 0.5
        else:
            state[name] = torch.randn_like(values) * 0.1
    return state
