"""Read tables of parameters from files of torch and safetensors, with torchvision's names."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import tensor_file
from models.errors import WeightsRefused

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_COUNTERS = ("num_batches_tracked", "n_averaged")
"""Names of counts of training steps, which inference does not use: of batch norms, and of averaged models."""

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
        WeightsRefused: the file can't be read, or contains no table of tensors; no code in it is run.
    """
    try:
        with torch.serialization.safe_globals(_substitutes(path)):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise WeightsRefused(
            f"{path.name} contains more than tensors, or is damaged; nothing was loaded from it."
        ) from error
    if _has_wrong_checksum(path):
        raise WeightsRefused(f"{path.name} is damaged: its content does not match its checksums.")
    advice = "" if isinstance(state, dict) else "; save model.state_dict() instead of a whole model"
    state = _table_in(state)
    if state is None:
        raise WeightsRefused(f"{path.name} contains no table of parameters{advice}.")
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.is_meta:
            raise WeightsRefused(f"{path.name} is refused: {name} is not a plain tensor of real numbers.")
    return _named_as_torchvision({name: tensor.detach().float().numpy() for name, tensor in state.items()})


class _Ignored:
    """Takes the place of an object that is not needed; the object's own class is not imported."""

    def __new__(cls, *_: object) -> _Ignored:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None: ...


def _substitutes(path: Path) -> list[Any]:
    """Return a substitute for each class and function that a checkpoint names beside tensors.

    Trainers store their settings and counts with the weights: torchvision's and timm's an
    ``argparse.Namespace``, others numbers of numpy. Modules of the system, such as ``os``, stay refused.
    """
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except _BROKEN:  # damaged, or a file of a torch before 1.6
        return []
    return [(type(name, (_Ignored,), {}), name) for name in names]


def _table_in(state: Any) -> dict[str, torch.Tensor] | None:
    """Return the table of parameters in a checkpoint: under a usual name, or the only one that there is."""
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if _is_table(state):
        return dict(state)
    values = state.values() if isinstance(state, dict) else ()
    tables = [value for value in values if _is_table(value) and value]
    return dict(tables[0]) if len(tables) == 1 else None


def _is_table(state: Any) -> bool:
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    )


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
    result = {name: values for name, values in tensors.items() if not name.endswith(_COUNTERS)}
    prefix = _common_prefix(result)
    return {name.removeprefix(prefix): np.asarray(values, np.float32) for name, values in result.items()}


def _common_prefix(names: Collection[str]) -> str:
    """Return the modules that contain the whole model, such as ``module.`` or ``net.backbone.``.

    ``DataParallel``, ``torch.compile`` and trainers put such a prefix before each name. The models of the
    catalogue have none.
    """
    modules = zip(*(name.split(".")[:-1] for name in names), strict=False)
    shared = takewhile(lambda of_names: len(set(of_names)) == 1, modules)
    return "".join(f"{of_names[0]}." for of_names in shared)
