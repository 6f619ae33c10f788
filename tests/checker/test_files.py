"""Files that may be pipes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checker.files import read_soon


def test_a_pipe_is_waited_for_some_time_and_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    with pytest.raises(TimeoutError, match=r"it is a pipe that was not written within 0\.1 s"):
        read_soon(pipe, 10, wait_s=0.1)
    end, other_end = os.pipe()  # as of `<(command)` in a shell
    os.write(other_end, b"written")
    with pytest.raises(TimeoutError):
        read_soon(Path(f"/dev/fd/{end}"), 10, wait_s=0.1)  # it has no end yet
    os.write(other_end, b"written")
    os.close(other_end)
    assert read_soon(Path(f"/dev/fd/{end}"), 10) == b"written"
    os.close(end)


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert read_soon(tmp_path / "file", 4) == b"cont"
    assert read_soon(tmp_path / "file", 10) == b"content"
    assert read_soon(Path("/dev/zero"), 4) == bytes(4)
    with pytest.raises(IsADirectoryError):
        read_soon(tmp_path, 4)
