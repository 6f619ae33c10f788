from __future__ import annotations

from pathlib import Path

import pytest

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import UnusablePhotos


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusablePhotos, match="nowhere: no such folder"):
        labelled_photos(tmp_path / "nowhere")


def test_another_kind_of_folder_is_refused_with_the_expected_contents(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(
        UnusablePhotos, match=r"no table .* no annotations, and no folders of classes such as cat"
    ):
        labelled_photos(tmp_path)


def test_a_folder_with_photos_of_one_label_only_is_refused_with_the_counts(folder: Path) -> None:
    (folder / "not_cat" / "a.jpg").unlink()
    with pytest.raises(UnusablePhotos, match=r"photos of both labels are needed.*found 1 cat, 0 not_cat"):
        labelled_photos(folder)


def test_names_of_classes_are_refused_where_each_photo_has_a_label(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label\ncat/a.jpg,cat\nnot_cat/a.jpg,not_cat\n")
    for data in (folder, folder / "labels.csv"):
        assert len(labelled_photos(data, [""])) == 2
        with pytest.raises(
            UnusablePhotos, match=r"labels\.csv has a label for each photo and no class ragdoll"
        ):
            labelled_photos(data, ["Ragdoll"])
