"""The everyday word for the subject, in the forms that sentences need: "cat", "a cat", "no cat", "cats"."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path

from catloader.languages import gettext_noop
from catloader.settings import Settings
from catloader.web.languages import gettext


@dataclass(frozen=True, slots=True)
class Noun:
    """The forms of a noun. Sentences can't build them, because languages inflect words differently."""

    one: str
    """As in "cat"."""
    a: str
    """As in "This photo shows a cat."; in German the accusative."""
    no: str
    """As in "This photo shows no cat."; in German the accusative."""
    no_title: str
    """As in the badge "No cat"; in German the nominative."""
    many: str
    """As in "photos of cats"."""

    def __str__(self) -> str:
        return self.one

    @property
    def title(self) -> str:
        """The word with a capital letter, for badges."""
        return capitalised(self.one)

    @property
    def no_label(self) -> str:
        """The text of the badge within a sentence, as in "below 0.2: no cat"."""
        return self.no_title[:1].lower() + self.no_title[1:]


_NOUNS = {
    "house_cat": Noun(
        gettext_noop("cat"),
        gettext_noop("a cat"),
        gettext_noop("no cat"),
        gettext_noop("No cat"),
        gettext_noop("cats"),
    ),
    "feline": Noun(
        gettext_noop("feline"),
        gettext_noop("a feline"),
        gettext_noop("no feline"),
        gettext_noop("No feline"),
        gettext_noop("felines"),
    ),
    "dog": Noun(
        gettext_noop("dog"),
        gettext_noop("a dog"),
        gettext_noop("no dog"),
        gettext_noop("No dog"),
        gettext_noop("dogs"),
    ),
}


def noun(settings: Settings) -> Noun:
    """Return the everyday word for the subject; for a custom subject, the name of its file."""
    return noun_of(Path(settings.subject).stem)


def noun_of(subject: str) -> Noun:
    """Return the everyday word for a subject by its name in the check log."""
    if english := _NOUNS.get(subject):
        return Noun(*(gettext(form) for form in astuple(english)))
    word = subject.replace("_", " ")
    return Noun(
        word,
        gettext("a %(noun)s", noun=word),
        gettext("no %(noun)s", noun=word),
        gettext("No %(noun)s", noun=word),
        gettext("%(noun)ss", noun=word),
    )


def capitalised(text: str) -> str:
    """Capitalise the first letter and leave the others, because German nouns have capitals, too."""
    return text[:1].upper() + text[1:]
