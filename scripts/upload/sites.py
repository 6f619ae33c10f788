"""The three running sites of the upload benchmark, and their client."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catloader.demo.client import Visitor, free_port
from catloader.errors import StartupError
from catloader.processes import start_child
from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import build, build_engine
from checker.evaluation.provenance import ROOT

VARIANTS = ("fired", "not fired", "blocking")
_STDERR = 2


@dataclass(frozen=True, slots=True)
class Posted:
    """An accepted upload."""

    photo_id: int
    started_at: datetime
    ms: float
    """The time of the POST."""


@dataclass(frozen=True, slots=True)
class Site:
    """A running site and its only client."""

    variant: str
    settings: Settings
    visitor: Visitor

    def post(self, name: str, data: bytes) -> Posted:
        """Upload a photo; the measured time excludes loading the form's page."""
        form = self.visitor.form("/upload")
        started_at, started_s = utcnow(), time.perf_counter()
        photo_id = self.visitor.upload(name, data, form)
        return Posted(photo_id, started_at, (time.perf_counter() - started_s) * 1000)


@contextmanager
def sites(folder: Path) -> Iterator[dict[str, Site]]:
    """Run the three sites on one embedded S3 server, each with its own data folder and buckets."""
    with ExitStack() as stack:
        s3 = EmbeddedS3(folder)
        s3.start()
        stack.callback(s3.stop)
        running = {}
        for number, variant in enumerate(VARIANTS):
            data_dir = folder / str(number)
            data_dir.mkdir()
            environment = {
                **os.environ,
                "CATLOADER_DATA_DIR": str(data_dir),
                "CATLOADER_PORT": str(free_port()),
                "CATLOADER_HOST": "127.0.0.1",
                "CATLOADER_PHOTOS_BUCKET": f"photos-{number}",
                "CATLOADER_THUMBNAILS_BUCKET": f"thumbnails-{number}",
                "CATCHECK_DISPATCH": "thread" if variant == "fired" else "off",
                "DATABASE_URL": "",
                # Without sweeps, the checks of the backlog start with the first POST after the backlog is
                # complete.
                "CATCHECK_SWEEP_S": "3600",
                "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
                "AWS_ACCESS_KEY_ID": s3.access_key_id,
                "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            }
            settings = Settings.from_environment(environment)
            _prepare(settings)
            process = start_child(
                [sys.executable, "-m", "scripts.upload.serve", variant],
                env={**environment, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=_STDERR,
            )
            stack.callback(_stop, process)
            visitor = Visitor(f"http://127.0.0.1:{settings.port}", _must_run(process))
            running[variant] = Site(variant, settings, visitor)
        for site in running.values():
            site.visitor.wait_until_ready()
            site.visitor.register()
        yield running


def _prepare(settings: Settings) -> None:
    """Make the tables and the buckets."""
    engine = build_engine(settings)
    migrate(engine)
    engine.dispose()
    services = build(settings, checker=False)
    services.objects.ensure_buckets()
    services.engine.dispose()


def _must_run(process: subprocess.Popen[bytes]) -> Callable[[], None]:
    def must_run() -> None:
        if process.poll() is not None:
            raise StartupError("A site ended before it responded; its messages are above.")

    return must_run


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # if the benchmark is a background job, its children ignore SIGINT
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
