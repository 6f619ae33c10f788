"""Progress of the folder tool: a clock, and a bar if the output is a terminal."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

_Item = TypeVar("_Item")


class Clock:
    """Seconds since the first file was started; loading the model and finding the first file don't count."""

    def __init__(self) -> None:
        self._started_s: float | None = None

    def started_by(self, files: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the files; the first one starts the clock."""
        for file in files:
            if self._started_s is None:
                self._started_s = time.monotonic()
            yield file

    def seconds(self) -> float:
        """Return the seconds so far; 0 before the start."""
        return 0.0 if self._started_s is None else time.monotonic() - self._started_s


class Progress:
    """A note while the model loads, then a bar whose clock starts with the first file. Not thread-safe."""

    def __init__(self, stream: TextIO, total: Callable[[], int | None]) -> None:
        """``total`` returns the number of files; None while it is unknown."""
        self._stream, self._total = stream, total
        self._is_terminal = stream.isatty()
        self._has_note = False
        self._bar: tqdm[NoReturn] | None = None

    def note(self, text: str) -> None:
        if self._is_terminal:
            self._stream.write(text)
            self._stream.flush()
            self._has_note = True

    def advance(self) -> None:
        """Count one finished file."""
        if not self._is_terminal:
            return
        if self._bar is None:
            try:
                from tqdm import tqdm
            except ModuleNotFoundError:  # tqdm is not installed: show no bar
                self._is_terminal = False
                return
            size = shutil.get_terminal_size()
            self._bar = tqdm(
                initial=1,  # the first file was finished before the bar's clock started
                total=self._total(),
                unit=" files",
                file=self._stream,
                leave=False,
                # 80 x 24 if the terminal does not know its size; tqdm itself would then draw nothing.
                ncols=size.columns - 1,
                nrows=size.lines,
            )
        else:
            self._bar.total = self._total()
            self._bar.update()

    def clear(self) -> None:
        """Remove note and bar from the screen; the next ``advance`` draws the bar again."""
        if self._has_note:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._has_note = False
        if self._bar is not None:
            self._bar.clear()

    def close(self) -> None:
        """Close the bar and remove it from the screen."""
        self.clear()
        if self._bar is not None:
            self._bar.close()
