"""Which decoder a file asks for, read from its first bytes. Names and claimed types are never looked at."""

from __future__ import annotations

import re

_SIGNATURES = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),  # MPO too: its first picture is a plain JPEG
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("WebP", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL)),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM")),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def sniff(data: bytes) -> str | None:
    """The format's name as people write it, or None for anything we do not take."""
    for name, signature in _SIGNATURES:
        if signature.match(data):
            return name
    return _isobmff(data)


def _isobmff(data: bytes) -> str | None:
    """HEIC and AVIF share a container; under a neutral major brand the compatible ones decide."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 1024)
    major, compatible = data[8:12], {data[at : at + 4] for at in range(16, end, 4)}
    if major in _AVIF_BRANDS:
        return "AVIF"
    if major in _HEIC_BRANDS:
        return "HEIC"
    if major in {b"mif1", b"msf1"}:
        return "AVIF" if compatible & _AVIF_BRANDS else "HEIC"
    return None
