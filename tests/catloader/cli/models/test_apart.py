"""Weights are imported in a child process; if it is killed, the message is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.cli.models.apart import import_apart
from models.errors import WeightsRefused
from tests.support.onnx_models import field, node, value_info


def test_a_file_that_describes_endless_work_is_refused_after_a_time(tmp_path: Path) -> None:
    source = tmp_path / "endless.onnx"
    shape = value_info("photo", 1, 1000), value_info("logits", 1, 1000)
    graph = field(1, node("Relu", ["photo"], "logits")) + field(2, "network") + field(11, shape[0])
    newest = field(2, 2**62)  # the reader tries each version of the operator, from the newest on
    source.write_bytes(field(1, 8) + field(7, graph + field(12, shape[1])) + field(8, newest))
    with pytest.raises(WeightsRefused, match=r"^endless\.onnx is refused: importing it takes too long\.$"):
        import_apart(source.name, [str(source), str(tmp_path / "weights"), "", "", ""], limit_s=1)
