"""Formats are recognised by the first bytes."""

from __future__ import annotations

import pytest

from checker.pixels.formats.sniff import sniff


@pytest.mark.parametrize("brand", [b"jxl ", b"isom", b"qt  ", b"crx "])
def test_videos_in_the_same_container_are_not_accepted(brand: bytes) -> None:
    assert sniff(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"mp42") is None


@pytest.mark.parametrize(("compatible", "format"), [(b"avif", "AVIF"), (b"heic", "HEIC")])
def test_compatible_brand_decides_under_a_neutral_major_brand(compatible: bytes, format: str) -> None:
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0miaf" + compatible + b"avif") == format
