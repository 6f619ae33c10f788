"""Read an ONNX model with OpenVINO, which also computes the reference logits for a conversion.

Operations between the layers are not examined: the logits reveal other models with the same layers.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.catalogue import CLASSES
from models.errors import WeightsRefused
from models.importing.layers import Layer, Norm
from models.openvino_package import prepare_import

_Floats = npt.NDArray[np.float32]
_CHANNELS = 3
_OF_SHAPE = ("Reshape", "Squeeze", "Unsqueeze")
"""Operations that only arrange values; the softmax of ONNX's early opsets is between two of them."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A model that classifies one photo into 1000 classes."""

    name: str
    """Name of the file, for messages."""
    orders: list[list[Layer]]
    """The layers in each order that exporters may have meant; see ``_in_order``."""
    _model: Any
    _openvino: Any

    def logits(self, inputs: _Floats) -> _Floats:
        """Run the graph on normalised photos ``(N, 3, side, side)``; return ``(N, 1000)``.

        Raises:
            WeightsRefused: the model takes another input, or can't be run.
        """
        if _has_channels_last(self._model):  # as exports of TensorFlow and Keras have them
            inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
        shape = [1, *inputs.shape[1:]]
        try:
            self._model.reshape(shape)
            model = _in_float32(self._openvino, self._model)
            compiled = self._openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            outputs = [np.asarray(compiled([photo[np.newaxis]])[0], np.float32) for photo in inputs]
            return np.concatenate(outputs).reshape(len(inputs), -1)
        except (RuntimeError, ValueError) as error:
            raise WeightsRefused(f"{self.name} does not take a photo as {tuple(shape)} numbers.") from error


def read_onnx(path: Path) -> OnnxModel:
    """Read the layers of an ONNX model, including weights in a separate file next to it.

    Raises:
        WeightsRefused: openvino is missing, the file can't be read, or is not a classifier of 1000 classes.
    """
    prepare_import()
    try:
        openvino = importlib.import_module("openvino")
        frontend = importlib.import_module("openvino.frontend")
        passes = importlib.import_module("openvino.passes")
    except ImportError as error:
        raise WeightsRefused(
            f"{path.name} is ONNX, and reading it needs openvino, which is not installed; "
            "`pip install 'catloader[openvino]'` installs it."
        ) from error
    try:
        # Not read_model, which also tries the readers of other formats, whose libraries write to stderr.
        reader = frontend.FrontEndManager().load_by_framework("onnx")
        model = reader.convert(reader.load(str(path)))
        if not model.outputs:
            raise ValueError("an empty graph")
        folding = passes.Manager()
        folding.register_pass(passes.ConstantFolding())
        folding.run_passes(model)
    except (
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
        RuntimeError,
        ValueError,
    ) as error:
        raise WeightsRefused(
            f"{path.name} is damaged, is not an ONNX model, or lacks the external file with its weights."
        ) from error
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        raise WeightsRefused(
            f"{path.name} is not a classifier with one input and one output: it has {len(model.inputs)} and "
            f"{len(model.outputs)}."
        )
    shape = model.output().get_partial_shape()
    classes = shape[len(shape) - 1] if shape.rank.is_static and len(shape) else None
    if classes is not None and classes.is_static and classes.get_length() != CLASSES:
        raise WeightsRefused(
            f"{path.name} has another number of classes ({classes.get_length()}); supported are classifiers "
            f"with the {CLASSES} classes of ImageNet."
        )
    model = _without_softmax(openvino, model)
    return OnnxModel(path.name, _orders(model), model, openvino)


def _without_softmax(openvino: Any, model: Any) -> Any:
    """Return the model without a softmax or its logarithm at its end, so that its outputs are logits."""
    last = _producer(model.get_results()[0], 0)
    while last.get_type_name() in _OF_SHAPE:
        last = _producer(last, 0)
    if last.get_type_name() not in ("Softmax", "LogSoftmax"):
        return model
    logits = last.input_value(0)
    while logits.get_node().get_type_name() in _OF_SHAPE:
        logits = logits.get_node().input_value(0)
    return openvino.Model([logits], model.get_parameters())


