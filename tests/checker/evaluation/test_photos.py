from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import (
    CAT,
    LABELS,
    NOT_CAT,
    LabelledPhoto,
    UnusablePhotos,
    decoded_apart,
    describe,
    distinct_photos,
    enough_of_both,
    renditions_sha256,
)
from checker.isolation.limits import Limits
from checker.pixels.renditions import site_renditions
from checker.values import Rendition
from tests.checker.evaluation.conftest import PHOTO
from tests.support.bombs import encoded
from tests.support.photo_sets import OWN_PHOTOS


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


def test_renditions_equal_those_that_the_site_stores(folder: Path) -> None:
    photo = labelled_photos(folder)[0]
    assert photo.read() == site_renditions(PHOTO.read_bytes(), fast=False)
    assert set(photo.read()) == set(Rendition)


@pytest.mark.slow
def test_files_are_decoded_in_a_child_with_limits(folder: Path) -> None:
    (folder / "cat" / "b.png").write_bytes(encoded("PNG", (3000, 3000)))
    photos = labelled_photos(folder)
    with decoded_apart(photos, Limits(cpu_s=0.1)) as apart:
        assert [photo.name for photo in apart] == ["cat/a.jpg", "cat/b.png", "not_cat/a.jpg"]
        assert apart[0].read() == photos[0].read()
        with pytest.raises(UnusablePhotos, match=r"cat/b\.png: Decoding this photo takes too long\.$"):
            apart[1].read()
        assert apart[2].read() == photos[2].read()


def test_photos_that_are_no_files_are_read_as_before() -> None:
    stored = LabelledPhoto("1", CAT, dict)
    with decoded_apart([stored]) as apart:
        assert apart == [stored]


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
    digests = [describe(variant, ["00", "11"])["sha256"] for variant in (photos, renamed, relabelled)]
    assert len({*digests, describe(photos, ["00", "22"])["sha256"]}) == 4


def test_copies_count_once_and_not_under_two_labels(folder: Path) -> None:
    with pytest.raises(
        UnusablePhotos,
        match=r"not_cat/a\.jpg is labelled not_cat, but cat/a\.jpg, which is the same file, is labelled cat",
    ):
        distinct_photos(labelled_photos(folder))
    (folder / "not_cat" / "a.jpg").write_bytes(OWN_PHOTOS.files(NOT_CAT)[0].read_bytes())
    (folder / "cat" / "b.jpg").write_bytes(PHOTO.read_bytes())
    (folder / "cat" / "c.jpg").symlink_to("a.jpg")
    (folder / "cat" / "d.jpg").write_bytes(PHOTO.read_bytes()[:-1] + b"\0")  # of the same size
    (folder / "cat" / "gone.jpg").symlink_to("nowhere")
    distinct = [photo.name for photo in distinct_photos(labelled_photos(folder))]
    assert distinct == ["cat/a.jpg", "cat/d.jpg", "cat/gone.jpg", "not_cat/a.jpg"]
    stored = [LabelledPhoto(name, CAT, dict) for name in "12"]
    assert distinct_photos(stored) == stored


def test_a_photo_has_the_digest_of_its_file_or_else_of_its_renditions(folder: Path) -> None:
    photo = labelled_photos(folder)[0]
    assert photo.digest() == hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    stored = replace(photo, source_sha256=None)  # like the site's own photos, whose files are not kept
    assert stored.digest() == renditions_sha256(photo.read()) != photo.digest()


def test_a_photo_without_a_kind_has_the_kind_of_its_label() -> None:
    photos = [LabelledPhoto("", label, dict) for label in LABELS]
    assert [photo.kind_or_label for photo in photos] == ["cat", "other", "wild feline"]
    assert replace(photos[1], kind="dog").kind_or_label == "dog"
