from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.evaluation.data_sets.class_folders import files_below
from checker.evaluation.data_sets.read import labelled_photos
from checker.evaluation.photos import CAT, NOT_CAT, WILD_FELINE, UnusablePhotos


def names(folder: Path) -> list[tuple[str, str]]:
    return [(photo.name, photo.label) for photo in labelled_photos(folder)]


def kinds(folder: Path, *cat_classes: str) -> dict[str, tuple[str, str | None]]:
    return {photo.name: (photo.label, photo.kind) for photo in labelled_photos(folder, cat_classes)}


def test_photos_are_labelled_by_their_folder_and_other_files_are_left_out(folder: Path) -> None:
    (folder / "not_cat" / "notes.txt").write_bytes(b"")
    (folder / "cat" / "more").mkdir()
    (folder / "cat" / "more" / "b.HEIC").write_bytes(b"")
    assert names(folder) == [("cat/a.jpg", CAT), ("cat/more/b.HEIC", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize(
    "hidden", ["._a.jpg", ".trash/b.jpg", "more/.thumbnails/c.jpg", ".DS_Store", "@eaDir/a.jpg/THUMB_M.jpg"]
)
def test_hidden_files_and_folders_are_left_out(folder: Path, hidden: str) -> None:
    path = folder / "cat" / hidden
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]


def test_folders_made_by_operating_systems_are_not_classes(folder: Path) -> None:
    for name in (
        "$RECYCLE.BIN",
        "RECYCLER",
        "System Volume Information",
        "__MACOSX",
        "Network Trash Folder",
        "lost+found",
        "@Recycle",
        "@Recently-Snapshot",
    ):
        (folder / name).mkdir()
        (folder / name / "d.jpg").write_bytes(b"")
    assert names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]


@pytest.mark.parametrize("name", ["unsure", "Unreadable"])
def test_photos_sorted_by_a_verdict_that_is_not_a_label_are_refused(folder: Path, name: str) -> None:
    """Many of the photos that a person left in ``unsure`` are cats; they would count as another class."""
    (folder / name).mkdir()
    assert len(names(folder)) == 2
    (folder / name / "b.jpg").touch()
    with pytest.raises(UnusablePhotos, match=f"{name} has a verdict as its name, which is not a label: "):
        labelled_photos(folder)
    assert (f"{name}/b.jpg", CAT) in [
        (photo.name, photo.label) for photo in labelled_photos(folder, [name.upper()])
    ]


def test_a_class_whose_name_is_not_utf_8_is_a_kind_that_can_be_printed(folder: Path) -> None:
    place = os.fsencode(folder) + b"/f\xfcchse"
    os.mkdir(place)  # noqa: PTH102 - the name is bytes
    (folder / "not_cat" / "a.jpg").rename(os.fsdecode(place + b"/b.jpg"))
    assert list(kinds(folder).values()) == [(CAT, None), (NOT_CAT, "f\\xfcchse")]


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


