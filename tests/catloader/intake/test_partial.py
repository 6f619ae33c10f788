"""Partial uploads in their folder: bounds, expiry, and two requests for the same upload."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from catloader.errors import NotFound, UploadLocked, UploadsBusy
from catloader.intake.partial import PartialUploads, is_at
from catloader.intake.partial_file import FileFacts, upload_id

_FACTS = FileFacts("tom.jpg", "Tom")
_KIB = 1024


class _Clock:
    """A clock that is ahead of the file system's by ``later_s`` seconds."""

    def __init__(self, folder: Path) -> None:
        self._probe, self.later_s = folder / "probe", 0.0

    def __call__(self) -> float:
        self._probe.touch()
        return self._probe.stat().st_mtime + self.later_s


@pytest.fixture
def clock(tmp_path: Path) -> _Clock:
    return _Clock(tmp_path)


@pytest.fixture
def uploads(tmp_path: Path, clock: _Clock) -> PartialUploads:
    return PartialUploads(
        tmp_path / "partial", max_bytes=400 * _KIB, owner_bytes=250 * _KIB, kept_s=3600.0, now=clock
    )


def _begin(uploads: PartialUploads, owner_id: int, key: str, length_bytes: int = 100 * _KIB) -> str:
    id = upload_id(owner_id, key, length_bytes)
    uploads.create(owner_id, id, _FACTS)
    return id


def _exists(uploads: PartialUploads, owner_id: int, id: str) -> bool:
    try:
        with uploads.opened(owner_id, id):
            return True
    except NotFound:
        return False


