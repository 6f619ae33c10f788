"""Find the models of the catalogue that weights fit, and the logits that each must produce."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.build import architecture_without_values
from models.catalogue import Preprocessing
from models.errors import PackageMissing, WeightsRefused
from models.importing.compare import normalised
from models.importing.keras_reference import keras_logits
from models.importing.keras_resnet import Arrays, convert, is_keras_resnet50
from models.importing.layers import Layer, named_as_in
from models.importing.onnx_graph import OnnxModel
from models.tensor_file import Tensors

Logits = Callable[[npt.NDArray[np.uint8], Preprocessing], npt.NDArray[Any]]
"""Computes the source's logits, (N, 1000), for uint8 RGB pixels (N, H, W, 3)."""
Shapes = Mapping[str, tuple[int, ...]]
"""Name of a parameter -> its shape."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model of the catalogue with parameters that fit it."""

    architecture: str
    tensors: Tensors
    logits: Logits
    is_converted: bool
    """True: the tensors differ from the source's, so their digest alone does not prove the conversion."""


def candidates_of_arrays(arrays: Arrays, architectures: Sequence[str], file: str) -> Iterator[Candidate]:
    """Yield the models that fit a table of parameters with the names of Keras's ResNet-50 or torchvision.

    Args:
        file: name of the file, for messages.
    Raises:
        WeightsRefused: the parameters have the names of a model, but other shapes, as with other classes.
    """
    if is_keras_resnet50(arrays):
        yield Candidate("resnet50_v1", convert(arrays), lambda pixels, _: keras_logits(arrays, pixels), True)
        return
    shapes = {name: values.shape for name, values in arrays.items()}
    expected = {architecture: _shapes(architecture) for architecture in architectures}
    for architecture in architectures:
        if expected[architecture] == shapes:
            yield Candidate(architecture, dict(arrays), _torchvisions(architecture, arrays), False)
    if shapes not in expected.values():
        _refuse_other_shapes(shapes, expected, file)


def _refuse_other_shapes(shapes: Shapes, expected: Mapping[str, Shapes], file: str) -> None:
    for architecture, right in expected.items():
        if right and right.keys() == shapes.keys():
            name = next(name for name in right if right[name] != shapes[name])
            raise WeightsRefused(
                f"{file} has the parameter names of {architecture}, but {name} has the shape {shapes[name]} "
                f"instead of {right[name]}."
            )


def candidates_of_graph(model: OnnxModel, architectures: Sequence[str]) -> Iterator[Candidate]:
    """Yield the models whose layers are those of an ONNX model."""
    for architecture in architectures:
        for layers in model.orders:
            tensors = _named(architecture, layers)
            if tensors is not None:
                yield Candidate(
                    architecture, tensors, lambda p, steps: model.logits(normalised(p, steps)), True
                )


def _named(architecture: str, layers: Sequence[Layer]) -> Tensors | None:
    try:
        return named_as_in(architecture, layers)
    except PackageMissing:  # a model that can't be built can't be recognised
        return None


def _torchvisions(architecture: str, tensors: Tensors) -> Logits:
    """Return a function that computes the logits of torchvision's model with these parameters."""

    @torch.inference_mode()
    def logits(pixels: npt.NDArray[np.uint8], steps: Preprocessing) -> npt.NDArray[Any]:
        try:
            from torchvision.models import get_model, list_models
        except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another torch
            raise WeightsRefused(
                f"These weights fit {architecture} and are not the catalogue's; comparing their logits needs "
                "torchvision: `pip install 'catloader[torchvision]'` installs it."
            ) from error
        if architecture not in list_models():
            raise WeightsRefused(
                f"These weights fit {architecture} and are not the catalogue's, and no other program on this "
                "machine can compute their logits."
            )
        model = get_model(architecture, weights=None)
        model.load_state_dict({name: torch.from_numpy(np.array(v)) for name, v in tensors.items()})
        output: npt.NDArray[Any] = model.eval()(torch.from_numpy(normalised(pixels, steps))).numpy()
        return output

    return logits


def _shapes(architecture: str) -> Shapes:
    try:
        state = architecture_without_values(architecture).state_dict()
    except PackageMissing:  # a model that can't be built can't be recognised
        return {}
    return {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
