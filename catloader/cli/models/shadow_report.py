"""Count the verdicts that another model would change, and summarise them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from catloader.checks.shadow import Compared
from catloader.store.db.checks.model_choices import ShadowReport as StoredReport
from checker.plurals import counted

_MOST_PHOTOS = 200


class ShadowReport:
    """Counts comparisons one by one; ``summary`` describes them at the end."""

    def __init__(self) -> None:
        self._flips: Counter[str] = Counter()
        self._compared = self._unreadable = self._towards_cat = 0
        self._become_wrong = self._become_right = 0
        self._photos: list[tuple[object, ...]] = []

    def add(self, compared: Compared | None) -> str | None:
        """Count one photo (None: it could not be read); return a line if its verdict would flip."""
        if compared is None:
            self._unreadable += 1
            return None
        self._compared += 1
        if not compared.flips:
            return None
        current, candidate = compared.current, compared.candidate
        human = compared.photo.human_verdict
        self._flips[f"{current.verdict} -> {candidate.verdict}"] += 1
        self._towards_cat += compared.towards_cat
        self._become_wrong += current.verdict == human
        self._become_right += candidate.verdict == human
        if len(self._photos) < _MOST_PHOTOS:
            row = (compared.photo.photo_id, str(current.verdict), current.score)
            self._photos.append((*row, str(candidate.verdict), candidate.score, human))
        return (
            f"photo {compared.photo.photo_id:>8}  {current.verdict:>7} {current.score:.4f} -> "
            f"{candidate.verdict:>7} {candidate.score:.4f}" + (f"  a person says {human}" if human else "")
        )

    def result(self, current: str, candidate: str, now: datetime) -> StoredReport:
        """Return the counts and the first flips, as the page of models shows them."""
        counts = {
            "compared": self._compared,
            "towards_cat": self._towards_cat,
            "away": self._flips.total() - self._towards_cat,
            "become_wrong": self._become_wrong,
            "become_right": self._become_right,
            "unreadable": self._unreadable,
        }
        return StoredReport(now, current, candidate, counts, dict(self._flips), self._photos)

    def summary(self) -> Iterator[str]:
        """Yield the closing lines."""
        away = self._flips.total() - self._towards_cat
        yield (
            f"{counted(self._compared, 'photo')} compared: {self._towards_cat} would move towards cat, "
            f"{away} away from it."
        )
        for flip, photos in sorted(self._flips.items()):
            yield f"  {flip:<20} {photos}"
        if self._become_wrong or self._become_right:
            wrong, right = self._become_wrong, self._become_right
            yield f"Where people decided: {wrong} would become wrong, {right} right."
        if self._unreadable:
            yield f"{counted(self._unreadable, 'photo')} could not be read."
