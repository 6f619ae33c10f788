from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import entry_named
from scripts import benchmark_accuracy
from scripts.accuracy.imagenet import as_text, validation_photos
from scripts.command_line import CannotRun
from tests.support.photo_sets import OWN_PHOTOS

LITE0 = "efficientnet_lite0"
OTHERS = OWN_PHOTOS.folder / "not_cat"
KOALA, PANDA, RED_PANDA = 105, 388, 387


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos whose names give the class in four ways; the bison is labelled as a tench."""
    for photo, place in {
        "koala": "n01882714/ILSVRC2012_val_00000001.JPEG",
        "panda": "giant panda/a.jpg",
        "red_panda": "n02509815_lesser_panda.JPEG",
        "bison": "n01440764/n02410509_bison.jpg",
    }.items():
        (tmp_path / "val" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(OTHERS / f"{photo}.jpg", tmp_path / "val" / place)
    (tmp_path / "val" / "giant panda" / "._a.jpg").write_bytes(b"\0\5\x16\7")
    return tmp_path / "val"


def test_the_class_is_that_of_the_folder_or_of_the_file_name(folder: Path) -> None:
    indices = [photo.class_index for photo in validation_photos(folder)]
    assert indices == [PANDA, 0, KOALA, RED_PANDA]


@pytest.mark.parametrize(
    "place", [".", "..", "../../../.."], ids=["with the photos", "above", "as Kaggle has it"]
)
def test_classes_are_read_from_kaggles_table(folder: Path, tmp_path: Path, place: str) -> None:
    photos = tmp_path / "kaggle/ILSVRC/Data/CLS-LOC/val"
    photos.mkdir(parents=True)
    for number, photo in enumerate(sorted(folder.rglob("[!.]*.*")), 1):
        photo.rename(photos / f"ILSVRC2012_val_{number:08}.JPEG")
    table = photos / place / "LOC_val_solution.csv"
    rows = [
        "00000002,n01882714 1 2 3 4 n01882714 5 6 7 8",
        "00000001,n02510455 85 1 499 272",
        "00000003,n02410509 1 2 3 4",
    ]
    rows.append("00000004,n02509815 1 2 3 4")
    table.write_text("ImageId,PredictionString\n" + "".join(f"ILSVRC2012_val_{row}\n" for row in rows))
    assert [photo.class_index for photo in validation_photos(photos)] == [PANDA, KOALA, 347, RED_PANDA]
    table.write_text("id\n1\n")
    with pytest.raises(CannotRun, match=r"LOC_val_solution\.csv can't be read as Kaggle's table"):
        validation_photos(photos)


def test_folders_of_classes_may_be_links(folder: Path) -> None:
    (folder.parent / "linked").mkdir()
    for entry in folder.iterdir():
        (folder.parent / "linked" / entry.name).symlink_to(entry)
    indices = [photo.class_index for photo in validation_photos(folder.parent / "linked")]
    assert indices == [PANDA, 0, KOALA, RED_PANDA]


def test_top_1_and_top_5_are_reported_with_the_published_figure(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "imagenet.json"
    assert benchmark_accuracy.main(["imagenet", str(folder), "--models", LITE0, "--json", str(out)]) == 0
    row = json.loads(out.read_text())["models"][LITE0]
    assert (row["n"], row["top_1"]["errors"], row["top_5"]["errors"]) == (4, 1, 1)
    published = entry_named(LITE0).acc1
    assert published is not None
    assert row["published_top_1"] == pytest.approx(published / 100)
    assert row["top_1"]["low"] < 0.75 < row["top_1"]["high"]
    assert row["published_is_in_the_interval"]
    assert "not comparable: 4 of 1000 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("classes", "inside", "words"),
    [
        (1000, True, "  in the interval"),
        (1000, False, "  OUTSIDE of the interval"),
        (999, False, "  not comparable: 999 of 1000 classes"),
    ],
)
def test_a_figure_is_compared_with_the_published_one_only_on_all_classes(
    classes: int, inside: bool, words: str
) -> None:
    share = {"rate": 0.75, "low": 0.74, "high": 0.76}
    row: dict[str, Any] = {
        "n": 50_000,
        "classes": classes,
        "top_1": share,
        "top_5": share,
        "published_top_1": 0.751,
        "published_is_in_the_interval": inside,
    }
    assert as_text({"models": {"m": row}}).endswith(words)


def test_a_wrong_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no such folder"):
        validation_photos(tmp_path / "nowhere")
    with pytest.raises(CannotRun, match="has no photos"):
        validation_photos(tmp_path)
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").touch()
    with pytest.raises(CannotRun, match="neither folder nor file is named after a class of ImageNet"):
        validation_photos(tmp_path)


def test_an_unreadable_photo_ends_the_run_and_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "n01440764" / "b.jpg").write_bytes(b"junk")
    assert benchmark_accuracy.main(["imagenet", str(folder), "--models", LITE0]) == 2
    assert "n01440764/b.jpg: This is not a photo" in capsys.readouterr().err
