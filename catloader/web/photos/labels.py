"""Texts of the pages: badges, and verdicts in words."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from catloader.errors.stores import check_error_for_owners
from catloader.languages import gettext_noop
from catloader.store.db.checks.check_log import CheckRecord
from catloader.store.db.photos.gallery import Shown
from catloader.store.db.photos.photo_rows import Photo
from catloader.web import formats
from catloader.web.check_errors import shown_check_error
from catloader.web.http.browsers import shown_browser
from catloader.web.http.context import services
from catloader.web.languages import gettext
from catloader.web.photos.nouns import Noun, capitalised, noun
from catloader.wiring import Services
from checker.decision.subject import SUBJECTS, load_subject
from checker.errors import ModelRefused
from checker.values import Reason

_IN_QUEUE = ("pending", "checking")
_WILD_FELINE = "wild feline"
# ImageNet's labels of wild felines. Other labels are not translated.
_WILD = {
    _WILD_FELINE: gettext_noop("a wild feline"),
    "cougar": gettext_noop("a cougar"),
    "lynx": gettext_noop("a lynx"),
    "leopard": gettext_noop("a leopard"),
    "snow leopard": gettext_noop("a snow leopard"),
    "jaguar": gettext_noop("a jaguar"),
    "lion": gettext_noop("a lion"),
    "tiger": gettext_noop("a tiger"),
    "cheetah": gettext_noop("a cheetah"),
}

_KINDS = {
    "dog": gettext_noop("dog"),
    "other animal": gettext_noop("other animal"),
    "wild feline": gettext_noop("wild feline"),
    "thing or scene": gettext_noop("thing or scene"),
    "soft picture": gettext_noop("soft photo"),
}
"""Kinds of photos in the shipped profiles. Other kinds are not translated."""


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    tone: str
    """CSS class: ``waiting``, ``checking``, ``yes``, ``no``, ``unsure`` or ``problem``."""
    final: bool
    """True once no checker will change the status."""


def badge(photo: Photo) -> Badge:
    """Return the badge of a photo. A "?", as in "Cat?", means that the thresholds were not measured."""
    text, tone = _texts()[photo.status]
    if tone in ("yes", "no") and not photo.calibrated and photo.human_verdict is None:
        text += "?"
    return Badge(text, tone, photo.status not in _IN_QUEUE)


def _texts() -> dict[str, tuple[str, str]]:
    """Return the texts of badges: status -> name on a page, and CSS class."""
    subject = _noun()
    return {
        "pending": (gettext("Waiting"), "waiting"),
        "checking": (gettext("Being checked"), "checking"),
        "cat": (subject.title, "yes"),
        "not_cat": (subject.no_title, "no"),
        "unsure": (gettext("Not sure"), "unsure"),
        "unreadable": (gettext("Unreadable"), "problem"),
        "failed": (gettext("Check failed"), "problem"),
    }


def shown_status(status: str) -> str:
    """Return the name of a status or verdict, without reference to a photo."""
    return _texts()[status][0]


def shown_flip(flip: str) -> str:
    """Format a flip such as ``cat -> unsure`` for a page."""
    return " → ".join(shown_status(status) for status in flip.split(" -> "))


def shown_label(shown: Shown) -> str:
    """Return the name of a filter of My photos."""
    subject = _noun()
    texts = {
        Shown.ALL: gettext("All"),
        Shown.CAT: capitalised(subject.many),
        Shown.UNSURE: gettext("Not sure"),
        Shown.NOT_CAT: subject.no_title,
        Shown.WAITING: gettext("Waiting"),
        Shown.FAILED: gettext("Check failed"),
        Shown.APPEALED: gettext("In review"),
    }
    return texts[shown]


def sentence(photo: Photo, record: CheckRecord | None) -> str:
    """Return the photo's status as a sentence."""
    subject = _noun()
    if photo.human_verdict:
        shown = subject.a if photo.human_verdict == "cat" else subject.no
        return gettext("A reviewer decided: this photo shows %(a_thing)s.", a_thing=shown)
    match photo.status:
        case "cat":
            return gettext("This photo shows %(a_thing)s.", a_thing=subject.a)
        case "not_cat" if photo.wild_feline:
            return gettext(
                "%(No_thing)s, but it looks like %(other)s.",
                No_thing=subject.no_title,
                other=_with_article(_likeliest_wild_class(record)),
            )
        case "not_cat":
            return gettext("This photo shows %(a_thing)s.", a_thing=subject.no)
        case "unsure" if record is not None and record.reason:
            return _unsure_because(record, subject)
        case "unsure":
            return gettext("The checker can't tell whether this photo shows %(a_thing)s.", a_thing=subject.a)
        case "unreadable":
            return gettext("The checker could not open the stored file, though your browser can.")
        case "failed":
            return _failed(photo.attempts)
        case "checking":
            return gettext("This photo is being checked.")
    if photo.attempts and record is not None:
        return gettext("The last check failed. The checker will try again.")
    return gettext("Waiting for the checker. You can leave this page.")


