"""Files of ``torch.save`` are read as tables of plain parameters; all others are refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import WeightsRefused
from models.importing.torch_files import read_pth

VALUES = torch.arange(12, dtype=torch.float32).reshape(3, 4)


def test_trainable_parameters_and_small_numbers_are_read_as_float32(tmp_path: Path) -> None:
    torch.save({"a": torch.nn.Parameter(VALUES), "b": VALUES.bfloat16(), "c": VALUES.t()}, tmp_path / "w.pth")
    arrays = read_pth(tmp_path / "w.pth")
    assert {values.dtype for values in arrays.values()} == {np.dtype(np.float32)}
    for name, expected in {"a": VALUES, "b": VALUES, "c": VALUES.t()}.items():
        assert np.array_equal(arrays[name], expected.numpy())


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, about sparse tensors
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"fc.weight": VALUES.to_sparse()}, "fc.weight is not a plain tensor of real numbers"),
        ({"fc.weight": VALUES.to("meta")}, "fc.weight is not a plain tensor of real numbers"),
        ({"fc.weight": VALUES.to(torch.complex64)}, "fc.weight is not a plain tensor of real numbers"),
        ({1: VALUES}, "contains no table of parameters"),
    ],
    ids=["sparse", "without values", "complex", "numbered"],
)
def test_tables_of_other_values_than_plain_tensors_are_refused(
    state: dict[Any, torch.Tensor], reason: str, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsRefused, match=rf"^w\.pth .*{reason}\.$"):
        read_pth(tmp_path / "w.pth")


def test_an_altered_file_is_refused_although_torch_loads_it(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"fc.weight": VALUES}, path)
    data = bytearray(path.read_bytes())
    data[data.index(VALUES.numpy().tobytes()) + 20] ^= 1
    path.write_bytes(data)
    assert not torch.equal(torch.load(path)["fc.weight"], VALUES)
    with pytest.raises(
        WeightsRefused, match=r"^w\.pth is damaged: its content does not match its checksums\.$"
    ):
        read_pth(path)


def test_a_zip_directory_that_only_torch_can_read_is_refused_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"fc.weight": VALUES}, path)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 99  # the version of zip that is needed to read the entry
    path.write_bytes(data)
    with pytest.raises(WeightsRefused, match=r"^w\.pth is damaged"):
        read_pth(path)
