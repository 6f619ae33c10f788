"""What a photo's status is called on the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import Flask, current_app

from catloader.settings import Settings
from catloader.store.db.photos import CheckRecord, Photo
from catloader.wiring import Services

_IN_QUEUE = ("pending", "checking")


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: str
    """Its style: ``waiting``, ``yes``, ``no``, ``unsure`` or ``problem``."""
    final: bool
    """Nothing will change it by itself."""


def noun(settings: Settings) -> str:
    """What is looked for, in people's words; for a subject of your own the name of its file."""
    return noun_of(Path(settings.subject).stem)


def noun_of(subject: str) -> str:
    """The same for a subject's name, as a decision bears it."""
    names = {"house_cat": "cat", "feline": "feline", "dog": "dog"}
    return names.get(subject) or subject.replace("_", " ")


def badge(image: Photo) -> Badge:
    what = _noun()
    texts = {
        "cat": (what.capitalize(), "yes"),
        "not_cat": (f"No {what}", "no"),
        "unsure": ("Not sure", "unsure"),
        "unreadable": ("Unreadable", "problem"),
        "failed": ("Check failed", "problem"),
    }
    text, tone = texts.get(image.status, ("Being checked", "waiting"))
    if tone in ("yes", "no", "unsure") and not image.calibrated and image.human_verdict is None:
        text += " · uncalibrated"
    return Badge(text, tone, image.status not in _IN_QUEUE)


def sentence(image: Photo, record: CheckRecord | None) -> str:
    """The verdict as one would say it."""
    what = _noun()
    if image.human_verdict:
        yes = image.human_verdict == "cat"
        return f"A person looked at this photo: there is {'a' if yes else 'no'} {what} in it."
    match image.status:
        case "cat":
            return f"There is a {what} in this photo."
        case "not_cat" if image.wild_feline:
            return f"No {what}, but it looks like a wild relative: a lynx, a lion, a tiger or the like."
        case "not_cat":
            return f"There is no {what} in this photo."
        case "unsure":
            return f"The Cat Checker can't tell whether there is a {what} in this photo."
        case "unreadable":
            return "The Cat Checker could not read this picture."
        case "failed":
            return f"The check did not work, {_times(image.attempts)}. The photo itself is safe."
        case "checking":
            return "The Cat Checker is looking at this photo right now."
    if image.attempts and record is not None:
        return "The last attempt did not work; the Cat Checker will try again."
    return "Waiting for the Cat Checker. You need not stay on this page."


def shown_date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def shown_time(moment: datetime) -> str:
    return f"{shown_date(moment)}, {moment:%H:%M} UTC"


def shown_bytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MB" if size_bytes >= 2**20 else f"{max(1, size_bytes // 1024)} kB"


def init_app(app: Flask) -> None:
    found: Services = app.extensions["catloader"]
    settings = found.settings
    app.add_template_filter(badge)
    app.add_template_filter(shown_date)
    app.add_template_filter(shown_time)
    app.add_template_filter(shown_bytes)
    app.context_processor(
        lambda: {
            "noun": noun(settings),
            "max_file_bytes": settings.max_file_bytes,
            "max_files": settings.max_files,
        }
    )


def _noun() -> str:
    found: Services = current_app.extensions["catloader"]
    return noun(found.settings)


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n} times"
