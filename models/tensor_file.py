"""Tensors in their canonical form: a safetensors file whose bytes depend only on names and values.

So the SHA-256 of the file identifies weights from any source. The format is that of the safetensors package:
the length of the header, the header in JSON, the values.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[np.float32]]

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""The limit that the format sets."""
# numpy has no bfloat16, which is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}


class NotTensors(ValueError):
    """The bytes are not a safetensors file, or contain unsupported data; the message says which."""


def canonical(tensors: Tensors) -> Iterator[bytes]:
    """Yield the bytes of the canonical file: float32, sorted by name, no metadata."""
    header, end = {}, 0
    for name in sorted(tensors):
        start, end = end, end + 4 * tensors[name].size
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the values begin at a multiple of 8
    yield len(text).to_bytes(_LENGTH_BYTES, "little") + text
    for name in sorted(tensors):
        yield np.ascontiguousarray(tensors[name], "<f4").tobytes()


def canonical_sha256(tensors: Tensors) -> str:
    """Return the SHA-256 of the canonical file without making the file; 64 hex digits."""
    digest = hashlib.sha256()
    for chunk in canonical(tensors):
        digest.update(chunk)
    return digest.hexdigest()


def looks_like(start: bytes | bytearray) -> bool:
    """Return True if the first nine bytes may begin a file of this format."""
    return start[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def parse(data: bytes | bytearray) -> dict[str, npt.NDArray[Any]]:
    """Read every tensor of a safetensors file; bfloat16 is converted to float32. The arrays share ``data``.

    Raises:
        NotTensors: the message is one clause that says what is wrong.
    """
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if not looks_like(data) or length > _MAX_HEADER_BYTES or start > len(data):
        raise NotTensors("it does not begin like a safetensors file")
    try:
        header = json.loads(data[_LENGTH_BYTES:start])
        header.pop("__metadata__", None)
        return {name: _tensor(data, start, **facts) for name, facts in header.items()}
    except NotTensors:
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotTensors("its table of tensors can't be read") from error


def _tensor(
    data: bytes | bytearray, start: int, *, dtype: str, shape: list[int], data_offsets: list[int]
) -> npt.NDArray[Any]:
    if dtype not in _DTYPES:
        raise NotTensors(f"it contains numbers of type {dtype}")
    layout, count = np.dtype(_DTYPES[dtype]), math.prod(shape)
    first, end = data_offsets
    if min([first, *shape]) < 0 or end - first != count * layout.itemsize or start + end > len(data):
        raise NotTensors("it is truncated, or its table of tensors is wrong")
    values = np.frombuffer(data, layout, count, start + first).reshape(shape)
    if dtype == "BF16":
        return (values.astype("<u4") << 16).view("<f4")
    return values
