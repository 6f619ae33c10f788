"""The line that counts the skipped files."""

from __future__ import annotations

from pathlib import Path

from checker.folder.skipped import Skipped
from checker.folder.walk import walk


def test_no_line_if_nothing_was_skipped() -> None:
    assert Skipped().line() == ""


def test_everything_that_a_walk_skips_is_listed_with_its_number(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.mov", "C.MOV", "notes.txt", "README", ".hidden.jpg", "._a.jpg", ".cache/x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / ".cache", target_is_directory=True)
    skipped = Skipped()
    assert [Path(found.path).name for found in walk([str(tmp_path)], skipped.add)] == ["a.jpg"]
    skipped.known = 1
    assert skipped.line() == (
        "Skipped: 4 files that are not photos (2 .mov, 1 without an ending, 1 .txt), "
        "3 hidden files or folders, 1 link to a folder, 1 file of an earlier run\n"
    )


def test_rare_suffixes_are_counted_together_and_printable() -> None:
    skipped = Skipped()
    for ending in ("a", "b", "c", "d", "e", "f", "g"):
        skipped.add(f"x.{ending}")
    skipped.add("x.a")
    skipped.add("x.b\n")
    assert skipped.line().startswith(
        "Skipped: 9 files that are not photos (2 .a, 1 .b, 1 .c, 1 .d, 1 .e, 3 others)"
    )
    skipped = Skipped()
    skipped.add("x.b\x1b")
    assert skipped.line() == "Skipped: 1 file that is not a photo (1 .b?)\n"
