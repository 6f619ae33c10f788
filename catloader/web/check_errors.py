"""The errors of checks, translated for pages. The check log has them in English, also for operators."""

from __future__ import annotations

import re

from markupsafe import Markup

from catloader.intake.prepare import OF_DECODERS
from catloader.languages import ENGLISH, gettext_noop
from catloader.web.languages import gettext, language

SENTENCES = (
    *OF_DECODERS,
    gettext_noop("This is not a photo, or not in a format that can be decoded."),
    gettext_noop("The photo can't be decoded: %(reason)s."),
    gettext_noop("This photo has %(photo)s megapixels; the limit is %(most)s."),
    gettext_noop("Decoding this photo takes too long."),
    gettext_noop("Decoding this photo takes too much memory."),
    gettext_noop("This photo crashed the decoder (%(signal)s)."),
    gettext_noop("The process that decoded this photo was killed, twice."),
    gettext_noop("The decoder failed on this photo."),
    gettext_noop("The decoder failed on this photo (%(error)s)."),
    gettext_noop("This TIFF can be read only if the package tifffile is installed."),
    gettext_noop("There was not enough memory to decode the photo."),
    gettext_noop("No connection to a decoder: %(reason)s."),
    gettext_noop("No process could be started: too many run, or no memory is left."),
    gettext_noop("The process that decodes photos ended before it could receive one."),
    gettext_noop("The process that starts the decoders has ended."),
    gettext_noop("The process that starts the decoders can't be started: %(reason)s."),
    gettext_noop("This process is stopping."),
    gettext_noop("The photo is not in the store."),
    gettext_noop("The thumbnail is not in the store."),
    gettext_noop("The photo store gave a photo that is not the one that was stored."),
    gettext_noop("The photo store gave a thumbnail that is not the one that was stored."),
    gettext_noop("The checker failed on this photo (%(error)s)."),
    gettext_noop("The checker stopped in the middle of this photo once."),
    gettext_noop("The checker stopped in the middle of this photo %(number)s times."),
    gettext_noop("The model is not loaded yet."),
    gettext_noop("The model is closed."),
    gettext_noop("The model failed on %(number)s inputs: %(reason)s"),
    gettext_noop("The model's outputs on %(device)s are not finite."),
    gettext_noop("The object store at %(address)s did not answer: %(reason)s."),
    gettext_noop("The object store at %(address)s refused %(object)s (%(reason)s)."),
    gettext_noop("The object store at %(address)s refused %(object)s (%(reason)s), and gives others."),
    gettext_noop("The storage of this site failed."),
    gettext_noop("The database %(name)s does not answer: %(reason)s."),
)
"""The sentences that a check can end with. Their values (a decoder's reason, a signal) are not translated."""
_MOST_CHARS = 500
"""Longer texts are not translated: the time to match three values grows with the cube of the length."""


def shown_check_error(text: str) -> str:
    """Return the error of a check in the language of this request. An unknown error is marked as English."""
    if language() == ENGLISH:
        return text
    for sentence, pattern in _PATTERNS if len(text) <= _MOST_CHARS else ():
        if match := pattern.fullmatch(text):
            return gettext(sentence, **match.groupdict())
    return Markup('<span lang="en">{}</span>').format(text)


def _pattern(sentence: str) -> re.Pattern[str]:
    """Compile a pattern that matches the sentence, with a group for each value."""
    names = iter(re.findall(r"%\((\w+)\)s", sentence))
    fixed = map(re.escape, re.split(r"%\(\w+\)s", sentence))
    first = next(fixed)
    return re.compile(first + "".join(f"(?P<{next(names)}>.+?){part}" for part in fixed), re.DOTALL)


_PATTERNS = [(sentence, _pattern(sentence)) for sentence in SENTENCES]
