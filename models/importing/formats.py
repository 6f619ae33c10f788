"""Recognise the form of a file of weights by its content, and read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from models import tensor_file
from models.errors import WeightsMissing, WeightsRefused
from models.importing.keras_h5 import read_h5
from models.importing.tensorflowjs import read_folder, read_tarball
from models.importing.torch_files import read_pth, read_safetensors

TAKEN = (
    "a TensorFlow.js layers model (npm tarball or folder), Keras's .h5, .pth with torchvision's names, or "
    ".safetensors with torchvision's or timm's names"
)


@dataclass(frozen=True, slots=True)
class Form:
    """One form in which weights come."""

    name: str
    read: Callable[[Path], Mapping[str, npt.NDArray[Any]]]
    packages: tuple[str, ...] = ("numpy", "torch")
    """Those whose versions the manifest states."""


_TENSORFLOWJS = "TensorFlow.js layers model"
_FORMS_BY_START = {
    b"\x1f\x8b": Form(_TENSORFLOWJS, read_tarball),
    b"\x89HDF\r\n\x1a\n": Form("Keras HDF5", read_h5, ("h5py", "numpy", "torch")),
    b"PK\x03\x04": Form("torch", read_pth),
    b"\x80\x02": Form("torch", read_pth),  # files of torch before 1.6 are bare pickles
}
_START_BYTES = 9


def form_of(path: Path) -> Form:
    """Recognise a file or folder of weights.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it can't be read, or has a form that is not taken.
    """
    if path.is_dir():
        return Form(_TENSORFLOWJS, read_folder)
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    except OSError as error:
        raise WeightsRefused(f"{path} can't be read: {error.strerror}.") from error
    for first, form in _FORMS_BY_START.items():
        if start.startswith(first):
            return form
    if tensor_file.looks_like(start):
        return Form("safetensors", read_safetensors)
    raise WeightsRefused(f"{path.name} has a form that is not taken; taken are {TAKEN}.")
