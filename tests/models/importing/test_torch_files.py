"""Files of ``torch.save`` are read as tables of plain parameters; all others are refused in one sentence."""

from __future__ import annotations

import argparse
import shutil
from datetime import date
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


class Copier:
    """Copies this file when it is unpickled by Python."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return shutil.copy, (__file__, str(self.path))


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"model": "TABLE", "epoch": 3, "args": argparse.Namespace(lr=0.1, data_path=Path("/data"))},
        {"state_dict": "TABLE", "metric": np.float64(71.2), "history": np.zeros(3), "date": date(2026, 1, 1)},
        {"net": "TABLE", "acc": 93.1, "epoch": 3},
        {"params_ema": "TABLE", "optimizer": {"state": {0: {"step": VALUES}}, "param_groups": []}},
    ],
    ids=["settings", "numbers of numpy", "another name", "an average"],
)
@pytest.mark.parametrize("prefix", ["", "module.", "net.backbone."])
def test_checkpoints_of_trainers_are_read(checkpoint: dict[str, Any], prefix: str, tmp_path: Path) -> None:
    table = {f"{prefix}conv1.weight": VALUES, f"{prefix}fc.weight": VALUES + 1, "n_averaged": torch.tensor(5)}
    torch.save(
        {key: table if isinstance(value, str) else value for key, value in checkpoint.items()},
        tmp_path / "w.pth",
    )
    arrays = read_pth(tmp_path / "w.pth")
    assert {name: values.tolist() for name, values in arrays.items()} == {
        "conv1.weight": VALUES.tolist(),
        "fc.weight": (VALUES + 1).tolist(),
    }


def test_nothing_that_a_checkpoint_names_is_run(tmp_path: Path) -> None:
    torch.save({"model": {"fc.weight": VALUES}, "args": Copier(tmp_path / "ran")}, tmp_path / "w.pth")
    assert list(read_pth(tmp_path / "w.pth")) == ["weight"]
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert (tmp_path / "ran").exists(), "the file is dangerous"


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, about sparse tensors
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"fc.weight": VALUES.to_sparse()}, "fc.weight is not a plain tensor of real numbers"),
        ({"fc.weight": VALUES.to("meta")}, "fc.weight is not a plain tensor of real numbers"),
        ({"fc.weight": VALUES.to(torch.complex64)}, "fc.weight is not a plain tensor of real numbers"),
        ({1: VALUES}, "contains no table of parameters"),
        ({"student": {"a": VALUES}, "teacher": {"a": VALUES}}, "contains no table of parameters"),
    ],
    ids=["sparse", "without values", "complex", "numbered", "two tables"],
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
