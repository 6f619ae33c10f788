"""The files that the folder tool finds, and how it reads them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from checker.errors import UnreadableImage
from checker.folder import walk as folder_walk
from checker.folder.walk import read, read_available, walk


def _walked(*paths: Path | str) -> list[str]:
    return [item.path for item in walk(map(str, paths)) if item.error is None]


def test_a_folder_yields_its_photos_by_name_and_a_named_file_itself(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/2.png", "a/1.heic", "notes.txt", ".hidden.jpg", ".cache/x.jpg", "c.jpg/d.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inside = [str(tmp_path / name) for name in ("a/1.heic", "a/2.png", "b.JPG", "c.jpg/d.webp")]
    assert _walked(tmp_path) == inside
    named = [tmp_path / "notes.txt", tmp_path / ".hidden.jpg"]
    assert _walked(*named, tmp_path / ".cache") == [*map(str, named), str(tmp_path / ".cache/x.jpg")]


def test_photos_with_each_usual_extension_of_a_format_are_found(tmp_path: Path) -> None:
    Image.init()
    formats = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF")
    usual = [name for name, of in Image.registered_extensions().items() if of in formats]
    names = sorted(f"photo{name}" for name in (*usual, ".heic", ".heif", ".hif"))
    for name in names:
        (tmp_path / name).touch()
    assert _walked(tmp_path) == [str(tmp_path / name) for name in names]
    assert {".apng", ".jfif", ".jpe", ".dib"} <= set(usual)


def test_everything_left_out_of_a_folder_is_reported_as_skipped(tmp_path: Path) -> None:
    for name in ("a.jpg", "notes.txt", "below/movie.mp4", ".hidden", ".cache/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    skipped: list[str] = []
    assert [item.path for item in walk([str(tmp_path)], skipped.append)] == [str(tmp_path / "a.jpg")]
    names = [".cache", ".hidden", "below/movie.mp4", "notes.txt"]
    assert skipped == [str(tmp_path / name) for name in names]


def test_links_to_folders_are_followed_only_if_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").touch()
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "holiday.jpg").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "me.jpg").symlink_to("me.jpg")
    (tmp_path / "b.jpg").symlink_to("a/1.jpg")
    skipped: list[str] = []
    files = [item.path for item in walk([str(tmp_path)], skipped.append)]
    assert files == [str(tmp_path / name) for name in ("a/1.jpg", "b.jpg", "me.jpg")]
    assert skipped == [str(tmp_path / name) for name in ("a/up", "holiday.jpg")]
    assert _walked(tmp_path / "a/up") == [
        str(tmp_path / "a/up" / name) for name in ("a/1.jpg", "b.jpg", "me.jpg")
    ]


def test_a_tree_deeper_than_pythons_stack_is_walked(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() + 100
    current = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=current)
            below = os.open("d", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        os.close(os.open("cat.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=current))
    finally:
        os.close(current)
    try:
        assert _walked(tmp_path) == [str(tmp_path) + "/d" * depth + "/cat.jpg"]
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # shutil.rmtree recurses, and fails


@pytest.mark.slow
def test_the_listing_of_a_large_folder_is_not_kept_in_memory(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number}.jpg", os.O_CREAT | os.O_WRONLY))
    gc.collect()
    tracemalloc.start()
    try:
        assert sum(1 for _ in walk([str(tmp_path)])) == 20_000
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 2**20  # the complete listing would take 10


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(folder_walk.MAX_BYTES + 1)
    with pytest.raises(UnreadableImage, match="larger than 256 MB"):
        read(tmp_path / "huge.jpg")


def test_a_file_without_available_data_is_empty() -> None:
    """``/proc/kmsg`` sometimes has no data; an empty non-blocking pipe never has."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb"):
        assert read_available(file, 10) == b""


def test_an_empty_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UnreadableImage, match="The file is empty"):
        read(tmp_path / "empty.jpg")
