"""Folders of labelled photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker.evaluation.photos import CAT, NOT_CAT
from tests.support.photo_sets import OWN_PHOTOS

PHOTO = OWN_PHOTOS.files(CAT)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One photo of each label, in the folders cat and not_cat."""
    for label in (CAT, NOT_CAT):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(PHOTO.read_bytes())
    return tmp_path
