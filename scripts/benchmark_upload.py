"""What does firing cost? The median POST of a photo with the check fired, not fired, and waited for.

Three sites run side by side, on one embedded S3 server and a database each, and are asked in turn:

    fired     CATCHECK_DISPATCH=thread: the product as it ships
    not fired CATCHECK_DISPATCH=off: nothing is checked
    blocking  the design without fire & forget: the check runs inside the request

The first two are compared with no backlog: each POST waits until the verdict of the one before is
there. Then ``fired`` is asked again while 500 photos wait, and the cores are shared with their checks.

    python scripts/benchmark_upload.py [--rounds 60] [--json scripts/results/upload.json]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from flask import Response, request
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catloader import create_app
from catloader.demo.client import Visitor, free_port
from catloader.demo.photos import demo_photos
from catloader.errors import StartupError
from catloader.intake.upload import upload
from catloader.processes import die_with_parent
from catloader.server.gunicorn import Server, listening
from catloader.settings import Settings
from catloader.store.db.migrate import migrate
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import Services, build, build_engine
from scripts._command import new_file, plainly
from scripts._provenance import provenance

VARIANTS = ("fired", "not fired", "blocking")
LIMIT = 1.05
"""The promise: a fired POST takes at most this many times what one without firing takes."""
BACKLOG = 500
_WARM_UP = 5


def serve(variant: str) -> None:
    """One of the three sites, in a process of its own; settings come by the environment."""
    settings = Settings.from_environment()
    with listening(settings.host, settings.port, "CATLOADER_HOST", "CATLOADER_PORT") as listener:

        def make() -> tuple[Any, Services]:
            services = build(settings, checker=variant != "not fired")
            app = create_app(settings, services)
            if variant == "blocking":
                app.after_request(_checked_first(services))
            return app, services

        Server(listener, make, f"{variant}: {{url}}", processes=1, threads=settings.web_threads).run()


def _checked_first(services: Services) -> Callable[[Response], Response]:
    """What this project is an alternative to: the answer to an upload waits for the check."""
    checker = services.checker
    assert checker is not None

    def check(response: Response) -> Response:
        if request.endpoint == "uploads.upload" and request.method == "POST":
            checker.drain()
        return response

    return check


@dataclass(frozen=True, slots=True)
class Site:
    variant: str
    settings: Settings
    visitor: Visitor

    def post_ms(self, name: str, data: bytes) -> tuple[int, float]:
        """The new photo's id, and how long the POST took (the form's page is fetched before)."""
        form = self.visitor.form("/upload")
        started_s = time.perf_counter()
        photo_id = self.visitor.upload(name, data, form)
        return photo_id, (time.perf_counter() - started_s) * 1000


@contextmanager
def sites(folder: Path) -> Iterator[dict[str, Site]]:
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
                # The backlog is booked first and worked off when a POST says so, not by a sweep before.
                "CATCHECK_SWEEP_S": "3600",
                "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
                "AWS_ACCESS_KEY_ID": s3.access_key_id,
                "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
            }
            settings = Settings.from_environment(environment)
            engine = build_engine(settings)
            migrate(engine)
            engine.dispose()
            services = build(settings, checker=False)
            services.objects.ensure_buckets()
            services.engine.dispose()
            process = subprocess.Popen(
                [sys.executable, __file__, "--serve", variant],
                env=environment,
                stdout=subprocess.DEVNULL,
                process_group=0,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that matter here
            )
            stack.callback(_stop, process)
            visitor = Visitor(f"http://127.0.0.1:{settings.port}", _must_run(process))
            running[variant] = Site(variant, settings, visitor)
        for site in running.values():
            site.visitor.wait_until_ready()
            site.visitor.register()
        yield running


def _must_run(process: subprocess.Popen[bytes]) -> Callable[[], None]:
    def must_run() -> None:
        if process.poll() is not None:
            raise StartupError("A site ended before it answered; what it said stands above.")

    return must_run


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def alternate(running: dict[str, Site], name: str, data: bytes, rounds: int) -> dict[str, list[float]]:
    """POST to each site in turn; the verdict of a fired photo is awaited before the next POST."""
    ms: dict[str, list[float]] = {variant: [] for variant in running}
    order = list(running.values())
    for number in range(rounds + _WARM_UP):
        # Each goes first as often as the others: whatever follows a check must not always be the same one.
        for site in order[number % len(order) :] + order[: number % len(order)]:
            photo_id, took_ms = site.post_ms(name, data)
            if site.variant == "fired":
                site.visitor.wait_for_verdict(photo_id)
            if number >= _WARM_UP:
                ms[site.variant].append(took_ms)
    return ms


def under_backlog(site: Site, name: str, data: bytes) -> tuple[list[float], int]:
    """POSTs while ``BACKLOG`` photos are worked off; those that ended after the last of them do not count."""
    services = build(site.settings, checker=False)
    try:
        _fill(services, data)
        waiting_before = services.queue.waiting_count()
        ms: list[float] = []
        while True:
            _, took_ms = site.post_ms(name, data)
            if services.queue.waiting_count() == 0:
                return ms, waiting_before
            ms.append(took_ms)
    finally:
        services.close()


def _fill(services: Services, data: bytes) -> None:
    owner = services.users.by_email("demo@example.org")
    assert owner is not None
    with Image.open(io.BytesIO(data)) as picture:
        small = io.BytesIO()
        picture.convert("RGB").resize((500, 375)).save(small, "JPEG", quality=90)
    files = [(f"{n}.jpg", small.getvalue()) for n in range(50)]
    for _ in range(BACKLOG // 50):
        upload(
            files,
            [],
            owner.id,
            settings=services.settings,
            photos=services.photos,
            objects=services.objects,
            dispatcher=services.dispatcher,  # of this process, which checks nothing: wakes nobody
            now=lambda: datetime.now(UTC),
        )


def summary(ms: list[float]) -> dict[str, float]:
    low, *_, high = quantiles(ms, n=20) if len(ms) > 1 else (ms[0], ms[0])
    return {"n": len(ms), "median_ms": round(median(ms), 2), "p5_ms": round(low, 2), "p95_ms": round(high, 2)}


def measure(rounds: int, show: Callable[[str], None]) -> dict[str, Any]:
    results: dict[str, Any] = {**provenance(), "rounds": rounds, "limit": LIMIT, "photos": {}}
    with tempfile.TemporaryDirectory(prefix="catloader-bench-") as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        shipped = {photo.name: photo.path.read_bytes() for photo in demo_photos(folder / "photos")}
        photos = {
            "rocket.jpg (640 x 427)": shipped["rocket.jpg"],
            "12 megapixels": shipped["chelsea-12-megapixels-gps.jpg"],
        }
        with sites(folder) as running:
            for label, data in photos.items():
                show(f"\n{label}, {len(data) // 1024} KiB")
                ms = alternate(running, "photo.jpg", data, rounds)
                ratio = median(ms["fired"]) / median(ms["not fired"])
                found: dict[str, Any] = {variant: summary(values) for variant, values in ms.items()}
                found["fired / not fired"] = round(ratio, 4)
                found["blocking / fired"] = round(median(ms["blocking"]) / median(ms["fired"]), 4)
                results["photos"][label] = found
                for variant, values in ms.items():
                    show(f"  {variant:<10} {_words(summary(values))}")
                show(f"  fired / not fired: {ratio:.3f} (promised: at most {LIMIT})")
                show(f"  blocking / fired:  {found['blocking / fired']:.2f}")
            ms_loaded, waiting = under_backlog(running["fired"], "photo.jpg", shipped["rocket.jpg"])
            results["backlog"] = {"waiting_at_start": waiting, **(summary(ms_loaded) if ms_loaded else {})}
            show(f"\nrocket.jpg while {waiting} photos wait: {_words(results['backlog'])}")
    ratios = [found["fired / not fired"] for found in results["photos"].values()]
    results["holds"] = max(ratios) <= LIMIT
    results["load_1min"] = os.getloadavg()[0]
    return results


def _words(found: dict[str, float]) -> str:
    return "{median_ms:7.1f} ms in the median ({p5_ms:.1f} to {p95_ms:.1f}, n = {n})".format(**found)


@plainly
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60, help="POSTs to each site and photo")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure there")
    parser.add_argument("--serve", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        serve(options.serve)
        return 0
    results = measure(options.rounds, print)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
        print(f"written to {options.json}")
    return 0 if results["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
