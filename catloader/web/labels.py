"""Texts of the pages: badges, verdicts in words, dates and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import Flask, current_app

from catloader.intake.prepare import shown_limit
from catloader.settings import Settings
from catloader.store.db.check_log import CheckRecord
from catloader.store.db.gallery import Shown
from catloader.store.db.photo_rows import Photo
from catloader.wiring import Services
from checker.values import Reason

_IN_QUEUE = ("pending", "checking")


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: str
    """CSS class: ``waiting``, ``checking``, ``yes``, ``no``, ``unsure`` or ``problem``."""
    final: bool
    """True once no checker will change the status."""


def noun(settings: Settings) -> str:
    """Return the everyday word for the subject; for a custom subject, the name of its file."""
    return noun_of(Path(settings.subject).stem)


def noun_of(subject: str) -> str:
    """Return the everyday word for a subject's name as it is logged with a decision."""
    names = {"house_cat": "cat", "feline": "feline", "dog": "dog"}
    return names.get(subject) or subject.replace("_", " ")


def badge(photo: Photo) -> Badge:
    """Return the badge of a photo. "Cat?" means that the model's thresholds were not measured."""
    subject = _noun()
    texts = {
        "pending": ("Waiting", "waiting"),
        "checking": ("Being checked", "checking"),
        "cat": (subject.capitalize(), "yes"),
        "not_cat": (f"No {subject}", "no"),
        "unsure": ("Not sure", "unsure"),
        "unreadable": ("Unreadable", "problem"),
        "failed": ("Check failed", "problem"),
    }
    text, tone = texts[photo.status]
    if tone in ("yes", "no") and not photo.calibrated and photo.human_verdict is None:
        text += "?"
    return Badge(text, tone, photo.status not in _IN_QUEUE)


def shown_label(shown: Shown) -> str:
    """Return the name of a filter of My photos."""
    subject = _noun()
    texts = {
        Shown.ALL: "All",
        Shown.CAT: f"{subject.capitalize()}s",
        Shown.UNSURE: "Not sure",
        Shown.NOT_CAT: f"No {subject}",
        Shown.WAITING: "Waiting",
        Shown.FAILED: "Check failed",
    }
    return texts[shown]


def sentence(photo: Photo, record: CheckRecord | None) -> str:
    """Return the photo's status as a sentence."""
    subject = _noun()
    if photo.human_verdict:
        article = "a" if photo.human_verdict == "cat" else "no"
        return f"A reviewer decided: this photo shows {article} {subject}."
    match photo.status:
        case "cat":
            return f"This photo shows a {subject}."
        case "not_cat" if photo.wild_feline:
            return f"No {subject}, but it looks like a wild relative, such as a lynx, a lion or a tiger."
        case "not_cat":
            return f"This photo shows no {subject}."
        case "unsure" if record is not None and record.reason:
            return _unsure_because(record, subject)
        case "unsure":
            return f"The checker can't tell whether this photo shows a {subject}."
        case "unreadable":
            return "The checker could not open the stored file, though your browser can."
        case "failed":
            return f"The check failed {_times(photo.attempts)}. Your photo is safe."
        case "checking":
            return "This photo is being checked."
    if photo.attempts and record is not None:
        return "The last check failed. The checker will try again."
    return "Waiting for the checker. You can leave this page."


def _unsure_because(record: CheckRecord, subject: str) -> str:
    match record.reason:
        case Reason.WILD_FELINE:
            likeliest = record.labels["thumbnail"][0][1] if record.labels else "wild feline"
            article = "an" if likeliest[0].lower() in "aeiou" else "a"
            return f"This looks like a {subject}, but even more like {article} {likeliest}."
        case Reason.LOW_DETAIL:
            return f"This may show a {subject}, but the picture is too blurred, small or dark to be sure."
    return f"This may show a {subject}, but the model recognises none anywhere in the photo."


def next_step(photo: Photo) -> str:
    """Return what the owner can do about the status; "" where there is nothing to do."""
    if photo.human_verdict:
        return ""
    return {
        "unsure": "You can tell a reviewer below, who decides.",
        "failed": "Check it again, or ask a reviewer below.",
        "unreadable": "Check it again, upload the original once more, or ask a reviewer below.",
    }.get(photo.status, "")


def reason(photo: Photo) -> str | None:
    """Return why the last attempt gave no verdict; None where the sentence says it all."""
    return photo.check_error if photo.status in ("pending", "unreadable") else None


def shown_date(moment: datetime) -> str:
    """Format as "5 November 2026"."""
    return f"{moment.day} {moment:%B %Y}"


def shown_month(month: datetime) -> str:
    """Format as "November 2026"."""
    return f"{month:%B %Y}"


def shown_time(moment: datetime) -> str:
    """Format as "5 November 2026, 14:07 UTC"; a script converts it to local time."""
    return f"{shown_date(moment)}, {moment:%H:%M} UTC"


def shown_bytes(size_bytes: int) -> str:
    """Format a file's size as "1.2 MB" or "195 kB"."""
    return f"{size_bytes / 2**20:.1f} MB" if size_bytes >= 2**20 else f"{max(1, size_bytes // 1024)} kB"


def shown_days(days: float) -> str:
    """Format as "30 days" or "1 day"."""
    return f"{days:g} day{'' if days == 1 else 's'}"


def counted(number: int, noun: str) -> str:
    """Return "1 photo" or "2 photos"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def init_app(app: Flask) -> None:
    services: Services = app.extensions["catloader"]
    settings = services.settings
    app.add_template_filter(badge)
    app.add_template_filter(next_step)
    app.add_template_filter(shown_date)
    app.add_template_filter(shown_time)
    app.add_template_filter(shown_month)
    app.add_template_filter(shown_label)
    app.add_template_filter(shown_bytes)
    app.add_template_filter(shown_days)
    app.add_template_filter(shown_limit)
    app.context_processor(
        lambda: {
            "noun": noun(settings),
            "max_file_bytes": settings.max_file_bytes,
            "max_files": settings.max_files,
            "registration": settings.registration,
            "sends_mail": bool(settings.smtp_host),
        }
    )


def _noun() -> str:
    services: Services = current_app.extensions["catloader"]
    return noun(services.settings)


def _times(n: int) -> str:
    return "once" if n == 1 else "twice" if n == 2 else f"{n} times"