def test_bytes_and_metadata_are_kept_between_two_processes(uploads: PartialUploads, tmp_path: Path) -> None:
    id = _begin(uploads, 1, "a", 6)
    with uploads.opened(1, id) as upload:
        upload.append(0, io.BytesIO(b"abc\n"), 4)
    other = PartialUploads(tmp_path / "partial", max_bytes=0, owner_bytes=0, kept_s=3600.0)
    with other.opened(1, id) as upload:
        assert (upload.offset_bytes, upload.facts, upload.is_whole) == (4, _FACTS, False)
        upload.append(4, io.BytesIO(b"de"), 2)
        assert (upload.read(), upload.is_whole) == (b"abc\nde", True)
    for folder in (tmp_path / "partial", tmp_path / "partial/1"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_received_part_of_a_cut_piece_is_kept(uploads: PartialUploads) -> None:
    id = _begin(uploads, 1, "a")
    with uploads.opened(1, id) as upload:
        upload.append(0, io.BytesIO(b"abc"), 1000)
    with uploads.opened(1, id) as upload:
        assert upload.offset_bytes == 3


def test_only_one_request_at_a_time_writes_to_an_upload(uploads: PartialUploads, clock: _Clock) -> None:
    id = _begin(uploads, 1, "a")
    with uploads.opened(1, id):
        with pytest.raises(UploadLocked), uploads.opened(1, id):
            pass
        clock.later_s = 7200
        assert uploads.expire() == 0
    assert uploads.expire() == 1
    assert not _exists(uploads, 1, id)


def test_inactive_uploads_expire(uploads: PartialUploads, clock: _Clock) -> None:
    id = _begin(uploads, 1, "a")
    clock.later_s = 3590
    assert uploads.expire() == 0
    clock.later_s = 3610
    assert uploads.expire() == 1
    assert not _exists(uploads, 1, id)
    clock.later_s = 0
    _begin(uploads, 1, "b")
    clock.later_s = -3610
    assert uploads.expire() == 1, "a file of the future, written while the clock was ahead, is kept"


@pytest.mark.parametrize("longest", [0, 1])
def test_an_owners_space_is_bounded_and_the_longest_inactive_upload_is_removed_for_a_new_one(
    uploads: PartialUploads, clock: _Clock, tmp_path: Path, longest: int
) -> None:
    two = [_begin(uploads, 1, "first"), _begin(uploads, 1, "second")]
    with pytest.raises(UploadsBusy):
        _begin(uploads, 1, "third")
    earlier_s = clock() - 10
    os.utime(tmp_path / "partial/1" / two[longest], (earlier_s, earlier_s))
    clock.later_s = 61
    third = _begin(uploads, 1, "third")
    assert [_exists(uploads, 1, id) for id in two] == [longest == 1, longest == 0]
    assert _exists(uploads, 1, third)


def test_a_file_larger_than_an_owners_space_is_accepted_if_it_is_the_only_one(
    uploads: PartialUploads,
) -> None:
    id = _begin(uploads, 1, "large", 300 * _KIB)
    assert _exists(uploads, 1, id)
    with pytest.raises(UploadsBusy):
        _begin(uploads, 1, "small", 1)


def test_the_space_of_all_owners_is_bounded_and_tiny_files_count_with_a_minimum_size(
    uploads: PartialUploads,
) -> None:
    for owner_id in (1, 2):
        for number in range(3):
            _begin(uploads, owner_id, f"tiny {number}", 1)
    with pytest.raises(UploadsBusy):
        _begin(uploads, 3, "one more", 1)


def test_uploads_that_have_received_few_bytes_are_removed_first_after_a_minute_without_activity(
    uploads: PartialUploads, clock: _Clock
) -> None:
    begun = {owner_id: _begin(uploads, owner_id, "begun") for owner_id in (1, 9)}
    for owner_id, id in begun.items():
        with uploads.opened(owner_id, id) as upload:
            upload.append(0, io.BytesIO(b"x" * _KIB), _KIB)
    empty = {owner_id: _begin(uploads, owner_id, "empty") for owner_id in (2, 3)}
    with pytest.raises(UploadsBusy):
        _begin(uploads, 5, "new")
    clock.later_s = 61
    new = _begin(uploads, 5, "new", 200 * _KIB)
    assert not any(_exists(uploads, *upload) for upload in empty.items())
    assert all(_exists(uploads, *upload) for upload in begun.items()), "these have received bytes"
    with uploads.opened(5, new):  # an upload in use is kept, so another one is removed
        _begin(uploads, 6, "newer")
    assert [_exists(uploads, *upload) for upload in begun.items()].count(True) == 1
    assert _exists(uploads, 5, new)


def test_names_outside_the_folder_are_not_uploads(uploads: PartialUploads, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}\n")
    for id in ("../../secret", "", "lock", "0" * 32, f"{'0' * 32}-0", f"{'0' * 32}-5/../x"):
        assert not _exists(uploads, 1, id)


def test_a_restarted_upload_is_distinguished_from_the_removed_file_of_the_same_name(
    uploads: PartialUploads, tmp_path: Path
) -> None:
    id = _begin(uploads, 1, "a")
    path = tmp_path / "partial/1" / id
    with path.open("rb") as before:
        path.unlink()
        _begin(uploads, 1, "a")
        assert not is_at(path, before)
    with path.open("rb") as file:
        assert is_at(path, file)


@pytest.mark.parametrize("head", [b"", bytes(40), b'{"name": "tom', b"[]\n"])
def test_an_upload_damaged_by_a_power_failure_is_restarted(
    uploads: PartialUploads, tmp_path: Path, head: bytes
) -> None:
    id = _begin(uploads, 1, "a")
    path = tmp_path / "partial/1" / id
    path.write_bytes(head)
    assert not _exists(uploads, 1, id)
    assert not path.exists()
    path.write_bytes(head)
    _begin(uploads, 1, "a")
    assert _exists(uploads, 1, id)


def test_folders_of_deleted_accounts_are_removed_once_unused(uploads: PartialUploads, tmp_path: Path) -> None:
    kept, gone = _begin(uploads, 1, "a"), _begin(uploads, 2, "a")

    def with_access(_ids: Sequence[int]) -> list[int]:
        _begin(uploads, 2, "begun after the query")
        return [1]

    with uploads.opened(2, gone):
        assert uploads.expire(with_access) == 0
    assert uploads.expire(lambda _ids: [1]) == 2
    assert [folder.name for folder in (tmp_path / "partial").glob("*/")] == ["1"]
    assert _exists(uploads, 1, kept)
