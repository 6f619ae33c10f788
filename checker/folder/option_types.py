"""Types of command-line options, which refuse a value with one plain sentence."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class NonEmptyPath(click.Path):
    """A path; an empty one is refused, because an unset variable must not mean the current folder."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if not value:
            self.fail("It is empty; `.` is the folder in which the command is started.", param, ctx)
        return super().convert(value, param, ctx)


def number(kind: type[int | float], low: float, high: float) -> Callable[[str], float]:
    """Make a converter that refuses other text and NaN, which ``click.FloatRange`` accepts."""

    def convert(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(text)) <= high:
                return value
        whole = "whole " if kind is int else ""
        raise click.BadParameter(f"{text} is not a {whole}number between {low} and {high}.")

    return convert


def new_file(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a path at which no regular file can be written."""
    if path is not None and path.is_dir():
        raise click.BadParameter(f"{path} is a folder.")
    if path is not None and path.exists() and not path.is_file():  # /dev/null would be replaced by a file
        raise click.BadParameter(f"{path} is not a regular file.")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}.")
    return path


def new_results(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse to replace a file that is not JSON: if FILE was forgotten, that is the first photo."""
    path = new_file(context, parameter, path)
    if path is not None and path.is_file():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{"):
                raise click.BadParameter(f"{path} is not a file of results: choose another name.")
    return path


def png(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    """Refuse a path whose name does not end in ``.png``, or whose folder does not exist."""
    if path.suffix.lower() != ".png":
        raise click.BadParameter(f"{path} does not end in .png, the format that is written.")
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}.")
    return path
