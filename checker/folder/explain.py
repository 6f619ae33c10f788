"""``python -m checker explain``: write the heat map of one photo."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import click

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.orientation import fitted_orientation
from checker.decision.profile import ProfileKey, find_profile
from checker.decision.subject import Subject, load_subject
from checker.errors import DecodingFailed, UnreadableImage
from checker.folder.arguments import DEFAULT_RATE, OK, SOME_UNREADABLE, ExplainOptions, refuse
from checker.folder.distinct import missing_path
from checker.folder.walk import DECODE_LIMITS, read
from checker.pixels.decode import model_inputs
from checker.pixels.isolated import isolated_decoder
from checker.runtimes.selection.select import select_variant
from checker.runtimes.selection.variants import RuntimeRequest
from checker.upright import upright_evidence
from checker.values import Rendition
from models.catalogue import Entry, class_names, resolve


def explain(options: ExplainOptions) -> int:
    """Write the heat map of one photo; return the exit code. Raises as ``check``."""
    if (path := missing_path([options.photo])) is not None:
        return refuse(f"There is no file {path}.")
    subject = load_subject(options.subject, class_names())
    entry, weights = resolve(options.model, options.weights_dir)
    try:
        with isolated_decoder(1, DECODE_LIMITS) as decoder:
            renditions = decoder.renditions(read(options.photo))
    except (UnreadableImage, DecodingFailed) as error:
        refuse(f"{options.photo}: {error}")
        return SOME_UNREADABLE

    from checker.explain import explain as heat_over
    from models.digest import verify

    key = ProfileKey(verify(entry, weights), entry.preprocessing.key, "torch", "fp32", subject)
    profiles = (*options.profiles, SHIPPED_PROFILES)
    profile = find_profile(key, profiles)
    head = profile.head if profile else None
    turned_deg = 0
    if fitted_orientation(key.weights_sha256):
        request = _default_request(profiles, options.weights_dir)
        turned_deg = _turned_deg(entry, weights, subject, request, renditions)
    photo = renditions[Rendition.PHOTO]
    png = heat_over(entry, weights, photo, subject, head, turned_deg=turned_deg)
    options.output.write_bytes(png)
    click.echo(f"wrote {options.output}")
    return OK


def _default_request(profiles: tuple[Path, ...], weights_dir: Path) -> RuntimeRequest:
    return RuntimeRequest(
        device="auto",
        runtime="auto",
        precision="auto",
        max_fpr=DEFAULT_RATE,
        max_fnr=DEFAULT_RATE,
        profile_folders=profiles,
        weights_dir=weights_dir,
    )


def _turned_deg(
    entry: Entry,
    weights: Path,
    subject: Subject,
    request: RuntimeRequest,
    renditions: Mapping[Rendition, bytes],
) -> int:
    """Return by how many degrees clockwise a check rotates the photo; see ``Decision.turned_deg``.

    Precisions can differ in a photo that is close to a limit, so the variant is the one that checks.
    """
    classifier = select_variant(entry, weights, subject, request).classifier
    with contextlib.closing(classifier):
        pixels = model_inputs(renditions, entry.preprocessing)
        return int(upright_evidence(classifier.run(pixels), pixels, classifier).turned_deg[0])
