"""The photos of the tests: complete, small, licensed, and selected as documented."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from checker.evaluation.photos import UnusablePhotos
from tests.support.hostile import generated_corpus
from tests.support.photo_sets import OWN_PHOTOS, VARIABLE, chosen_photos

_DATA = Path(__file__).parent / "data"
_ROOT = Path(__file__).resolve().parents[1]
_LICENCES = {"public domain", "CC0-1.0", "CC-BY-2.0"}


def test_every_photo_has_a_label_an_author_a_licence_and_a_row_in_the_readme() -> None:
    readme = (_DATA / "README.md").read_text("utf-8")
    with (OWN_PHOTOS.folder / "labels.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    files = {str(path.relative_to(OWN_PHOTOS.folder)) for path in OWN_PHOTOS.folder.rglob("*.jpg")}
    assert {row["file"] for row in rows} == files
    for row in rows:
        assert row["licence"] in _LICENCES
        assert row["source"]
        assert f"| `{row['file']}` | {row['author']} | {row['licence']} |" in readme
        with Image.open(OWN_PHOTOS.folder / row["file"]) as photo:
            assert not photo.getexif()
            assert max(photo.size) <= 480


def test_the_data_is_small() -> None:
    assert sum(path.stat().st_size for path in _DATA.rglob("*") if path.is_file()) < 1_500_000


def test_the_variable_selects_the_photos(tmp_path: Path) -> None:
    for label in ("cat", "not_cat"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").touch()
    photo_set = chosen_photos({VARIABLE: str(tmp_path)})
    assert (photo_set.folder, photo_set.counts) == (tmp_path.resolve(), Counter(cat=1, not_cat=1))
    assert photo_set.files("cat") == [tmp_path / "cat" / "a.jpg"]
    assert not photo_set.is_large
    with pytest.raises(UnusablePhotos, match="no such folder"):
        chosen_photos({VARIABLE: str(tmp_path / "missing")})


@pytest.mark.slow
def test_a_missing_folder_of_photos_is_an_error_and_the_header_names_the_photos(tmp_path: Path) -> None:
    def collected(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", __file__]
        environment = {**os.environ, VARIABLE: str(folder)}
        return subprocess.run(
            command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    missing = collected(tmp_path / "missing")
    assert missing.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{VARIABLE}: {tmp_path / 'missing'}: no such folder" in missing.stderr
    run = collected(OWN_PHOTOS.folder)
    assert run.returncode == 0
    assert (
        f"labelled photos: {OWN_PHOTOS.folder} (3 cat, 26 not_cat, 1 wild_feline; {VARIABLE})" in run.stdout
    )


@pytest.mark.slow
def test_hostile_files_are_of_every_category() -> None:
    corpus = generated_corpus()
    counts = Counter(file.category for file in corpus.files)
    assert counts.keys() == {
        "active-content", "animation", "avif-variant", "bad-dimensions", "bmp-variant", "bomb",
        "broken-metadata", "corrupt", "gif-variant", "heavy-valid", "heic-variant", "icc", "jpeg-variant",
        "magic-only", "metadata-injection", "not-an-image", "odd-dimensions", "orientation", "other-format",
        "png-variant", "polyglot", "privacy-metadata", "tiff-variant", "transport-damage", "truncated",
        "webp-variant",
    }  # fmt: skip
    assert len({(file.category, file.name) for file in corpus.files}) == len(corpus.files)
    accepted = sum(file.is_accepted for file in corpus.files)
    assert min(accepted, len(corpus.files) - accepted) > 150


@pytest.mark.slow
def test_planted_texts_are_in_the_files() -> None:
    for file in generated_corpus().files:
        if file.category in ("privacy-metadata", "metadata-injection"):
            assert [text for text in file.forbidden if text in file.data], file.name
