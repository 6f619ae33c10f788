"""``catloader demo``: the main job from end to end, as a person with a browser would do it.

A site of its own on free ports and in a temporary folder; photos go up through the real form, one at
a time; the table tells what became of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from catloader.demo.client import Visitor, free_port
from catloader.demo.photos import DemoPhoto, demo_photos
from catloader.errors import StartupError
from catloader.processes import start_child
from catloader.settings import Settings, variables
from catloader.store.db.check_log import CheckLog, CheckRecord
from catloader.wiring import build_engine

_STOP_S = 10.0
_TOP = 3
# What a demo takes over from the caller's settings: how photos are taken and checked, nobody's data.
_KEPT_SECTIONS = ("Checking", "Uploads")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one photo."""

    photo: DemoPhoto
    status: str
    score: float | None
    ms: float
    """From the first byte sent to the verdict seen."""
    record: CheckRecord | None

    @property
    def right(self) -> bool:
        return self.status == self.photo.expected


def demo() -> int:
    """Run it and print the table; the exit code: 0 when every verdict is right.

    Raises:
        CatLoaderError: it could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="catloader-demo-") as name, _site(Path(name)) as site:
        browser = Visitor(site.url, site.must_run)
        browser.wait_until_ready()
        browser.register()
        engine = build_engine(Settings(data_dir=Path(name)))
        check_log = CheckLog(engine)
        photos_folder = Path(name) / "photos"
        photos_folder.mkdir()
        click.echo(_HEAD)
        rows = []
        for photo in demo_photos(photos_folder):
            data = photo.path.read_bytes()
            started_s = time.monotonic()
            photo_id = browser.upload(photo.name, data)
            found = browser.wait_for_verdict(photo_id)
            ms = (time.monotonic() - started_s) * 1000
            rows.append(Row(photo, found["status"], found["score"], ms, check_log.latest(photo_id)))
            click.echo(_lines(rows[-1]))
        engine.dispose()
    return _summary(rows)


_COLUMNS = "{:<30} {:<10} {:>5} {:>5}  {:<10} {}"
_HEAD = _COLUMNS.format("photo", "verdict", "score", "ms", "view", f"top {_TOP} labels")


def _lines(row: Row) -> str:
    labels = row.record.labels if row.record and row.record.labels else {}
    score = "" if row.score is None else f"{row.score:.3f}"
    facts = (row.photo.name, row.status, score, f"{row.ms:.0f}")
    lines = [_COLUMNS.format(*facts, "photo", _top(labels.get("photo", ())))]
    lines += [_COLUMNS.format("", "", "", "", "thumbnail", _top(labels.get("thumbnail", ())))]
    if not row.right:
        lines += [f"  wrong: {row.photo.expected} was expected"]
    return "\n".join(lines)


def _top(labels: Sequence[tuple[int, str, float]]) -> str:
    return ", ".join(f"{name} {confidence:.0%}" for _, name, confidence in labels[:_TOP])


def _summary(rows: Sequence[Row]) -> int:
    right = sum(row.right for row in rows)
    decided = {f"{r.model} ({r.runtime}, {r.precision}, {r.device})" for row in rows if (r := row.record)}
    click.echo(f"\nDecided by {', '.join(sorted(decided))}.")
    click.echo(f"{right} of {len(rows)} verdicts are right.")
    click.echo(f"Upload to verdict took {median(row.ms for row in rows):.0f} ms in the median.")
    return 0 if rows and right == len(rows) else 1


@contextmanager
def _site(folder: Path) -> Iterator[_Site]:
    """A site on a free port, stopped at the end; its own log comes out when it does not start."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in _dropped()}
    environment |= {
        "CATLOADER_DATA_DIR": str(folder),
        "CATLOADER_HOST": "127.0.0.1",
        "CATLOADER_PORT": str(port),
    }
    with (folder / "site.log").open("wb") as log:
        process = start_child([sys.executable, "-m", "catloader", "serve"], env=environment, stdout=log)
    try:
        yield _Site(f"http://127.0.0.1:{port}", process, folder / "site.log")
    finally:
        process.terminate()  # where the demo is a background job, its children ignore SIGINT
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class _Site:
    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def must_run(self) -> None:
        if self.process.poll() is not None:
            raise StartupError(
                self.log_file.read_text(errors="replace").strip() or "The site ended without a word."
            )


def _dropped() -> set[str]:
    """Return the names of variables that the demo's own site must not get."""
    dropped = [variable for variable in variables() if variable.section not in _KEPT_SECTIONS]
    return {name for variable in dropped for name in variable.names}
