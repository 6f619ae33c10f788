"""A run of the pipeline benchmark: load the model, make photos, measure both parts, compare with targets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from catloader.errors import CatLoaderError
from catloader.intake.prepare import Prepared, prepare
from catloader.intake.upload import limits
from catloader.server.object_store import own_object_store
from catloader.settings import Settings
from catloader.wiring import load_model
from checker.decision.operating_point import ThresholdRule
from checker.decision.subject import load_subject
from checker.evaluation.progress import note
from checker.evaluation.provenance import provenance
from checker.pipeline import LoadedModel
from models.catalogue import class_names
from scripts.command_line import CannotRun
from scripts.pipeline.parts import growth, pipeline_share
from scripts.pipeline.plan import Plan
from scripts.pipeline.report import targets
from scripts.speed import photos as speed_photos
from scripts.speed.variants import load_classifier, make_variants, prepared

_GENERATED = "generated, 500x375"
_DIFFERENT_PHOTOS = 24
"""Number of different generated photos. Stored photos that show the same still have separate objects."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def measure(settings: Settings, plan: Plan, stand_in: str = "") -> dict[str, Any]:
    """Measure both parts and compare them with the targets.

    Args:
        settings: as returned by ``settings_for``.
        stand_in: a variant (``openvino-int8``) to run with random weights if its weights are not on disk.
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
        info = loaded.classifier.model_info
        random_weights = ", random weights" if stand_in else ""
        results["model"] = f"{info.model}, {info.runtime} {info.precision}, {info.device}{random_weights}"
        results["weights_sha256"] = info.weights_sha256
        different = min(plan.photos, _DIFFERENT_PHOTOS)
        files = {_GENERATED: speed_photos.make(settings.data_dir / "made", "500x375", different)}
        if plan.folder is not None:
            files[plan.folder.name] = _sample(plan.folder, plan.photos)
        photos = {label: [_prepared(file, settings) for file in of_one] for label, of_one in files.items()}
        for label, of_one in photos.items():
            note(f"{label}: the classifier's own rate, and the pipeline's")
            results["photos"][label] = pipeline_share(with_s3, loaded, of_one, plan)
        results["rows"] = growth(with_s3, loaded, photos[_GENERATED], plan)
        loaded.classifier.close()
    results["load_at_end"] = os.getloadavg()[0]
    results["targets"] = targets(results)
    return results


def _stand_in(settings: Settings, variant: str) -> LoadedModel:
    """Return a variant with random weights, which has the same speed, but whose verdicts have no meaning."""
    folder = settings.data_dir / "made"
    speed_photos.make(folder, "500x375", _DIFFERENT_PHOTOS)
    make_variants(settings.model, folder, [variant])
    entry, weights = prepared(settings.model, folder)
    rule = ThresholdRule(load_subject("house_cat"), class_names())
    return LoadedModel(load_classifier(variant, entry, weights, folder, "cpu"), rule)


def _sample(folder: Path, count: int) -> list[Path]:
    """Return at most ``count`` photos, evenly spread over the sorted folder."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise CannotRun(f"the folder {folder} has no photos in it")
    return files[:: -(-len(files) // count)]


def _prepared(file: Path, settings: Settings) -> Prepared:
    try:
        return prepare(file.read_bytes(), limits=limits(settings))
    except (OSError, CatLoaderError) as error:
        raise CannotRun(f"{file}: {error}") from error
