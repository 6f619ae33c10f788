"""A profile that was edited and is invalid is refused in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import load_profile
from checker.errors import ModelRefused

_SHIPPED = json.loads(
    (SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json").read_text("utf-8")
)


@pytest.mark.parametrize("value", [None, 1, "text", [1]])
@pytest.mark.parametrize("part", ["the whole file", "key", "cat", "not_cat", "soft", "fp32_recall", "head"])
def test_a_part_of_another_kind_is_refused(tmp_path: Path, part: str, value: Any) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(_SHIPPED | {part: value} if part in _SHIPPED else value), "utf-8")
    with pytest.raises(ModelRefused, match=r"own\.json cannot be read: it is damaged; delete it, or [\w ]+$"):
        load_profile(path)


def test_a_profile_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(100_000 * "[")
    with pytest.raises(ModelRefused, match=r"own\.json cannot be read: it is damaged; delete it"):
        load_profile(path)


def test_a_pipe_is_refused_as_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    os.mkfifo(path)
    with pytest.raises(ModelRefused, match=r"own\.json cannot be read: it is not a regular file$"):
        load_profile(path)
