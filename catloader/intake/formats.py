"""Accepted formats, recognised by a file's first bytes. File names and declared types are never used."""

from __future__ import annotations

import re

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),  # MPO too: its first image is a plain JPEG
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM")),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def sniff(data: bytes) -> str | None:
    """Return the format's name as people write it; None for anything that is not accepted."""
    for name, signature in _SIGNATURES:
        if signature.match(data):
            return name
    return _heic_or_avif(data)


def _heic_or_avif(data: bytes) -> str | None:
    """Read the container that both share; with a neutral major brand, the compatible brands decide."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 1024)
    major, compatible = data[8:12], {data[start : start + 4] for start in range(16, end, 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIC_BRANDS:
        return "HEIC"
    if major in {b"mif1", b"msf1"}:
        return "AVIF" if compatible & _AVIF_BRANDS else "HEIC"
    return None
