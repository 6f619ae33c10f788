"""What do S3, the database and the log cost beside the network, and does it stay so as the tables grow?

Two promises, measured with real parts (the embedded S3 server, SQLite or PostgreSQL, a real network):

    A  the whole pipeline, from S3 and back into the database, runs at 85 % or more of the classifier's own
       rate: the same bytes from memory through decode, network and decision, with as many threads
    B  claim and verdict take as long in a table of 1 000 000 photos as in one of 1 000

What is compared takes turns, so that whatever else the machine does hits all alike. The settings of the
section "Checking" are read from the environment; nobody's data is touched: folder and databases are new.

    python scripts/benchmark_pipeline.py [--quick] [--photos FOLDER] [--json FILE] [--database-url URL]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from catloader.errors import CatLoaderError
from catloader.intake.prepare import Prepared, prepare
from catloader.intake.upload import limits
from catloader.server.object_store import own_object_store
from catloader.settings import Settings
from catloader.wiring import Services, load_model
from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.evaluation.provenance import provenance
from checker.pipeline import LoadedModel
from models.catalogue import class_names
from scripts.command_line import CannotRun, new_file, report_errors, require
from scripts.pipeline import rows as pipeline_rows
from scripts.pipeline.report import as_text, shares, spread, targets
from scripts.pipeline.sites import lent, settings_for, site, store
from scripts.pipeline.turns import classify, compare, drain
from scripts.speed import photos as speed_photos
from scripts.speed.variants import load_classifier, make_variants
from scripts.speed.variants import prepared as prepared_model

_MADE = "made, 500x375"
_PICTURES = 24
"""Different ones; each photo has objects of its own, whatever they show."""
_CLAIMED = 4
_KINDS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int = 7
    photos: int = 400
    """In one turn."""
    rows: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000)
    cycles: int = 200
    """Times that four photos are claimed and finished, at each size."""
    folder: Path | None = None
    """Real photos."""

    @property
    def pending(self) -> int:
        return _CLAIMED * (self.cycles + self.warm_up)

    @property
    def warm_up(self) -> int:
        return self.cycles // 10 + 1


QUICK = Plan(rounds=5, photos=80, rows=(1_000, 100_000), cycles=80)


def pipeline_share(
    settings: Settings, loaded: LoadedModel, prepared: Sequence[Prepared], plan: Plan
) -> dict[str, Any]:
    """Part A, for photos of one kind."""
    with site(settings, "pipeline", lambda: lent(loaded)) as here:
        photos = store(here.services.objects, prepared, plan.photos)
        began = here.add(photos)
        turns = {
            "own": partial(classify, loaded, photos, settings),
            "pipeline": partial(drain, here, len(photos), began),
        }
        here.checker.drain()
        return shares(compare(turns, plan.rounds), settings.workers) | {
            "n": len(photos),
            "pictures": len(prepared),
            "photo_kB": spread([len(picture.photo) / 1000 for picture in prepared])["median"],
            "thumbnail_kB": spread([len(picture.thumbnail) / 1000 for picture in prepared])["median"],
            "verdicts": here.services.photos.count_by_status(),
        }


def growing(
    settings: Settings,
    loaded: LoadedModel,
    prepared: Sequence[Prepared],
    plan: Plan,
    show: Callable[[str], None],
) -> dict[str, Any]:
    """Part B: databases of every size, side by side."""
    with ExitStack() as stack:
        sites = {}
        for rows in plan.rows:
            show(f"filling a table with {rows} photos")
            sites[rows] = stack.enter_context(
                site(settings, f"rows_{rows}", lambda: lent(loaded), rows=rows, pending=plan.pending)
            )
        show(f"claiming and finishing {plan.cycles} times {_CLAIMED} photos at each size")
        ms: dict[int, list[float]] = {rows: [] for rows in sites}
        order = list(sites.items())
        for number in range(plan.warm_up + plan.cycles):
            for rows, here in order[number % len(order) :] + order[: number % len(order)]:
                took_ms = _claim_and_finish_ms(here.services)
                if number >= plan.warm_up:
                    ms[rows].append(took_ms)
        ends = {str(rows): sites[rows] for rows in sorted({min(sites), max(sites)})}
        photos = store(next(iter(ends.values())).services.objects, prepared, plan.photos)
        turns = {}
        for end, here in ends.items():
            turns[end] = partial(drain, here, len(photos), here.add(photos))
            here.checker.drain()
        show(f"checking {plan.photos} photos in tables of {' and '.join(ends)} rows")
        drained = compare(turns, plan.rounds)
    found: dict[str, Any] = {
        "claim_and_finish_4_ms": {str(rows): spread(values) for rows, values in ms.items()},
        "drain_photos_per_s": {
            rows: spread([turn.photos_per_s for turn in taken]) for rows, taken in drained.items()
        },
    }
    for part in list(found):
        medians = [found[part][str(rows)]["median"] for rows in (min(sites), max(sites))]
        found[f"{part}: largest / smallest"] = medians[1] / medians[0]
    return found


def _claim_and_finish_ms(services: Services) -> float:
    started_s = time.perf_counter()
    claims = services.queue.claim(_CLAIMED)
    written = services.queue.finish([pipeline_rows.outcome(claim) for claim in claims])
    took_ms = (time.perf_counter() - started_s) * 1000
    if written != [True] * _CLAIMED:
        raise RuntimeError("The queue gave too few photos, or did not take their verdicts.")
    return took_ms


def measure(
    settings: Settings, plan: Plan, show: Callable[[str], None], stand_in: str = ""
) -> dict[str, Any]:
    """Everything, and the targets; ``settings`` as ``settings_for`` makes them.

    Args:
        stand_in: run the network in this form (``openvino-int8``) with random weights, if it has none here.
    """
    results: dict[str, Any] = {
        "made": provenance("catloader"),
        "load_at_start": os.getloadavg()[0],
        "database": "PostgreSQL" if settings.database_url.get_secret_value() else "SQLite",
        "workers": settings.workers,
        "batch_photos": settings.batch_photos,
        "rounds": plan.rounds,
        "photos": {},
    }
    with own_object_store(settings) as with_s3:
        loaded = _stand_in(settings, stand_in) if stand_in else load_model(settings)
        model_info = loaded.classifier.model_info
        results["network"] = (
            f"{model_info.model}, {model_info.runtime} {model_info.precision}, {model_info.device}"
        )
        results["weights_sha256"] = model_info.weights_sha256
        if stand_in:
            results["network"] += ", random weights"
        pictures = {_MADE: speed_photos.make(settings.data_dir / "made", "500x375", _PICTURES)}
        if plan.folder is not None:
            pictures[plan.folder.name] = _some(plan.folder, plan.photos)
        prepared = {label: [_prepared(file, settings) for file in files] for label, files in pictures.items()}
        for label, photos in prepared.items():
            show(f"{label}: the classifier's own rate, and the pipeline's")
            results["photos"][label] = pipeline_share(with_s3, loaded, photos, plan)
        results["rows"] = growing(with_s3, loaded, prepared[_MADE], plan, show)
        loaded.classifier.close()
    results["load_at_end"] = os.getloadavg()[0]
    results["targets"] = targets(results)
    return results


def _stand_in(settings: Settings, form: str) -> LoadedModel:
    """Speed does not depend on the weights; what it says is worth nothing."""
    folder = settings.data_dir / "made"
    speed_photos.make(folder, "500x375", _PICTURES)
    make_variants(settings.model, folder, [form])
    entry, weights = prepared_model(settings.model, folder)
    rule = ThresholdRule(load_subject("house_cat"), class_names())
    return LoadedModel(load_classifier(form, entry, weights, folder, "cpu"), rule)


def _some(folder: Path, count: int) -> list[Path]:
    """At most ``count`` of the folder's photos, from all over it."""
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _KINDS)
    if not found:
        raise CannotRun(f"the folder {folder} has no photos in it")
    return found[:: -(-len(found) // count)]


def _prepared(file: Path, settings: Settings) -> Prepared:
    try:
        return prepare(file.read_bytes(), limits=limits(settings))
    except (OSError, CatLoaderError) as error:
        raise CannotRun(f"{file}: {error}") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _sizes(text: str) -> list[int]:
    return [int(rows) for rows in text.split(",")]


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="up to 100 000 rows, short turns: under 2 minutes"
    )
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="part A with these photos, too")
    parser.add_argument("--rows", type=_sizes, metavar="A,B", help="sizes of the table in part B")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each (default 7, quick 5)")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--stand-in", default="", metavar="FORM", help="openvino-int8, ...: --model with random weights"
    )
    parser.add_argument(
        "--database-url", default="", help="a PostgreSQL server: databases are made there, and dropped again"
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure there")
    options = parser.parse_args(argv)
    plan = replace(QUICK if options.quick else Plan(), folder=options.photos)
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    if options.rows:
        plan = replace(plan, rows=options.rows)
    if min(plan.rows) < plan.pending:
        parser.error(f"--rows: at least {plan.pending}, which are the ones to be checked.")
    # What would fail after minutes is tried before them.
    require("psutil")
    if plan.folder is not None and not plan.folder.is_dir():
        raise CannotRun(f"the folder {plan.folder} does not exist")
    if options.database_url:
        with pipeline_rows.database(options.database_url, Path(), "probe"):
            pass
    with tempfile.TemporaryDirectory(prefix="catloader-bench-") as name:
        settings = settings_for(
            Path(name),
            model=options.model,
            runtime=options.runtime,
            precision=options.precision,
            database_url=options.database_url,
        )
        results = measure(settings, plan, _say, options.stand_in)
    print(as_text(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
