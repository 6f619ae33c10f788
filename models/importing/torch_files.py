"""Read tables of parameters from files of torch and safetensors, with torchvision's names."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import tensor_file
from models.errors import WeightsRefused

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "model.")
"""Prefixes that ``DataParallel``, ``torch.compile`` and trainers that wrap the model put before each name."""
_COUNTER = "num_batches_tracked"
"""Name of a count of training steps, which inference does not use and old files lack."""

# The exceptions that torch was observed to raise for damaged files.
_BROKEN = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    OSError,
)


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read a safetensors file. The names are torchvision's; for ResNets timm's are the same.

    Raises:
        WeightsRefused: the file can't be read.
    """
    try:
        return _named_as_torchvision(tensor_file.parse(path.read_bytes()))
    except tensor_file.NotTensors as error:
        raise WeightsRefused(f"{path.name} is refused: {error}.") from error


def read_pth(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read the output of ``torch.save``: a table of parameters, or a training checkpoint that contains one.

    Raises:
        WeightsRefused: the file can't be read, or contains more than tensors; no code in it is run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise WeightsRefused(
            f"{path.name} contains more than tensors, or is damaged; nothing was loaded from it."
        ) from error
    if _has_wrong_checksum(path):
        raise WeightsRefused(f"{path.name} is damaged: its content does not match its checksums.")
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise WeightsRefused(f"{path.name} contains no table of parameters.")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise WeightsRefused(f"{path.name} is refused: {name} is not a plain tensor of real numbers.")
    return _named_as_torchvision({name: tensor.detach().float().numpy() for name, tensor in state.items()})


def _has_wrong_checksum(path: Path) -> bool:
    """Verify the checksums in a file of torch 1.6 or later, which torch ignores when it loads the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except zipfile.BadZipFile:  # a file of an older torch, which has no checksums
        return False
    except (zlib.error, EOFError, NotImplementedError):  # NotImplementedError: an unknown version
        return True


def _named_as_torchvision(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
    result = {name: values for name, values in tensors.items() if not name.endswith(_COUNTER)}
    while prefix := _common_prefix(result):
        result = {name.removeprefix(prefix): values for name, values in result.items()}
    return {name: np.asarray(values, np.float32) for name, values in result.items()}


def _common_prefix(names: Collection[str]) -> str:
    """Return the known prefix that all names have; empty if there is none."""
    prefixes = (prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in names))
    return next(prefixes, "") if names else ""
