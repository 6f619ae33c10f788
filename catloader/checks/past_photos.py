"""Classify photos again that were checked before, one by one. Shared by replay and shadow.

Each photo goes through ``checker.pipeline`` as in every check, but alone in its batch, so that its numbers do
not depend on other photos. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from checker.errors import CheckerError
from checker.values import Claim, Outcome

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_pages(
    pages: Iterable[Sequence[Item]], work: Callable[[Item], Result], workers: int
) -> Iterator[Result]:
    """Yield ``work(item)`` for every item, in order; ``workers`` threads share one page at a time."""
    with ThreadPoolExecutor(workers, thread_name_prefix="past-photos") as pool:
        for page in pages:
            yield from pool.map(work, page)


class StoredPhoto(Protocol):
    """The parts of a photo that a claim names."""

    @property
    def photo_id(self) -> int: ...

    @property
    def photo_key(self) -> str: ...

    @property
    def thumbnail_key(self) -> str: ...

    @property
    def photo_sha256(self) -> str | None: ...

    @property
    def thumbnail_sha256(self) -> str | None: ...


def claim_on(photo: StoredPhoto) -> Claim:
    """Return a claim on a photo outside the queue, where no other process can claim it."""
    return Claim(
        photo.photo_id,
        "",
        photo.photo_key,
        photo.thumbnail_key,
        attempt=1,
        photo_sha256=photo.photo_sha256,
        thumbnail_sha256=photo.thumbnail_sha256,
    )


def without_machine_failure(outcome: Outcome) -> Outcome:
    """Return the outcome, unless the machine failed and not the photo.

    Raises:
        CheckerError: store, model or device failed, and would fail on the next photo too.
    """
    if outcome.blames_machine:
        raise CheckerError(outcome.error)
    return outcome
