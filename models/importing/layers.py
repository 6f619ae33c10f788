"""Match layers, in the order of the forward pass, with the parameter names of the catalogue's models.

This is for files that name their parameters differently, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from models.build import architecture_without_values

Values = npt.NDArray[np.float32]
_Exact = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm: ``(x - mean) / sqrt(variance + epsilon) * weight + bias``."""

    weight: Values
    bias: Values
    mean: Values
    variance: Values
    epsilon: float


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or a matrix product, with the batch norm directly after it."""

    weight: Values
    """``(outputs, inputs / groups, height, width)``, or ``(outputs, inputs)``."""
    bias: Values | None = None
    norm: Norm | None = None


@dataclass(slots=True)
class _Place:
    """A layer of a model of the catalogue, with the names of its modules."""

    name: str
    module: nn.Conv2d | nn.Linear
    norm_name: str = ""
    norm: nn.BatchNorm2d | None = None


def named_as_in(architecture: str, layers: Sequence[Layer]) -> dict[str, Values] | None:
    """Return the parameters of ``layers`` under the architecture's names; None if they don't fit.

    If a batch norm was merged into its convolution, it becomes a batch norm that only adds the
    convolution's bias.
    """
    places = _places(architecture)
    if places is None or len(places) != len(layers):
        return None
    parameters: dict[str, Values] = {}
    for place, layer in zip(places, layers, strict=True):
        if layer.weight.shape != tuple(place.module.weight.shape):
            return None
        bias = np.zeros(len(layer.weight), np.float32) if layer.bias is None else layer.bias
        parameters[f"{place.name}.weight"] = layer.weight
        if place.module.bias is not None:
            parameters[f"{place.name}.bias"] = bias
            bias = np.zeros_like(bias)
        if place.norm is not None:
            parameters |= _norm(place.norm_name, place.norm.eps, bias, layer.norm)
        elif layer.norm is not None or bias.any():
            return None
    return parameters


def _norm(name: str, epsilon: float, bias: Values, norm: Norm | None) -> dict[str, Values]:
    """Name the parameters of a batch norm, into which the bias of its convolution is folded."""
    if norm is None:
        zeros, ones = np.zeros(len(bias)), np.ones(len(bias))
        parameters = {
            "weight": ones,
            "bias": _exact(bias),
            "running_mean": zeros,
            "running_var": ones - epsilon,
        }
    else:
        # ONNX stores the epsilon in float32: an equal value must leave the variances unchanged.
        is_same = np.float32(norm.epsilon) == np.float32(epsilon)
        parameters = {
            "weight": _exact(norm.weight),
            "bias": _exact(norm.bias),
            "running_mean": _exact(norm.mean) - bias,
            "running_var": _exact(norm.variance) + (0 if is_same else norm.epsilon - epsilon),
        }
    return {f"{name}.{key}": values.astype(np.float32) for key, values in parameters.items()}


def _places(architecture: str) -> list[_Place] | None:
    """List the model's layers; None if other layers than convolutions, products and norms have parameters."""
    model = architecture_without_values(architecture)
    places: list[_Place] = []
    parameters = 0
    for name, module in model.named_modules():
        parameters += sum(1 for _ in module.parameters(recurse=False))
        if isinstance(module, nn.Conv2d | nn.Linear):
            places.append(_Place(name, module))
        elif isinstance(module, nn.BatchNorm2d):
            places[-1].norm_name, places[-1].norm = name, module
        else:
            parameters -= sum(1 for _ in module.parameters(recurse=False))
    return places if parameters == sum(1 for _ in model.parameters()) else None


def _exact(values: Values) -> _Exact:
    return values.astype(np.float64)
