"""``auto``: the models that may check here, the preferred ones first, and the one that is worth fetching."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from checker.decision.profile import Profile, load_profile
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.runtimes.background import can_optimise
from checker.runtimes.select import require_rates
from checker.runtimes.variants import RuntimeRequest
from models import openvino_ir
from models.catalogue import Entry, automatic, automatic_on_disk, weights_path
from models.errors import ModelsError

AUTO = "auto"
"""In place of a model's name."""


def candidates(subject: Subject, request: RuntimeRequest) -> list[tuple[Entry, Path]]:
    """Return the models on disk whose measured rates keep those of the request; else the first one on disk.

    Raises:
        ModelsError: no weights are on disk.
        ModelRefused: a profile is broken.
    """
    on_disk = automatic_on_disk(request.weights_dir)
    profiles = list(_fitting_profiles(subject, request))
    measured = [pair for pair in on_disk if any(_can_run(p, pair[0], request) for p in profiles)]
    return measured or on_disk[:1]


def worth_fetching(subject: Subject, request: RuntimeRequest) -> Entry | None:
    """Return the model before all measured ones on disk, if it was measured and its weights can be fetched.

    Raises as ``candidates`` does.
    """
    measured = {profile.model for profile in _fitting_profiles(subject, request)}
    for entry in automatic():
        if entry.name not in measured:
            continue
        if weights_path(entry, request.weights_dir) is not None:
            return None
        if entry.package is None:
            return entry
    return None


def _fitting_profiles(subject: Subject, request: RuntimeRequest) -> Iterator[Profile]:
    for folder in request.profile_folders:
        for profile in map(load_profile, sorted(folder.glob("*.json"))):
            asked_for = request.runtime in ("auto", profile.key.runtime) and request.precision in (
                "auto",
                profile.key.precision,
            )
            if profile.key.subject == subject and asked_for and _keeps_rates(profile, request):
                yield profile


def _keeps_rates(profile: Profile, request: RuntimeRequest) -> bool:
    try:
        require_rates(profile, request)
    except ModelRefused:
        return False
    return True


def _can_run(profile: Profile, entry: Entry, request: RuntimeRequest) -> bool:
    """Return whether the variant is on disk or can be made; its weights are not verified yet."""
    if profile.model != entry.name:
        return False
    if profile.key.runtime == "torch":
        return importlib.util.find_spec("torch") is not None
    try:
        made = openvino_ir.manifests(entry, request.weights_dir, profile.key.precision)
    except ModelsError:
        return False
    return bool(made) or (profile.key.precision != "int8" and can_optimise())
