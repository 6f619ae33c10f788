"""Disable the parts of colour profiles whose processing time is unbounded."""

from __future__ import annotations

import struct

MAX_BYTES = 4 * 2**20
"""The largest profiles in use, CMYK tables of printing presses, have 0.5 to 3 MB."""
_MAX_TAGS = 100  # the limit of littleCMS
_HEADER_BYTES, _ENTRY_BYTES = 132, 12
# Chains of processing elements (type `mpet`). All entries of a chain may refer to the same element, so 1.5 kB
# in a PNG can contain 100 000 matrices, which littleCMS multiplies for minutes. The other forms (matrix and
# curves, tables) have a fixed number of steps.
_CHAINS = frozenset(kind + number for kind in (b"D2B", b"B2D") for number in (b"0", b"1", b"2", b"3"))


def bounded(profile: bytes) -> bytes | None:
    """Return the profile with its chains renamed, so that its tables or its matrix are used instead.

    Return None if the profile is too large or broken: the photo is then treated as sRGB.
    """
    if not _HEADER_BYTES <= len(profile) <= MAX_BYTES:
        return None
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES - 4)
    if count > _MAX_TAGS:
        return None
    places = range(_HEADER_BYTES, _HEADER_BYTES + count * _ENTRY_BYTES, _ENTRY_BYTES)
    chains = [place for place in places if profile[place : place + 4] in _CHAINS]
    if not chains:
        return profile
    renamed = bytearray(profile)
    for place in chains:
        renamed[place : place + 4] = renamed[place : place + 4].lower()  # a tag that no program looks for
    return bytes(renamed)
