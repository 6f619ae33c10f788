"""Colour profiles that take long to apply, or are very large, are ignored; the photo is shown."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image, ImageCms

from checker.pixels.colour.profile_bounds import MAX_BYTES, bounded
from checker.pixels.colour.srgb import to_srgb
from tests.support.bombs import chain_profile

COLOUR = (200, 30, 60)


def shown(profile: bytes, format: str = "PNG") -> tuple[int, ...]:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), COLOUR).save(out, format, icc_profile=profile, lossless=True)
    with Image.open(out) as image:
        image.load()
        assert image.info["icc_profile"] == profile
        colour = to_srgb(image).getpixel((8, 8))
    assert isinstance(colour, tuple)
    return tuple(int(value) for value in colour)


def with_tag(profile: bytes, name: bytes, data: bytes) -> bytes:
    """Add a tag to a profile, which moves its other tags."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = [list(struct.unpack_from(">4sII", profile, 132 + 12 * n)) for n in range(count)]
    table = b"".join(struct.pack(">4sII", tag, offset + 12, size) for tag, offset, size in entries)
    body = profile[132 + 12 * count :]
    end = 132 + 12 * (count + 1) + len(body)
    table += struct.pack(">4sII", name, end, len(data))
    head = struct.pack(">I", end + len(data)) + profile[4:128] + struct.pack(">I", count + 1)
    return head + table + body + data


def linear() -> bytes:
    """A matrix profile with sRGB's colours and a linear curve."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (count,) = struct.unpack_from(">I", profile, 128)
    straight = struct.pack(">4s4xI", b"curv", 0)
    for n in range(count):
        tag, _, _ = struct.unpack_from(">4sII", profile, 132 + 12 * n)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            place = 132 + 12 * n
            profile = profile[:place] + struct.pack(">4sII", tag, len(profile), 12) + profile[place + 12 :]
    profile += straight
    return struct.pack(">I", len(profile)) + profile[4:]


@pytest.mark.parametrize("format", ["PNG", "WebP"])
def test_photo_with_a_chain_of_matrices_is_shown_at_once(format: str) -> None:
    started_s = time.process_time()
    assert shown(chain_profile(100_000), format) == COLOUR
    assert time.process_time() - started_s < 1


@pytest.mark.slow
def test_the_profile_of_a_few_bytes_takes_long_without_the_bound() -> None:
    """Verifies that the test above uses a slow profile."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(chain_profile(2_000)))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    started_s = time.process_time()
    ImageCms.profileToProfile(Image.new("RGB", (16, 16), COLOUR), profile, srgb)
    assert time.process_time() - started_s > 0.2


def test_matrix_of_a_profile_with_a_chain_is_used() -> None:
    light = shown(linear())
    assert light[0] > 220
    chain = chain_profile(100_000)[144:]
    profile = with_tag(linear(), b"D2B0", chain)
    assert shown(profile) == light
    assert bounded(profile) != profile
    assert bounded(linear()) == linear()


def test_very_large_profile_is_ignored() -> None:
    padded = linear() + bytes(MAX_BYTES - len(linear()))
    assert np.array_equal(shown(padded), shown(linear()))
    assert shown(padded + b"\0") == COLOUR


@pytest.mark.parametrize("profile", [b"", b"x", bytes(131), bytes(128) + b"\xff\xff\xff\xff"])
def test_broken_profile_is_ignored(profile: bytes) -> None:
    assert bounded(profile) is None
