"""Recognise accepted formats by a file's first bytes. File names and declared types are never used."""

from __future__ import annotations

import re

from checker.pixels.formats.heif_boxes import heif_format

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),  # MPO too: its first image is a plain JPEG
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM")),
)


def sniff(data: bytes) -> str | None:
    """Return the usual name of the format; None if it is not accepted."""
    for name, signature in _SIGNATURES:
        if signature.match(data):
            return name
    return heif_format(data)
