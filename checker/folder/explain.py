"""``python -m checker explain``: write the heat map of one photo."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import click

from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.orientation import fitted_orientation
from checker.decision.profile import ProfileKey, find_profile
from checker.decision.subject import load_subject
from checker.errors import DecodingFailed, UnreadableImage
from checker.folder.arguments import OK, SOME_UNREADABLE, CheckOptions, ExplainOptions, parse, refuse
from checker.folder.commands import request_of
from checker.folder.distinct import missing_path
from checker.folder.walk import DECODE_LIMITS, read
from checker.pixels.decode import model_inputs
from checker.pixels.isolated import isolated_decoder
from checker.ports import Classifier
from checker.runtimes.selection.select import select_variant
from checker.upright import upright_evidence
from checker.values import Rendition
from models.catalogue import class_names, resolve


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
    profile = find_profile(key, (*options.profiles, SHIPPED_PROFILES))
    head = profile.head if profile else None
    turned_deg = 0
    if fitted_orientation(key.weights_sha256):
        with contextlib.closing(checking_classifier(options)) as classifier:
            pixels = model_inputs(renditions, entry.preprocessing)
            turned_deg = int(upright_evidence(classifier.run(pixels), pixels, classifier).turned_deg[0])
    photo = renditions[Rendition.PHOTO]
    png = heat_over(entry, weights, photo, subject, head, turned_deg=turned_deg)
    options.output.write_bytes(png)
    click.echo(f"wrote {options.output}")
    return OK


def checking_classifier(options: ExplainOptions) -> Classifier:
    """Load the variant in which ``python -m checker`` checks by default: it decides if a photo is turned.

    Precisions can differ in a photo that is close to a limit.
    """
    check = parse(["--", options.photo])
    assert isinstance(check, CheckOptions)
    check = replace(
        check,
        model=options.model,
        subject=options.subject,
        weights_dir=options.weights_dir,
        profiles=options.profiles,
    )
    subject = load_subject(check.subject, class_names())
    return select_variant(*resolve(check.model, check.weights_dir), subject, request_of(check)).classifier
