"""Numbers with their noun, for texts that are in English only: commands, the log, the audit log."""

from __future__ import annotations


def counted(number: int, noun: str, several: str = "") -> str:
    """Return "1 photo" or "2 photos".

    Args:
        several: the plural, if it is not the noun with an "s".
    """
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"
