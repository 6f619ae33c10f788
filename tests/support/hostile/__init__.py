"""Hostile files, made by code: bombs, damaged files, odd but valid ones, dangerous metadata and names.

No file comes from elsewhere. The expected result of each file follows from the formats' definitions and the
upload policy (docs/security.md), not from the behaviour of the code.
"""

from __future__ import annotations

import functools
from itertools import chain

from tests.support.hostile import (
    appearance,
    core_variants,
    damage,
    extended_variants,
    metadata,
    not_photos,
    oversized,
)
from tests.support.hostile.file import HostileCorpus, HostileFile
from tests.support.hostile.listed import listed_corpus
from tests.support.hostile.names import NAMES
from tests.support.photo_sets import BESIDE

__all__ = ["HostileCorpus", "HostileFile", "corpus", "generated_corpus", "origins"]

_LISTED = BESIDE / "hostile"
_GENERATED = "generated"


def origins() -> list[str]:
    """Return the available corpora: the generated one, and the one next to the checkout."""
    return [_GENERATED, *[_LISTED.name] * (_LISTED / "manifest.csv").is_file()]


def corpus(origin: str) -> HostileCorpus:
    return generated_corpus() if origin == _GENERATED else listed_corpus(_LISTED)


@functools.cache
def generated_corpus() -> HostileCorpus:
    """Return every generated file; takes about two seconds, once per process."""
    files = chain(
        core_variants.jpeg_variants(),
        core_variants.png_variants(),
        core_variants.gif_variants(),
        core_variants.webp_variants(),
        extended_variants.tiff_variants(),
        extended_variants.bmp_variants(),
        extended_variants.heic_variants(),
        extended_variants.avif_variants(),
        extended_variants.animations(),
        metadata.private(),
        metadata.injections(),
        metadata.broken(),
        appearance.orientations(),
        appearance.profiles(),
        metadata.polyglots(),
        oversized.odd_dimensions(),
        oversized.heavy_but_valid(),
        oversized.bombs(),
        oversized.bad_dimensions(),
        damage.truncated(),
        damage.corrupt(),
        damage.mangled(),
        not_photos.magic_only(),
        not_photos.no_photos(),
        not_photos.other_formats(),
        not_photos.active_content(),
    )
    return HostileCorpus(_GENERATED, tuple(files), NAMES)
