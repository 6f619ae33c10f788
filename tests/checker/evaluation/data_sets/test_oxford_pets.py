from __future__ import annotations

from pathlib import Path

import pytest

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import UnusablePhotos

LIST = """#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
Abyssinian_100 1 1 1
american_bulldog_100 2 2 1
"""


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for folder in ("images", "annotations"):
        (tmp_path / folder).mkdir()
    for name in ("Abyssinian_100", "american_bulldog_100", "not_listed_1", "._Abyssinian_100"):
        (tmp_path / "images" / f"{name}.jpg").touch()
    (tmp_path / "annotations" / "list.txt").write_text(LIST)
    return tmp_path


def test_species_become_labels_and_kinds(pets: Path) -> None:
    for data in (pets, pets / "annotations" / "list.txt"):
        assert [(photo.name, photo.label, photo.kind) for photo in labelled_photos(data)] == [
            ("Abyssinian_100.jpg", "cat", None),
            ("american_bulldog_100.jpg", "not_cat", "dog"),
        ]


def test_both_splits_are_read_if_there_is_no_list_of_all_and_a_photo_of_both_counts_once(pets: Path) -> None:
    (pets / "annotations" / "list.txt").unlink()
    (pets / "annotations" / "trainval.txt").write_text("\ufeffAbyssinian_100 1 1 1\r\n", encoding="utf-8")
    (pets / "annotations" / "test.txt").write_text("american_bulldog_100 2 2 1\nAbyssinian_100 1 1 1\n")
    assert [photo.label for photo in labelled_photos(pets)] == ["cat", "not_cat"]


def test_names_may_be_written_as_another_system_has_them(pets: Path) -> None:
    (pets / "annotations" / "list.txt").rename(pets / "annotations" / "LIST.TXT")
    (pets / "annotations").rename(pets / "Annotations")
    (pets / "images" / "Abyssinian_100.jpg").rename(pets / "images" / "ABYSSINIAN_100.JPG")
    (pets / "images").rename(pets / "IMAGES")
    assert [(photo.name, photo.label) for photo in labelled_photos(pets)] == [
        ("Abyssinian_100.jpg", "cat"),
        ("american_bulldog_100.jpg", "not_cat"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_an_edited_list_is_read(pets: Path, encoding: str) -> None:
    edited = "Abyssinian_100.jpg 1 1 1  # the first\r\namerican_bulldog_100 2 2 1#\r\n"
    (pets / "annotations" / "list.txt").write_bytes(edited.encode(encoding))
    assert [(photo.name, photo.label) for photo in labelled_photos(pets)] == [
        ("Abyssinian_100.jpg", "cat"),
        ("american_bulldog_100.jpg", "not_cat"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Abyssinian_100 1 3 1\n", "line 1: not a name, a class, a species"),
        ("Abyssinian_100\n", "line 1: not a name, a class, a species"),
        (" # \ngone_1 1 1 1\n", r"line 2: there is no photo gone_1\.jpg in the folder images"),
        ("Abyssinian_100 1 1 1\n", "found 1 cat, 0 not_cat"),
        (
            "Abyssinian_100 1 1 1\nAbyssinian_100 1 2 1\n",
            "line 2: Abyssinian_100.jpg is labelled not_cat here",
        ),
    ],
)
def test_a_list_with_an_error_is_refused_in_one_sentence(pets: Path, lines: str, message: str) -> None:
    (pets / "annotations" / "list.txt").write_text(lines)
    with pytest.raises(UnusablePhotos, match=message):
        labelled_photos(pets)


def test_a_list_without_its_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(LIST)
    with pytest.raises(UnusablePhotos, match="there is no folder images next to it"):
        labelled_photos(tmp_path / "list.txt")
