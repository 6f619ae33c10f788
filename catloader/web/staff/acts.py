"""The audit log, translated for pages. Its rows are in English, also for commands and exports."""

from __future__ import annotations

import re

from markupsafe import Markup

from catloader.languages import ENGLISH, gettext_noop
from catloader.store.db.staff.audit_log import BACKED_UP, COMMAND_LINE
from catloader.web.formats import shown_bytes, shown_number
from catloader.web.http.context import services
from catloader.web.languages import gettext, language, ngettext
from catloader.web.photos.nouns import noun

ACTS = {
    act: text
    for text, *acts in (
        (gettext_noop("made user"), "made user"),
        (gettext_noop("made reviewer"), "made reviewer"),
        (gettext_noop("made administrator"), "made admin"),
        (gettext_noop("set a new password"), "set a new password"),
        (gettext_noop("removed the second factor"), "removed the second factor"),
        (gettext_noop("invited somebody"), "invited somebody"),
        (gettext_noop("made a password link"), "made a password link"),
        (gettext_noop("made an API token"), "made an API token"),
        (gettext_noop("revoked an API token"), "revoked an API token"),
        (gettext_noop("disabled the account"), "disabled"),
        (gettext_noop("enabled the account"), "enabled"),
        (gettext_noop("let photos be checked again"), "re-queued", "re-queued finished photos"),
        (gettext_noop("let failed photos be checked again"), "re-queued failed photos"),
        (gettext_noop("let unreadable photos be checked again"), "re-queued unreadable photos"),
        (gettext_noop("paused checking"), "paused checking"),
        (gettext_noop("resumed checking"), "resumed checking"),
        (gettext_noop("took out of the album"), "took out of the album"),
        (gettext_noop("allowed in the album again"), "allowed in the album again"),
        (gettext_noop("undid a decision"), "undid a decision"),
        (gettext_noop("drew photos to audit"), "drew photos to audit"),
        (gettext_noop("measured thresholds"), "measured thresholds"),
        (gettext_noop("applied thresholds"), "applied thresholds"),
        (gettext_noop("returned to the previous thresholds"), "rolled back thresholds to"),
        (gettext_noop("promoted model"), "promoted model"),
        (gettext_noop("returned to the previous model"), "rolled back to model"),
        (gettext_noop("compared model"), "compared model"),
        (gettext_noop("made a backup"), BACKED_UP),
    )
    for act in acts
}
"""Recorded act -> text. Decisions and quotas are not included, because they contain values."""
_QUOTA = re.compile(
    r"set the quota to (.+ number of photos|[0-9]+ photos?), (.+ number of bytes|[0-9]+ bytes?)"
)


def shown_actor(actor: str) -> str:
    """Return an e-mail address unchanged, and "command line" in the language of the page."""
    return gettext("command line") if actor == COMMAND_LINE else actor


def shown_act(act: str) -> str:
    """Return an act in the language of the page. An unknown act is marked as English."""
    if text := ACTS.get(act):
        return gettext(text)
    if match := re.fullmatch("decided (cat|not_cat)", act):
        return gettext("decided: %(verdict)s", verdict=_verdict(match[1]))
    if match := _QUOTA.fullmatch(act):
        photos, size = map(_limit, match.groups())
        return gettext(
            "set the quota: photos: %(photos)s; storage: %(size)s",
            photos=photos if isinstance(photos, str) else shown_number(photos),
            size=size if isinstance(size, str) else shown_bytes(size),
        )
    return _english(act)


def shown_target(target: str) -> str:
    """Return the target of an act in the language of the page; e-mail addresses and names are unchanged."""
    if match := re.fullmatch(r"photos? ([0-9]+(?:, [0-9]+)*)", target):
        number = 1 + match[1].count(",")
        return ngettext("photo %(ids)s", "photos %(ids)s", number, ids=match[1])
    if match := re.fullmatch(r"([0-9]+) photos?", target):
        return ngettext("%(num)d photo", "%(num)d photos", int(match[1]))
    if match := re.fullmatch(r"([0-9]+) (cat|not_cat)", target):
        return f"{match[1]} × {_verdict(match[2])}"
    if match := re.fullmatch(r"measurement ([0-9]+)", target):
        return gettext("Measurement %(id)s", id=match[1])
    if target == "those measured in full":
        return gettext("Measured in full")
    if match := re.fullmatch(r"until (\S+ \S+ UTC)", target):
        return gettext("until %(time)s", time=match[1])
    return _english(target) if " " in target else target


def _limit(text: str) -> int | str:
    """Return the number in a recorded limit, or words for a limit without a number."""
    if match := re.match("[0-9]+", text):
        return int(match[0])
    return gettext("no limit") if text.startswith("any ") else gettext("the site's setting")


def _verdict(verdict: str) -> str:
    name = noun(services().settings)
    return name.one if verdict == "cat" else name.no_label


def _english(text: str) -> str:
    return text if language() == ENGLISH else Markup('<span lang="en">{}</span>').format(text)
