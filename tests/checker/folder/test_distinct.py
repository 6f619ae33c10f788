from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.folder.distinct import distinct_paths
from checker.folder.walk import walk


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.jpg", "b.txt", "sub/c.jpg", ".hidden/d.jpg", "elsewhere/e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.jpg", "./a.jpg", "sub/../a.jpg"], ["a.jpg"]),
        (["sub/c.jpg", ".", "a.jpg", "sub", "./"], ["."]),
        (["b.txt", ".", ".hidden", ".hidden/d.jpg"], ["b.txt", ".", ".hidden"]),
        (["sub", "sub/link", "sub/link/e.jpg"], ["sub", "sub/link"]),
        (["a.jpg", "sub", "gone.jpg"], ["a.jpg", "sub", "gone.jpg"]),
    ],
)
def test_each_photo_is_found_once(paths: list[str], expected: list[str], photos: Path) -> None:
    assert distinct_paths(paths) == expected
    walked = [os.path.abspath(file.path) for file in walk(distinct_paths(paths))]  # noqa: PTH100 - keeps links
    assert sorted(walked) == sorted({os.path.abspath(file.path) for file in walk(paths)})  # noqa: PTH100 - as above


def test_an_absolute_path_of_the_same_file_is_left_out(photos: Path) -> None:
    assert distinct_paths(["a.jpg", str(photos / "a.jpg"), str(photos)]) == [str(photos)]
