"""Shadow: run a candidate model in parallel with the current one, on photos that were checked before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from catloader.checks.past_photos import claim_on, map_pages, without_machine_failure
from catloader.store.db.photos.photo_rows import DecidedPhoto
from catloader.store.db.photos.photos import Photos
from checker.pipeline import LoadedModel, classify, fetch
from checker.ports import ImageSource
from checker.values import Verdict

_RANK = {Verdict.NOT_CAT: 0, Verdict.UNSURE: 1, Verdict.CAT: 2}


class Judged(Protocol):
    """The parts of a decision that are compared."""

    @property
    def verdict(self) -> Verdict: ...

    @property
    def score(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Compared:
    """Both models' decisions on one photo."""

    photo: DecidedPhoto
    current: Judged
    candidate: Judged

    @property
    def flips(self) -> bool:
        return self.current.verdict is not self.candidate.verdict

    @property
    def towards_cat(self) -> bool:
        return _RANK[self.candidate.verdict] > _RANK[self.current.verdict]


def shadow(
    photos: Photos,
    source: ImageSource,
    current: LoadedModel,
    candidate: LoadedModel,
    *,
    sample: int | None = None,
    workers: int = 1,
) -> Iterator[Compared | None]:
    """Yield both models' decisions on photos with a verdict; None for a photo that is unreadable or altered.

    Each photo is fetched once, so both models get the same bytes.

    Args:
        sample: number of photos to draw at random; None: all.

    Raises:
        CheckerError: store, model or device failed.
    """

    def compare(photo: DecidedPhoto) -> Compared | None:
        (fetched,) = fetch([claim_on(photo)], source)
        decisions = []
        for model in (current, candidate):
            copy = replace(fetched, renditions=dict(fetched.renditions))  # ``classify`` empties them
            decisions.append(without_machine_failure(classify([copy], *model)[0]).decision)
        first, second = decisions
        return None if first is None or second is None else Compared(photo, first, second)

    return map_pages(photos.decided(sample), compare, workers)
