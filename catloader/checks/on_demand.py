"""Check a photo at once without storing it: no object, no row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from catloader.errors import BrokenImage, CheckerNotReady, NoCheckerHere
from checker.errors import ModelRefused, NotReady
from checker.service import CheckerService
from checker.values import Decision, ModelInfo, Rendition


class Renditions(Protocol):
    """A prepared upload."""

    @property
    def photo(self) -> bytes: ...

    @property
    def thumbnail(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and the model that made it."""

    decision: Decision
    model_info: ModelInfo
    ms: Mapping[str, float]
    """Stage -> milliseconds: ``prepare``, ``decode``, ``classify``, ``total``."""


def judge(
    data: bytes,
    owner_id: int,
    *,
    prepare: Callable[[bytes, int], Renditions],
    checker: CheckerService | None,
) -> Judged:
    """Prepare the bytes as for an upload (in a child process), and check the renditions.

    Raises:
        NoCheckerHere: this process has no model.
        CheckerNotReady: the model is being loaded, or it failed.
        BadImage, UploadsBusy, DecodersAway: as for an upload.
    """
    if checker is None:
        raise NoCheckerHere(
            "This site checks photos in other processes, so it can't check a photo in the request "
            "(CATCHECK_DISPATCH must be thread or internal)."
        )
    started_s = time.perf_counter()
    prepared = prepare(data, owner_id)
    prepare_ms = round((time.perf_counter() - started_s) * 1000, 1)
    try:
        outcome = checker.judge({Rendition.PHOTO: prepared.photo, Rendition.THUMBNAIL: prepared.thumbnail})
    except NotReady:
        raise CheckerNotReady("The model is being loaded. Try again in a few seconds.") from None
    except ModelRefused as error:
        raise CheckerNotReady("The model of this site can't be used at the moment.") from error
    if outcome.decision is None or outcome.model_info is None:
        if outcome.unreadable:
            raise BrokenImage("This photo can't be read.")
        raise CheckerNotReady("The check failed. Try again in a few seconds.")
    ms = {**outcome.ms, "prepare": prepare_ms, "total": round(outcome.ms["total"] + prepare_ms, 1)}
    return Judged(outcome.decision, outcome.model_info, ms)
