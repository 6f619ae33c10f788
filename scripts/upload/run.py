"""A run of the upload benchmark: POSTs to three sites in turn, and to one with a backlog."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from PIL import Image

from catloader.demo.client import until
from catloader.demo.photos import demo_photos
from catloader.intake.upload import upload
from catloader.store.db.checks.check_log import CheckLog
from catloader.wiring import Services, build, build_engine
from checker.evaluation.progress import progress_bar
from checker.evaluation.provenance import machine_kind, provenance
from scripts.upload.sites import Posted, Site, sites

LIMIT = 1.05
"""The promise: maximum ratio of the time of a fired POST to that of a POST that is not fired."""
VERDICT_MS = {"VNNI": 60, "AVX2": 90}
"""Kind of processor -> target for the time from the start of a small photo's POST to its verdict."""
UNTIL_VERDICT = "until the verdict"
BACKLOG = 500
_WARM_UP = 5
_VERDICT_S = 60.0


def measure(rounds: int, show: Callable[[str], None]) -> dict[str, Any]:
    """Run the benchmark; ``show`` receives each line of the result as soon as it is known."""
    results: dict[str, Any] = {**provenance("catloader"), "rounds": rounds, "limit": LIMIT, "photos": {}}
    show(machine_kind(results["machine"]))
    with tempfile.TemporaryDirectory(prefix="catloader-bench-") as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        shipped = {photo.name: photo.path.read_bytes() for photo in demo_photos(folder / "photos")}
        photos = {
            "rocket.jpg (640 x 427)": shipped["rocket.jpg"],
            "12 megapixels": shipped["chelsea-12-megapixels-gps.jpg"],
        }
        with sites(folder) as running:
            engine = build_engine(running["fired"].settings)
            for label, data in photos.items():
                ms = alternate(running, CheckLog(engine), label, data, rounds)
                figures: dict[str, Any] = {variant: summary(values) for variant, values in ms.items()}
                figures["fired / not fired"] = round(median(ms["fired"]) / median(ms["not fired"]), 4)
                figures["blocking / fired"] = round(median(ms["blocking"]) / median(ms["fired"]), 4)
                results["photos"][label] = figures
                show(f"\n{label}, {len(data) // 1024} KiB")
                for series in ms:
                    show(f"  {series:<17} {_line(figures[series])}")
                show(f"  fired / not fired: {figures['fired / not fired']:.3f} (promised: at most {LIMIT})")
                show(f"  blocking / fired:  {figures['blocking / fired']:.2f}")
            engine.dispose()
            ms_loaded, waiting = under_backlog(running["fired"], "photo.jpg", shipped["rocket.jpg"])
            results["backlog"] = {"waiting_at_start": waiting, **(summary(ms_loaded) if ms_loaded else {})}
            if ms_loaded:
                show(f"\nrocket.jpg while {waiting} photos wait: {_line(results['backlog'])}")
    results["verdict"] = _verdict(results)
    show("\n{figure}: {measured_ms:.1f} ms (target: at most {target_ms})".format(**results["verdict"]))
    ratios = [figures["fired / not fired"] for figures in results["photos"].values()]
    results["holds"] = max(ratios) <= LIMIT
    results["load_1min"] = os.getloadavg()[0]
    return results


def alternate(
    running: dict[str, Site], log: CheckLog, label: str, data: bytes, rounds: int
) -> dict[str, list[float]]:
    """POST to each site in turn; after a fired photo, wait for its verdict before the next POST.

    Args:
        log: the check log of the site whose checks are fired.
    Returns:
        Milliseconds of the POSTs by variant, and those from the start of a fired POST to its verdict.
    """
    ms: dict[str, list[float]] = {name: [] for name in (*running, UNTIL_VERDICT)}
    order = list(running.values())
    with progress_bar(rounds + _WARM_UP, label, "rounds") as progress:
        for number in range(rounds + _WARM_UP):
            # Each site starts a round equally often, so that no site always follows a check.
            for site in order[number % len(order) :] + order[: number % len(order)]:
                posted = site.post("photo.jpg", data)
                times = {site.variant: posted.ms}
                if site.variant == "fired":
                    times[UNTIL_VERDICT] = _until_verdict_ms(posted, log)
                if number >= _WARM_UP:
                    for name, took_ms in times.items():
                        ms[name].append(took_ms)
            progress.update()
    return ms


def _until_verdict_ms(posted: Posted, log: CheckLog) -> float:
    """Wait for the photo's verdict; return when it was written, in ms after the start of the POST.

    The log is read from the database, so that waiting costs the site nothing.
    """
    for _ in until(_VERDICT_S, f"Photo {posted.photo_id} got no verdict"):
        record = log.latest(posted.photo_id)
        if record and record.verdict:
            return (record.finished_at - posted.started_at).total_seconds() * 1000
    raise AssertionError("unreachable: until raises")


def under_backlog(site: Site, name: str, data: bytes) -> tuple[list[float], int]:
    """POST while ``BACKLOG`` photos are checked; a POST that ends after the last check does not count.

    Returns:
        The times in ms, and the number of photos that waited at the start.
    """
    services = build(site.settings, checker=False)
    try:
        _fill(services, data)
        waiting_at_start = services.queue.waiting_count()
        ms: list[float] = []
        while True:
            took_ms = site.post(name, data).ms
            if services.queue.waiting_count() == 0:
                return ms, waiting_at_start
            ms.append(took_ms)
    finally:
        services.close()


def _verdict(results: dict[str, Any]) -> dict[str, Any]:
    """Compare the median of the first, small photo with the target of this kind of processor."""
    kind = "VNNI" if "VNNI" in results["machine"].get("instructions", ()) else "AVX2"
    label, figures = next(iter(results["photos"].items()))
    measured = figures[UNTIL_VERDICT]["median_ms"]
    return {
        "figure": f"{label}, from the POST to the verdict",
        "measured_ms": measured,
        "target_ms": VERDICT_MS[kind],
        "met": measured <= VERDICT_MS[kind],
    }


def _fill(services: Services, data: bytes) -> None:
    owner = services.users.by_email("demo@example.org")
    assert owner is not None
    with Image.open(io.BytesIO(data)) as image:
        small = io.BytesIO()
        image.convert("RGB").resize((500, 375)).save(small, "JPEG", quality=90)
    files = [(f"{number}.jpg", small.getvalue()) for number in range(min(50, BACKLOG))]
    for _ in range(BACKLOG // len(files)):
        upload(
            files,
            [],
            owner.id,
            settings=services.settings,
            prepare=services.decoders.prepare,
            photos=services.photos,
            objects=services.objects,
            dispatcher=services.dispatcher,  # this process has no checker: its wake-ups do not reach the site
        )


def summary(ms: list[float]) -> dict[str, float]:
    """Return the number of values, their median, and the 5th and 95th percentile."""
    low, *_, high = quantiles(ms, n=20) if len(ms) > 1 else (ms[0], ms[0])
    return {"n": len(ms), "median_ms": round(median(ms), 2), "p5_ms": round(low, 2), "p95_ms": round(high, 2)}


def _line(figures: dict[str, float]) -> str:
    return "{median_ms:7.1f} ms in the median ({p5_ms:.1f} to {p95_ms:.1f}, n = {n})".format(**figures)