def _has_channels_last(model: Any) -> bool:
    shape = model.input().get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != 4:
        return False
    second, last = (shape[axis].get_length() if shape[axis].is_static else None for axis in (1, 3))
    return last == _CHANNELS and second != _CHANNELS


def _in_float32(openvino: Any, model: Any) -> Any:
    """Let a model of halves take and return floats: rounding them would change the logits too much."""
    steps = openvino.preprocess.PrePostProcessor(model)
    for end in (steps.input(), steps.output()):
        end.tensor().set_element_type(openvino.Type.f32)
    return steps.build()


def _orders(model: Any) -> list[list[Layer]]:
    firsts, lasts = (list(_in_order(model, first_operand_first=first)) for first in (True, False))
    names = [[node.get_name() for node in nodes] for nodes in (firsts, lasts)]
    return [_layers(nodes) for nodes in ((firsts,) if names[0] == names[1] else (firsts, lasts))]


def _layers(nodes: Iterable[Any]) -> list[Layer]:
    layers: list[Layer] = []
    places: dict[str, int] = {}
    """Name of a node -> index of the layer whose result the node computes."""
    for node in nodes:
        kind, name = node.get_type_name(), node.get_name()
        constants = [_constant(node, i) for i in range(node.get_input_size())]
        place = next((places[p] for p in _producers(node) if p in places), None)
        layer = None if place is None else layers[place]
        if kind in ("Convolution", "GroupConvolution") and constants[1] is not None:
            # The first axis of grouped weights is the group.
            grouped = kind == "GroupConvolution"
            weight = constants[1].reshape(-1, *constants[1].shape[2:]) if grouped else constants[1]
            places[name] = len(layers)
            layers.append(Layer(weight))
        elif kind == "MatMul" and constants[1] is not None and constants[1].ndim == 2:
            is_transposed = node.get_attributes()["transpose_b"]
            places[name] = len(layers)
            layers.append(Layer(np.ascontiguousarray(constants[1] if is_transposed else constants[1].T)))
        elif place is None or layer is None:
            continue
        elif kind == "Multiply" and any(c is not None and (c == 1).all() for c in constants):
            places[name] = place  # ONNX's Gemm has factors, which are usually 1
        elif kind == "Add" and layer.bias is None and layer.norm is None:
            bias = next((c.ravel() for c in constants if c is not None and c.size == len(layer.weight)), None)
            if bias is not None:
                layers[place], places[name] = replace(layer, bias=bias), place
        elif kind == "BatchNormInference" and layer.norm is None:
            values = [c for c in constants[1:] if c is not None]
            if len(values) == 4:
                gamma, beta, mean, variance = values
                norm = Norm(gamma, beta, mean, variance, float(node.get_attributes()["epsilon"]))
                layers[place], places[name] = replace(layer, norm=norm), place
    return layers


def _in_order(model: Any, *, first_operand_first: bool) -> Iterator[Any]:
    """Yield the nodes of the forward pass, each after the nodes that produce its inputs.

    If two branches meet, the branch of the first operand comes first, as in code that was written for torch.
    MXNet and Keras add the longer branch to the shortcut, so that it is the second operand.
    """
    reachable: set[str] = set()
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Parameter" or reachable.intersection(_producers(node)):
            reachable.add(node.get_name())
    done = set()
    stack = [(model.get_results()[0], False)]
    while stack:
        node, inputs_are_done = stack.pop()
        name = node.get_name()
        if inputs_are_done:
            yield node
        elif name in reachable and name not in done:
            done.add(name)
            stack.append((node, True))
            inputs = [(_producer(node, i), False) for i in range(node.get_input_size())]
            stack += reversed(inputs) if first_operand_first else inputs


def _producer(node: Any, place: int) -> Any:
    return node.input_value(place).get_node()


def _producers(node: Any) -> list[str]:
    return [_producer(node, i).get_name() for i in range(node.get_input_size())]


def _constant(node: Any, place: int) -> _Floats | None:
    source = _producer(node, place)
    return np.array(source.data, np.float32) if source.get_type_name() == "Constant" else None
