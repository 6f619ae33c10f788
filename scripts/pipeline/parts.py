"""The two parts of the pipeline benchmark: the share of the classifier's rate, and growing tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from catloader.intake.prepare import Prepared
from catloader.settings import Settings
from catloader.store.db.testing import made_up_outcome
from catloader.wiring import Services
from checker.evaluation.progress import note, progress_bar
from checker.pipeline import LoadedModel
from scripts.pipeline.plan import CLAIMED, Plan
from scripts.pipeline.report import shares, spread
from scripts.pipeline.sites import Site, lent, open_site, store
from scripts.pipeline.turns import check_uploads, classify, compare, recheck


def pipeline_share(
    settings: Settings, loaded: LoadedModel, prepared: Sequence[Prepared], plan: Plan
) -> dict[str, Any]:
    """Compare the rate of the pipeline with the classifier's own rate, for photos of one kind (part A)."""
    # With "thread" a site keeps the photos that it has just stored in memory for its checker. In this script
    # no checker starts on its own.
    keeping = settings.with_changes(dispatch="thread")
    with (
        open_site(settings, "pipeline", lambda: lent(loaded)) as site,
        open_site(keeping, "uploads", lambda: lent(loaded)) as uploading,
    ):
        photos = store(site.services.objects, prepared, plan.photos)
        began = site.add(photos)
        turns = {
            "own": partial(classify, loaded, photos, settings),
            "pipeline": partial(recheck, site, len(photos), began),
            "uploads": partial(check_uploads, uploading, prepared, len(photos)),
        }
        site.checker.drain()
        return shares(compare(turns, plan.rounds), settings.workers) | {
            "n": len(photos),
            "different": len(prepared),
            "photo_kB": spread([len(photo.photo) / 1000 for photo in prepared])["median"],
            "thumbnail_kB": spread([len(photo.thumbnail) / 1000 for photo in prepared])["median"],
            "verdicts": site.services.photos.count_by_status(),
        }


def growth(
    settings: Settings, loaded: LoadedModel, prepared: Sequence[Prepared], plan: Plan
) -> dict[str, Any]:
    """Compare claims, verdicts and rates in tables of all sizes, in turn (part B)."""
    with ExitStack() as stack:
        sites = {}
        for rows in plan.rows:
            note(f"filling a table with {rows} photos")
            sites[rows] = stack.enter_context(
                open_site(settings, f"rows_{rows}", lambda: lent(loaded), rows=rows, pending=plan.pending)
            )
        cycles = _cycles(sites, plan)
        ends = {str(rows): sites[rows] for rows in sorted({min(sites), max(sites)})}
        photos = store(next(iter(ends.values())).services.objects, prepared, plan.photos)
        turns = {}
        for end, site in ends.items():
            turns[end] = partial(recheck, site, len(photos), site.add(photos))
            site.checker.drain()
        note(f"checking {plan.photos} photos in tables of {' and '.join(ends)} rows")
        checked = compare(turns, plan.rounds)
    figures: dict[str, Any] = {
        "claim_and_finish_4_ms": {str(rows): spread(ms) for rows, ms in cycles.items()},
        "drain_photos_per_s": {
            rows: spread([turn.photos_per_s for turn in of_one]) for rows, of_one in checked.items()
        },
    }
    for part in list(figures):
        smallest, largest = (figures[part][str(rows)]["median"] for rows in (min(sites), max(sites)))
        figures[f"{part}: largest / smallest"] = largest / smallest
    return figures


def _cycles(sites: dict[int, Site], plan: Plan) -> dict[int, list[float]]:
    """Return the times in ms of claiming and finishing ``CLAIMED`` photos, by the number of rows."""
    ms: dict[int, list[float]] = {rows: [] for rows in sites}
    order = list(sites.items())
    total = plan.warm_up + plan.cycles
    with progress_bar(total, f"claiming and finishing {CLAIMED} photos at each size", "times") as progress:
        for number in range(total):
            for rows, site in order[number % len(order) :] + order[: number % len(order)]:
                took_ms = _claim_and_finish_ms(site.services)
                if number >= plan.warm_up:
                    ms[rows].append(took_ms)
            progress.update()
    return ms


def _claim_and_finish_ms(services: Services) -> float:
    started_s = time.perf_counter()
    claims = services.queue.claim(CLAIMED)
    written = services.queue.finish([made_up_outcome(claim) for claim in claims])
    took_ms = (time.perf_counter() - started_s) * 1000
    if written != [True] * CLAIMED:
        raise RuntimeError("The queue returned too few photos, or did not accept their verdicts.")
    return took_ms
