from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from checker.evaluation.photos import (
    CAT,
    NOT_CAT,
    LabelledPhoto,
    UnusablePhotos,
    describe,
    enough_of_both,
    labelled_photos,
)
from checker.pixels.renditions import site_renditions
from checker.values import Rendition
from tests.support.photo_sets import OWN_PHOTOS

PHOTO = OWN_PHOTOS.files(CAT)[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One photo of each label, in the folders cat and not_cat."""
    for label in (CAT, NOT_CAT):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(PHOTO.read_bytes())
    return tmp_path


def names(folder: Path) -> list[tuple[str, str]]:
    return [(photo.name, photo.label) for photo in labelled_photos(folder)]


def test_photos_are_labelled_by_their_folder_and_other_files_are_left_out(folder: Path) -> None:
    (folder / "not_cat" / "notes.txt").write_bytes(b"")
    (folder / "cat" / "more").mkdir()
    (folder / "cat" / "more" / "b.HEIC").write_bytes(b"")
    assert names(folder) == [("cat/a.jpg", CAT), ("cat/more/b.HEIC", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize("hidden", ["._a.jpg", ".trash/b.jpg", "more/.thumbnails/c.jpg", ".DS_Store"])
def test_hidden_files_and_folders_are_left_out(folder: Path, hidden: str) -> None:
    path = folder / "cat" / hidden
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]


def test_a_name_that_is_not_utf_8_is_read_and_escaped(folder: Path) -> None:
    (folder / "cat" / "a.jpg").rename(folder / "cat" / os.fsdecode(b"caf\xe9.jpg"))
    photo, other = labelled_photos(folder)
    assert photo.name == "cat/caf\\xe9.jpg"
    assert photo.read() == other.read()
    assert describe([photo, other], ["00", "11"])["counts"] == {CAT: 1, NOT_CAT: 1}


def test_an_unreadable_photo_with_a_name_that_is_not_utf_8_is_named_printably(folder: Path) -> None:
    (folder / "cat" / os.fsdecode(b"\xff.jpg")).write_bytes(b"junk")
    junk = labelled_photos(folder)[0]
    with pytest.raises(UnusablePhotos) as error:
        junk.read()
    assert str(error.value).encode().startswith(f"{folder}/cat/\\xff.jpg: This is not a photo".encode())


def test_a_folder_that_cannot_be_listed_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    (folder / "cat" / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UnusablePhotos, match=r"locked: .*Permission denied"):
        labelled_photos(folder)


def test_renditions_are_those_that_the_site_stores(folder: Path) -> None:
    photo = labelled_photos(folder)[0]
    assert photo.read() == site_renditions(PHOTO.read_bytes(), fast=False)
    assert set(photo.read()) == set(Rendition)


def test_a_table_wins_over_the_folders(folder: Path) -> None:
    table = "\ufefffile,label\ncat/a.jpg,not_cat\nnot_cat/a.jpg,cat\n"  # as spreadsheets write UTF-8
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    assert names(folder) == [("cat/a.jpg", NOT_CAT), ("not_cat/a.jpg", CAT)]
    assert names(folder / "labels.csv") == names(folder)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"file,label\ncat/a.jpg,kitten\n", "'kitten' is no label"),
        (
            b"file,label\ncat/a.jpg,cat\nnot_cat/gone.jpg,not_cat\n",
            r"line 3: there is no file 'not_cat/gone\.jpg'",
        ),
        (
            b"photo,label\ncat/a.jpg,cat\n",
            r"labels\.csv: its first line must name the columns file and label",
        ),
        (b"", r"labels\.csv: its first line must name the columns file and label"),
        (b"file,label\nm\xfcsli.jpg,cat\n", r"labels\.csv cannot be read as a table"),
        (b"file,label\ncat/a.jpg,cat\n", "photos of both labels are needed.*found 1 cat, 0 not_cat"),
    ],
)
def test_a_table_with_an_error_is_refused_in_one_sentence(folder: Path, table: bytes, message: str) -> None:
    (folder / "labels.csv").write_bytes(table)
    with pytest.raises(UnusablePhotos, match=message):
        labelled_photos(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusablePhotos, match="nowhere: no such folder"):
        labelled_photos(tmp_path / "nowhere")
    with pytest.raises(UnusablePhotos, match="photos of both labels are needed"):
        labelled_photos(tmp_path)


def test_too_few_photos_are_refused_with_their_numbers() -> None:
    def photos(cats: int, others: int) -> list[LabelledPhoto]:
        def unread() -> dict[Rendition, bytes]:
            raise AssertionError("only counted")

        return [LabelledPhoto("", label, unread) for label in [CAT] * cats + [NOT_CAT] * others]

    enough_of_both(photos(50, 50))
    with pytest.raises(UnusablePhotos, match=r"at least 50 .* there are 49 of cat and 50 of not_cat"):
        enough_of_both(photos(49, 50))


def test_the_digest_covers_names_labels_and_contents(folder: Path) -> None:
    photos = labelled_photos(folder)
    renamed = [replace(photos[0], name="b.jpg"), photos[1]]
    relabelled = [replace(photos[0], label=NOT_CAT), photos[1]]
    digests = [describe(these, ["00", "11"])["sha256"] for these in (photos, renamed, relabelled)]
    assert len({*digests, describe(photos, ["00", "22"])["sha256"]}) == 4
