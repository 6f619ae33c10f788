"""Count the verdicts that another model would change, and put them into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from catloader.checks.shadow import Compared
from catloader.cli.context import count


class ShadowReport:
    """Takes one comparison after the other; ``summary`` is told at the end."""

    def __init__(self) -> None:
        self._flips: Counter[str] = Counter()
        self._compared = self._unreadable = self._towards_cat = 0
        self._become_wrong = self._become_right = 0

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
        return (
            f"photo {compared.photo.photo_id:>8}  {current.verdict:>7} {current.score:.4f} -> "
            f"{candidate.verdict:>7} {candidate.score:.4f}" + (f"  a person says {human}" if human else "")
        )

    def summary(self) -> Iterator[str]:
        """Yield the closing lines."""
        away = self._flips.total() - self._towards_cat
        yield (
            f"{count(self._compared, 'photo')} compared: {self._towards_cat} would move towards cat, "
            f"{away} away from it."
        )
        for flip, photos in sorted(self._flips.items()):
            yield f"  {flip:<20} {photos}"
        if self._become_wrong or self._become_right:
            wrong, right = self._become_wrong, self._become_right
            yield f"Where people decided: {wrong} would become wrong, {right} right."
        if self._unreadable:
            yield f"{count(self._unreadable, 'photo')} could not be read."
