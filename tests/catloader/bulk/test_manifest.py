"""Manifests and plans on disk, without a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.bulk.manifest import UNITS_PER_SHARD, PlannedPhoto, read_photos, read_units, write_manifest
from catloader.bulk.plan import write_atomically
from catloader.errors import StartupError


def _photos(first: int, last: int) -> list[PlannedPhoto]:
    return [
        PlannedPhoto(number, f"{number}", "", None, None, 10, None, None, None)
        for number in range(first, last)
    ]


def test_units_are_read_from_the_shard_that_holds_them(tmp_path: Path) -> None:
    """The second shard is written separately, because a first shard of full size would take seconds."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert write_manifest(first, _photos(0, 5), 2) == (5, 50)
    assert write_manifest(second, _photos(5, 8), 2) == (3, 30)
    (second / "00000.parquet").rename(first / "00001.parquet")
    wanted = [1, 2, UNITS_PER_SHARD, UNITS_PER_SHARD + 1]
    ids = {unit: [photo.photo_id for photo in photos] for unit, photos in read_units(first, wanted)}
    assert ids == dict(zip(wanted, ([2, 3], [4], [5, 6], [7]), strict=True))
    rows = [2 * UNITS_PER_SHARD + 1, 0, 3]
    assert [photo.photo_id for photo in read_photos(first, rows, 2)] == [6, 0, 3]


def test_a_full_disk_is_reported_with_the_file(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(3 << 20))
    with pytest.raises(StartupError, match=r"/m/00000\.parquet can't be written: No space left on device\.$"):
        write_manifest(small_disk / "m", _photos(0, 5), 2)
    with pytest.raises(StartupError, match=r"/plan\.json can't be written: No space left on device\.$"):
        write_atomically(small_disk / "plan.json", b"{}")
    assert {path.name for path in small_disk.iterdir()} == {"other", "m"}
