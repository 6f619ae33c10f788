"""``catloader demo``: upload and check sample photos through the pages, like a person with a browser.

The site runs on a free port and in a temporary folder; photos are uploaded one at a time, and a table shows
each result.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import click

from catloader.demo.client import Visitor
from catloader.demo.photos import DemoPhoto, demo_photos
from catloader.demo.temporary_site import temporary_site
from catloader.settings import Settings
from catloader.store.db.checks.check_log import CheckLog, CheckRecord
from catloader.wiring import build_engine
from models.temporary import temporary_folder

_TOP_LABELS = 3
_COLUMNS = "{:<30} {:<10} {:>5} {:>5}  {:<10} {}"
_HEAD = _COLUMNS.format("photo", "verdict", "score", "ms", "rendition", f"top {_TOP_LABELS} labels")


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one photo."""

    photo: DemoPhoto
    status: str
    score: float | None
    ms: float
    """From the start of the upload until the page shows the verdict."""
    record: CheckRecord | None

    @property
    def right(self) -> bool:
        return self.status == self.photo.expected


def demo() -> int:
    """Run the demo and print its table; return 0 when every verdict is right, else 1.

    Raises:
        CatLoaderError: the demo could not run.
    """
    with temporary_folder("catloader-demo-") as folder:
        photos_folder = folder / "photos"
        photos_folder.mkdir()
        photos = demo_photos(photos_folder)
        with temporary_site(folder) as site:
            visitor = Visitor(site.url, site.must_run)
            visitor.wait_until_ready()
            visitor.register()
            click.echo(_HEAD)
            rows = _upload(photos, visitor, Settings(data_dir=folder))
    return _summary(rows)


def _upload(photos: Sequence[DemoPhoto], visitor: Visitor, settings: Settings) -> list[Row]:
    engine = build_engine(settings)
    log = CheckLog(engine)
    rows = []
    for photo in photos:
        data, form = photo.path.read_bytes(), visitor.form("/upload")
        started_s = time.monotonic()
        photo_id = visitor.upload(photo.name, data, form)
        result = visitor.wait_for_verdict(photo_id)
        ms = (time.monotonic() - started_s) * 1000
        rows.append(Row(photo, result["status"], result["score"], ms, log.latest(photo_id)))
        click.echo(_lines(rows[-1]))
    engine.dispose()
    return rows


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
    return ", ".join(f"{name} {confidence:.0%}" for _, name, confidence in labels[:_TOP_LABELS])


def _summary(rows: Sequence[Row]) -> int:
    right = sum(row.right for row in rows)
    models = {f"{r.model} ({r.runtime}, {r.precision}, {r.device})" for row in rows if (r := row.record)}
    click.echo(f"\nDecided by {', '.join(sorted(models))}.")
    click.echo(f"{right} of {len(rows)} verdicts are right.")
    click.echo(f"From upload to verdict: {median(row.ms for row in rows):.0f} ms (median).")
    return 0 if rows and right == len(rows) else 1