def test_classes_of_any_name_become_kinds(tmp_path: Path) -> None:
    for name in (
        "Cat",
        "Dog",
        "n02128385",
        "n02099601",
        "n03063599_coffee_mug",
        "tabby",
        "Snow_Leopard",
        "plush",
        "not-cat",
        "PUPPIES",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    assert kinds(tmp_path) == {
        "Cat/a.jpg": (CAT, None),
        "tabby/a.jpg": (CAT, None),
        "Dog/a.jpg": (NOT_CAT, "dog"),
        "n02099601/a.jpg": (NOT_CAT, "dog"),
        "n02128385/a.jpg": (WILD_FELINE, "wild feline"),
        "Snow_Leopard/a.jpg": (WILD_FELINE, "wild feline"),
        "n03063599_coffee_mug/a.jpg": (NOT_CAT, "thing or scene"),
        "plush/a.jpg": (NOT_CAT, "plush"),
        "not-cat/a.jpg": (NOT_CAT, None),
        "PUPPIES/a.jpg": (NOT_CAT, "dog"),
    }


def test_below_not_cat_the_folder_or_the_file_name_gives_the_kind(folder: Path) -> None:
    (folder / "not_cat" / "Drawing").mkdir()
    for name in ("Drawing/b.jpg", "dog.12.jpg", "n02423022_gazelle.JPEG", "hotdog.1.jpg"):
        (folder / "not_cat" / name).touch()
    kind_by_name = {name: kind for name, (label, kind) in kinds(folder).items() if label == NOT_CAT}
    assert kind_by_name == {
        "not_cat/Drawing/b.jpg": "drawing",
        "not_cat/a.jpg": None,
        "not_cat/dog.12.jpg": "dog",
        "not_cat/hotdog.1.jpg": None,
        "not_cat/n02423022_gazelle.JPEG": "other animal",
    }


def test_missing_cat_classes_are_reported_with_the_folders_names(tmp_path: Path) -> None:
    for name in ("Ragdoll", "Maine_Coon", "Beagle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    with pytest.raises(UnusablePhotos, match=r"no folder named after cats, only Beagle, Maine_Coon,"):
        labelled_photos(tmp_path)
    with pytest.raises(UnusablePhotos, match="has no folder ragdol, which --cat-classes names"):
        kinds(tmp_path, "ragdol", "Maine Coon")
    labels = {name: label for name, (label, _) in kinds(tmp_path, "ragdoll", "Maine-Coon").items()}
    assert labels == {"Ragdoll/a.jpg": CAT, "Maine_Coon/a.jpg": CAT, "Beagle/a.jpg": NOT_CAT}


def test_a_folder_of_splits_names_the_split_to_choose(tmp_path: Path) -> None:
    for name in ("test", "train/Cats", "train/Dogs"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(UnusablePhotos, match="no folder named after cats; train has one: name that folder"):
        labelled_photos(tmp_path)


def test_cats_below_a_class_without_cats_are_not_counted_as_other_photos(folder: Path) -> None:
    """Splits next to the classes, or a class of animals with its own classes."""
    (folder / "not_cat" / "cat toy").mkdir()
    (folder / "dogs" / "beagle").mkdir(parents=True)
    assert len(labelled_photos(folder)) == 2
    (folder / "test" / "Cats").mkdir(parents=True)
    (folder / "test" / "Cats" / "b.jpg").touch()
    with pytest.raises(
        UnusablePhotos, match="test is a class without cats, and its folder Cats is named after"
    ):
        labelled_photos(folder)


def test_links_to_folders_are_followed_as_by_torchvision(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "b.jpg").write_bytes(b"")
    (elsewhere / "more").mkdir()
    (elsewhere / "more" / "c.jpg").write_bytes(b"")
    (folder / "not_cat" / "beagle").symlink_to(elsewhere)
    (folder / "not_cat" / ".hidden").symlink_to(elsewhere)
    (folder / "not_cat" / "broken").symlink_to(folder / "gone")
    assert kinds(folder) == {
        "cat/a.jpg": (CAT, None),
        "not_cat/a.jpg": (NOT_CAT, None),
        "not_cat/beagle/b.jpg": (NOT_CAT, "beagle"),
        "not_cat/beagle/more/c.jpg": (NOT_CAT, "beagle"),
    }


def test_a_folder_that_a_link_in_it_leads_to_is_read_once(folder: Path) -> None:
    (folder / "cat" / "part").mkdir()
    (folder / "cat" / "part" / "b.jpg").write_bytes(b"")
    (folder / "cat" / "again").symlink_to("part")
    paths = [Path(file.path).name for file in files_below(folder / "cat")]
    assert sorted(paths) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("links", [("far/sub", "far"), ("far", "far/sub")])
def test_a_photo_behind_two_links_is_read_once(folder: Path, tmp_path: Path, links: tuple[str, str]) -> None:
    sub = tmp_path / "far" / "sub"
    sub.mkdir(parents=True)
    for photo in (sub / "y.jpg", sub.parent / "x.jpg"):
        photo.write_bytes(b"")
    for number, target in enumerate(links):
        (folder / "cat" / f"{number}link").symlink_to(tmp_path / target)
    paths = [Path(file.path).name for file in files_below(folder / "cat")]
    assert sorted(paths) == ["a.jpg", "x.jpg", "y.jpg"]


@pytest.mark.parametrize("target", [".", "..", "../..", "../cat"])
def test_links_in_a_circle_end(folder: Path, target: str) -> None:
    (folder / "cat" / "again").symlink_to(target)
    assert names(folder) == [("cat/a.jpg", CAT), ("not_cat/a.jpg", NOT_CAT)]
