"""Recognise the format of a weights file by its content, and read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models import tensor_file
from models.errors import WeightsMissing, WeightsRefused
from models.importing.keras_h5 import read_h5
from models.importing.keras_resnet import Arrays
from models.importing.onnx_graph import read_onnx
from models.importing.recognise import Candidate, candidates_of_arrays, candidates_of_graph
from models.importing.tensorflowjs import read_folder, read_tarball
from models.importing.torch_files import read_pth, read_safetensors

SUPPORTED = (
    "a TensorFlow.js layers model (npm tarball or folder), Keras's .h5, .pth with torchvision's names, "
    ".safetensors with torchvision's names, which timm's ResNets have too, or .onnx"
)


@dataclass(frozen=True, slots=True)
class Format:
    """One file format of weights."""

    name: str
    candidates: Callable[[Path, Sequence[str]], Iterator[Candidate]]
    """Reads a file and yields those of the architectures that it fits. Raises WeightsRefused."""
    packages: tuple[str, ...] = ("numpy", "torch")
    """Packages whose versions the manifest states."""
    recognised: str = "parameters are recognised by torchvision's names, which for ResNets are also timm's"
    """End of the error message about a file that fits no model."""


def _table(read: Callable[[Path], Arrays]) -> Callable[[Path, Sequence[str]], Iterator[Candidate]]:
    return lambda path, architectures: candidates_of_arrays(read(path), architectures, path.name)


_TENSORFLOWJS = "TensorFlow.js layers model"
_KERAS = (
    "Keras's ResNet-50 is recognised by the layers' names of 2015, as in res2a_branch2a; the files of newer "
    "versions of Keras, with names as in conv1_conv, have other weights"
)
_ONNX = Format(
    "ONNX",
    lambda path, architectures: candidates_of_graph(read_onnx(path), architectures),
    ("numpy", "openvino", "torch"),
    "ONNX is recognised by its convolutions, products and batch norms, in order; ConvNeXt and ViT are read "
    "from .pth and .safetensors only",
)
_FORMATS_BY_START = {
    b"\x1f\x8b": Format(_TENSORFLOWJS, _table(read_tarball), recognised=_KERAS),
    b"\x89HDF\r\n\x1a\n": Format("Keras HDF5", _table(read_h5), ("h5py", "numpy", "torch"), _KERAS),
    b"PK\x03\x04": Format("torch", _table(read_pth)),
    b"\x80\x02": Format("torch", _table(read_pth)),  # files of torch before 1.6 are bare pickles
    b"\x08": _ONNX,  # ONNX has no signature: this byte precedes the version of the format
}
_START_BYTES = 9


def format_of(path: Path) -> Format:
    """Recognise a file or folder of weights.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: the file can't be read, or its format is not supported.
    """
    if path.is_dir():
        return Format(_TENSORFLOWJS, _table(read_folder), recognised=_KERAS)
    try:
        if path.exists() and not path.is_file():  # such as a pipe: it would be read twice, and may never end
            raise WeightsRefused(f"{path} is not a regular file.")
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except FileNotFoundError:
        raise WeightsMissing(f"There is no file {path}.") from None
    except OSError as error:
        raise WeightsRefused(f"{path} can't be read: {error.strerror}.") from error
    if tensor_file.looks_like(start):
        return Format("safetensors", _table(read_safetensors))
    for signature, file_format in _FORMATS_BY_START.items():
        if start.startswith(signature):
            return file_format
    raise WeightsRefused(f"{path.name} has an unsupported format; supported are {SUPPORTED}.")
