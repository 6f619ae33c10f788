"""Score labelled photos from the stored activations of a bulk run, without decoding or classifying again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from catloader.bulk.calibration import variant_of
from catloader.bulk.engines.sources import TABLE
from catloader.bulk.kept.columns import kept_units
from catloader.bulk.kept.results import calibration_set, model_of
from catloader.bulk.manifest import Label, PlannedPhoto, read_units
from catloader.bulk.plan import Plan
from catloader.checks.past_photos import claim_on
from catloader.checks.reviewed_photos import stored_photo
from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings
from catloader.store.s3.objects import S3ImageSource
from catloader.wiring import build_object_store
from checker.decision.profile import ProfileKey, find_profile
from checker.decision.subject import Subject
from checker.evaluation.photos import LabelledPhoto, decoded_apart, describe, photo_file
from checker.pixels.facts import Facts
from checker.values import Evidence
from scripts.accuracy.scores.held_out import held_out_scores
from scripts.accuracy.scores.scores import PhotoScore, Scores
from scripts.accuracy.scores.scoring import was_fitted_on, without_thresholds


def run_scores(plan: Plan, weights_dir: Path, subject: Subject, profile_folders: Sequence[Path]) -> Scores:
    """Return the same scores as ``Scorer.score`` for these photos and this variant.

    Memory: one score for each photo; if the profile was fitted on these photos, also their features.

    Raises:
        BulkError: the plan is not done, or stores only verdicts.
        UnusablePhotos: names a photo that could not be classified.
    """
    info, _ = model_of(plan)
    entry, _ = variant_of(plan, weights_dir).resolve()
    profile = find_profile(ProfileKey.of(info, entry.preprocessing, subject), profile_folders)
    rule = without_thresholds(subject, profile)
    labels: list[Label] = []
    rows: list[PhotoScore] = []
    for unit in kept_units(plan, "soft", "drawn", "logits", "features", "facts"):
        labels += unit["labelled"]
        soft, drawn = unit["soft"][:, 0], unit["drawn"][:, 0]
        photos = Evidence(unit["logits"], unit["features"][:, 0], soft, drawn, np.zeros(len(soft), np.int64))
        for place, (sha256, facts) in enumerate(zip(unit["renditions_sha256"], unit["facts"], strict=True)):
            evidence = photos[place]
            rows.append(
                PhotoScore.of(
                    rule.decide(evidence),
                    soft=bool(evidence.soft),
                    renditions_sha256=sha256,
                    facts=Facts(**facts),
                )
            )
    data = describe(labels, [row.renditions_sha256 for row in rows])
    held_out = None
    if profile is not None and was_fitted_on(profile, data["sha256"]):
        photos_alone = calibration_set(plan, subject, augmented=False, features=True)
        held_out = held_out_scores(photos_alone.examples, profile.made["fit"])
    return Scores(
        names=[label.name for label in labels],
        labels=np.array([label.label for label in labels]),
        kinds=np.array([label.kind for label in labels]),
        rows=rows,
        data=data,
        model_info=info,
        profile=profile,
        held_out=held_out,
        photos_per_s=None,
        peak_bytes=0,
    )


@contextmanager
def open_run_photos(plan: Plan, settings: Settings) -> Iterator[list[LabelledPhoto]]:
    """Yield the photos of a plan, in its order; read them inside the block, as with ``open_photos``."""
    units = read_units(plan.folder / "manifest", range(plan.units))
    planned = [photo for _, photos in units for photo in photos]
    if plan.facts.source != TABLE:
        with decoded_apart(photo_file(photo.photo_key, *_label(photo)) for photo in planned) as photos:
            yield photos
        return
    with shared_or_own_object_store(settings) as with_s3:
        source = S3ImageSource(build_object_store(with_s3))
        yield [stored_photo(claim_on(photo), _label(photo)[1], source) for photo in planned]


def _label(photo: PlannedPhoto) -> tuple[str, str, str]:
    assert photo.labelled is not None, "the plan was made with --labelled"
    return photo.labelled.name, photo.labelled.label, photo.labelled.kind
