"""Labelled photos on a command line: their files are decoded in a child process."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.cli.models.labelled_photos import open_photos
from catloader.settings import Settings
from checker.evaluation.photos import LABELS, UnusablePhotos
from checker.values import Rendition
from tests.support.site import jpeg


def test_files_of_a_folder_are_decoded_by_a_child_that_ends_with_the_block(tmp_path: Path) -> None:
    for width, label in enumerate(LABELS, 96):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(jpeg(size=(width, 64)))
    with open_photos(str(tmp_path), Settings()) as photos:
        assert [set(photo.read()) for photo in photos] == [set(Rendition)] * len(LABELS)
    with pytest.raises(UnusablePhotos, match="This process is stopping"):
        photos[0].read()


def test_classes_of_cats_are_refused_for_reviewed_photos() -> None:
    with (
        pytest.raises(UnusablePhotos, match="database has people's verdicts and no class Ragdoll"),
        open_photos("database", Settings(), ["", "Ragdoll"]),
    ):
        pass
