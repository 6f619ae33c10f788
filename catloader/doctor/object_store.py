"""Rows for the object store: each capability that the site needs, and its clock."""

from __future__ import annotations

from collections.abc import Iterator

from catloader.doctor.clocks import clock_row
from catloader.doctor.rows import EXPECTED, Result, Row
from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.store.s3.probes import Probes
from catloader.wiring import build_object_store

_RESULTS: dict[bool | None, Result] = {True: "ok", None: "note", False: "failed"}


def rows(settings: Settings) -> Iterator[Row]:
    try:
        if not settings.embedded_s3:
            yield from _rows(settings)
            return
        with shared_or_own_object_store(settings) as with_s3:
            yield from _rows(with_s3)
    except EXPECTED as error:
        yield Row("S3 address", "failed", str(error))


def _rows(settings: Settings) -> Iterator[Row]:
    probes = Probes(build_object_store(settings))
    for finding in probes.run():
        yield Row(f"S3 {finding.name}", _RESULTS[finding.works], finding.sentence)
    now, server_time = utcnow(), probes.server_time()
    if server_time is None:
        yield Row("S3 clock", "note", "The server does not report its time.")
    else:
        yield clock_row("S3 clock", now, server_time)