def _unsure_because(record: CheckRecord, subject: Noun) -> str:
    match record.reason:
        case Reason.WILD_FELINE:
            return gettext(
                "This looks like %(a_thing)s, but even more like %(other)s.",
                a_thing=subject.a,
                other=_with_article(_likeliest_wild_class(record)),
            )
        case Reason.LOW_DETAIL:
            return gettext(
                "This may show %(a_thing)s, but the photo is too blurred, small or dark to be sure.",
                a_thing=subject.a,
            )
        case Reason.DRAWN:
            return gettext(
                "This may show %(a_thing)s, but it looks like a drawing, which the model can't judge.",
                a_thing=subject.a,
            )
    return gettext(
        "This may show %(a_thing)s, but the model recognises none anywhere in the photo.", a_thing=subject.a
    )


def _likeliest_wild_class(record: CheckRecord | None) -> str:
    """Return the name of the wild class that has the highest confidence among the labels.

    The photo is judged as a whole, so the first label may be the subject, or a thing in the middle.
    """
    subject = record.subject if record and record.subject in SUBJECTS else services().settings.subject
    try:
        wild = load_subject(subject).wild
    except ModelRefused:  # its file is gone
        wild = ()
    known = (record.labels or {}).values() if record else ()
    labels = [label for labels in known for label in labels if label[0] in wild]
    return max(labels, key=lambda label: label[2])[1] if labels else _WILD_FELINE


def _with_article(label: str) -> str:
    if label in _WILD:
        return gettext(_WILD[label])
    starts_with_vowel = label[:1].lower() in "aeiou"
    return gettext("an %(noun)s", noun=label) if starts_with_vowel else gettext("a %(noun)s", noun=label)


def _failed(attempts: int) -> str:
    match attempts:
        case 1:
            return gettext("The check failed once. Your photo is safe.")
        case 2:
            return gettext("The check failed twice. Your photo is safe.")
    return gettext("The check failed %(number)d times. Your photo is safe.", number=attempts)


def next_step(photo: Photo) -> str:
    """Return a sentence that says what the owner can do about the status; "" if there is nothing to do."""
    if photo.human_verdict:
        return ""
    match photo.status:
        case "unsure":
            return gettext("You can ask a reviewer below to decide.")
        case "failed":
            return gettext("Check it again, or ask a reviewer below.")
        case "unreadable":
            return gettext("Check it again, upload the original again, or ask a reviewer below.")
    return ""


def reason(photo: Photo) -> str | None:
    """Return why the last attempt gave no verdict; None if ``sentence`` says enough."""
    if photo.check_error is None or photo.status not in ("pending", "unreadable"):
        return None
    return shown_check_error(check_error_for_owners(photo.check_error))


def shown_role(role: str) -> str:
    """Return the name of a role."""
    texts = {"admin": gettext("administrator"), "reviewer": gettext("reviewer")}
    return texts.get(role) or gettext("user")


def shown_kind(kind: str) -> str:
    """Return the name of a kind of photos in the language of the page."""
    return gettext(_KINDS[kind]) if kind in _KINDS else kind


def init_app(app: Flask) -> None:
    app_services: Services = app.extensions["catloader"]
    settings = app_services.settings
    app.add_template_filter(badge)
    app.add_template_filter(next_step)
    app.add_template_filter(shown_flip)
    app.add_template_filter(shown_label)
    app.add_template_filter(shown_status)
    app.add_template_filter(shown_kind)
    app.add_template_filter(shown_role)
    app.add_template_filter(shown_browser)
    formats.init_app(app)
    app.add_template_filter(shown_check_error)
    app.context_processor(
        lambda: {
            "noun": noun(settings),
            "max_file_bytes": settings.max_file_bytes,
            "max_files": settings.max_files,
            "registration": settings.registration,
            "provider_name": settings.oidc_name if settings.oidc_issuer else "",
            "sends_mail": bool(settings.smtp_host),
        }
    )


def _noun() -> Noun:
    return noun(services().settings)
