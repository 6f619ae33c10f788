"""The named paths: which of them are missing, and which are inside others (each photo is counted once)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from checker.folder.walk import EXTENSIONS, is_hidden


def missing_path(paths: Sequence[str]) -> str | None:
    """Return the first path that does not exist."""
    for path in paths:
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return path
        except OSError:
            continue  # the path exists or may exist: its row will report the error
    return None


def distinct_paths(paths: Sequence[str]) -> list[str]:
    """Return the paths in order, without repeated paths and paths that ``walk`` finds below another path."""
    places = {path: Path(os.path.abspath(path)) for path in paths}  # noqa: PTH100 - absolute() keeps ".."
    first: dict[Path, str] = {}
    for path, place in places.items():
        first.setdefault(place, path)
    folders = {place for place in first if os.path.isdir(place)}  # noqa: PTH112 - is_dir() raises where it may not look
    return [
        path
        for place, path in first.items()
        if not any(parent in folders and _is_walked(parent, place) for parent in place.parents)
    ]


def _is_walked(folder: Path, place: Path) -> bool:
    """Return True if ``walk`` finds a path below a folder: it skips hidden files and folders, and links."""
    if any(is_hidden(part) for part in place.relative_to(folder).parts):
        return False
    between = [parent for parent in place.parents if folder in parent.parents]
    if os.path.isdir(place):  # noqa: PTH112 - as above
        between.append(place)
    elif not place.name.lower().endswith(EXTENSIONS):
        return False
    return not any(os.path.islink(parent) for parent in between)  # noqa: PTH114 - as above
