from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.evaluation.data_sets.file_names import FileNames


@pytest.mark.parametrize(
    ("on_disk", "in_table"),
    [
        (b"a.jpg", "a.jpg"),
        (b"My photos/a.jpg", "My photos\\a.jpg"),
        (b"My photos/a.jpg", ".\\MY PHOTOS\\A.JPG"),
        ("Ka\u0308tzchen/cafe\u0301.jpg".encode(), "K\u00e4tzchen/caf\u00e9.jpg"),
        ("K\u00e4tzchen/caf\u00e9.jpg".encode(), "Ka\u0308tzchen/Cafe\u0301.jpg"),
        (b"caf\xe9.jpg", "caf\\xe9.jpg"),
        (b"d\xe9j\xe0/caf\xe9.jpg", "d\\xe9j\\xe0/caf\\xe9.jpg"),
        (b"caf\xe9.jpg", "caf\u00e9.jpg"),
        (b"a\\b.jpg", "a\\b.jpg"),
    ],
)
def test_a_file_is_found_by_a_name_from_another_system(tmp_path: Path, on_disk: bytes, in_table: str) -> None:
    path = tmp_path / os.fsdecode(on_disk)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert FileNames(tmp_path).find(in_table) == str(path)


@pytest.mark.parametrize(
    "name", ["", "b.jpg", "a.jpg/a.jpg", "gone/a.jpg", "/a.jpg", "a.jpg\0", "folder", 300 * "a"]
)
def test_other_names_are_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "folder").mkdir()
    assert FileNames(tmp_path).find(name) is None


def test_the_exact_name_wins_and_one_of_two_similar_names_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a.jpg", "A.jpg"):
        (tmp_path / name).touch()
    files = FileNames(tmp_path)
    assert (files.find("a.jpg"), files.find("A.JPG")) == (str(tmp_path / "a.jpg"), None)
