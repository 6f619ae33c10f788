"""The progress bar of a terminal."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator

import pytest

from checker.folder.progress import Clock, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_starts_with_the_first_file() -> None:
    terminal = Terminal()
    progress = Progress(terminal, lambda: 18)
    progress.note("loading the model ...")
    progress.clear()
    progress.advance()
    note, bar = terminal.getvalue().split("\r\x1b[K")
    assert note == "loading the model ..."
    # Not, for example, 0.2 files/s because the model took 5 s to load.
    assert "1/18 [00:00<?, ? files/s]" in bar
    progress.close()


def test_the_total_may_be_set_later_and_clear_removes_the_line() -> None:
    terminal, total = Terminal(), None
    progress = Progress(terminal, lambda: total)
    progress.advance()
    assert "1 files [00:00" in terminal.getvalue()
    total = 2
    progress.advance()
    progress.close()
    *_, wiped, rest = terminal.getvalue().split("\r")
    assert (wiped.strip(), rest) == ("", "")


def test_without_a_terminal_nothing_is_written() -> None:
    stream = io.StringIO()
    progress = Progress(stream, lambda: 18)
    progress.note("loading the model ...")
    progress.advance()
    progress.close()
    assert stream.getvalue() == ""


def test_the_clock_starts_when_the_first_file_is_taken() -> None:
    """Finding the first file may take long: an earlier run's files are skipped, or the disk is slow."""
    found_s: list[float] = []

    def files() -> Iterator[str]:
        started_s = time.monotonic()
        while time.monotonic() == started_s:  # until the machine's clock advances
            pass
        found_s.append(time.monotonic())
        yield from ("a.jpg", "b.jpg")

    clock = Clock()
    assert clock.seconds() == 0
    taken = clock.started_by(files())
    assert clock.seconds() == 0
    assert next(taken) == "a.jpg"
    first_s = clock.seconds()
    assert list(taken) == ["b.jpg"]
    assert first_s <= clock.seconds() <= time.monotonic() - found_s[0]


def test_without_tqdm_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)  # not installed
    terminal = Terminal()
    progress = Progress(terminal, lambda: 18)
    for _ in range(2):
        progress.advance()
    progress.close()
    assert terminal.getvalue() == ""
