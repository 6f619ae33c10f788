"""Read the weights that Keras publishes as HDF5. The only module that needs h5py."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import WeightsRefused

# The published ResNet-50 file uses the names of Keras 1. Its "running_std" holds variances.
_OLD_NAMES = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


def read_h5(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read every array of a file of weights.

    Returns:
        ``layer/parameter`` -> float32 values, with the names of current versions of Keras.
    Raises:
        WeightsRefused: h5py is missing, or the file can't be read.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise WeightsRefused(
            f"{path.name} is HDF5, and reading it needs h5py, which is not installed; "
            "`pip install 'catloader[keras]'` installs it."
        ) from error
    arrays: dict[str, npt.NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[_name(name)] = np.asarray(item, np.float32)

    try:
        with h5py.File(path) as file:
            # A file of a whole model contains the weights in one group and the optimizer's state in another.
            file.get("model_weights", file).visititems(collect)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise WeightsRefused(f"{path.name} is truncated, or not a weights file.") from error
    return arrays


def _name(path: str) -> str:
    """Return ``conv1/kernel`` for both ``conv1/conv1_W_1:0`` and ``conv1/conv1/kernel:0``."""
    layer, *_, last = path.split("/")
    parameter = last.partition(":")[0].removesuffix("_1").removeprefix(f"{layer}_")
    return f"{layer}/{_OLD_NAMES.get(parameter, parameter)}"
