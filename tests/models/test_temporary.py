"""Temporary folders of killed processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.temporary import remove_abandoned, temporary_folder

_HOLD = """
import os, sys
from pathlib import Path
from models.temporary import temporary_folder
with temporary_folder("of-", Path(sys.argv[1])) as folder:
    (folder / "photo").write_bytes(b"1")
    if len(sys.argv) == 2 or os.fork() == 0:
        print(folder, flush=True)
    sys.stdin.readline()
    os._exit(0)
"""


@contextmanager
def _holding(place: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process whose temporary folder in ``place`` stays in use; yield the process and the folder."""
    command = [sys.executable, "-c", _HOLD, str(place), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process, Path(process.stdout.readline().strip())


def test_the_next_process_removes_the_folder_of_a_killed_process_but_not_of_a_running_one(
    tmp_path: Path,
) -> None:
    with _holding(tmp_path) as (killed, abandoned), _holding(tmp_path) as (_, in_use):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert abandoned.is_dir()
        with temporary_folder("of-", tmp_path) as folder:
            assert set(tmp_path.iterdir()) == {in_use, folder}
            assert (in_use / "photo").is_file()
        assert list(tmp_path.iterdir()) == [in_use]


def test_folder_is_in_use_until_the_forks_of_its_process_have_ended(tmp_path: Path) -> None:
    with _holding(tmp_path, "fork") as (parent, folder):
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        remove_abandoned("of-", tmp_path)
        assert folder.is_dir()
        assert parent.stdin
        parent.stdin.close()  # ends the fork
        assert parent.stdout
        assert parent.stdout.read() == ""
    remove_abandoned("of-", tmp_path)
    assert not folder.exists()


def test_folders_without_a_lock_file_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "of-an-earlier-version").mkdir()
    (tmp_path / "of-a-file").write_text("")
    remove_abandoned("of-", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"of-a-file", "of-an-earlier-version"}
