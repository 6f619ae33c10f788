"""Tensors in canonical form: equal values give equal bytes, in the format of safetensors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from models.tensor_file import NotTensors, canonical, parse

TENSORS = {
    "fc.bias": np.arange(3, dtype=np.float32),
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "scale": np.array([[7]], np.float32),
}


def test_safetensors_reads_the_canonical_file() -> None:
    read = safetensors.numpy.load(b"".join(canonical(TENSORS)))
    assert read.keys() == TENSORS.keys()
    for name, values in TENSORS.items():
        np.testing.assert_array_equal(read[name], values, strict=True)


def test_the_bytes_depend_only_on_names_and_values() -> None:
    other_order = {name: TENSORS[name] for name in sorted(TENSORS, reverse=True)}
    other_layout = {name: np.asfortranarray(values) for name, values in other_order.items()}
    assert b"".join(canonical(other_layout)) == b"".join(canonical(TENSORS))
    changed = {**TENSORS, "scale": np.array([[8]], np.float32)}
    assert b"".join(canonical(changed)) != b"".join(canonical(TENSORS))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_a_file_written_by_safetensors_is_read(dtype: torch.dtype) -> None:
    values = torch.tensor([[1.5, -2.25, 0.0], [3.0, 1e-3, 1e4]]).to(dtype)
    data = safetensors.torch.save({"x": values, "y": values.flatten().clone()}, metadata={"format": "pt"})
    read = parse(data)
    assert set(read) == {"x", "y"}
    np.testing.assert_array_equal(read["x"].astype(np.float64), values.double().numpy())
    np.testing.assert_array_equal(read["y"].astype(np.float64), values.flatten().double().numpy())


def with_header(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin like"),
        (b"\xff" * 40, "does not begin like"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "does not begin like"),
        ((2).to_bytes(8, "little") + b"{]", "table of tensors can't be read"),
        (with_header({"x": 3}), "table of tensors can't be read"),
        (
            with_header({"x": {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]}}),
            "table of tensors can't be read",
        ),
        (with_header({"x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}), "type F8_E4M3"),
        (with_header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 12]}}), "truncated"),
        (with_header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [4, 20]}}), "truncated"),
        (with_header({"x": {"dtype": "F32", "shape": [4], "data_offsets": [-4, 12]}}), "truncated"),
        (with_header({"x": {"dtype": "F32", "shape": [-4], "data_offsets": [16, 0]}}), "truncated"),
    ],
)
def test_other_bytes_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(NotTensors, match=reason):
        parse(data)
