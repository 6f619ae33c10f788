"""Uploads that are refused: class of the error, its sentence, and the time that it takes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest

from catloader import errors
from catloader.intake.prepare import Limits, prepare
from checker.pixels.formats.bombs import takes_too_long
from tests.support.bombs import FORMATS, SLOW, chunk, encoded, png

LIMITS = Limits(max_bytes=25 * 2**20, max_pixels=10**8, max_edge_px=2560, thumbnail_px=320, jpeg_quality=88)


def refusal(data: bytes, limits: Limits = LIMITS) -> errors.BadImage:
    with pytest.raises(errors.BadImage) as caught:
        prepare(data, limits=limits)
    sentence = str(caught.value)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\0" * 4096,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"RIFF\4\0\0\0WAVE",
        b"\xff\xd8",
    ],
)
def test_file_of_another_kind_is_refused(data: bytes) -> None:
    error = refusal(data)
    assert type(error) is errors.NotAnImage
    assert "JPEG" in str(error)


def test_empty_file_is_refused() -> None:
    assert type(refusal(b"")) is errors.EmptyFile


def test_file_above_the_byte_limit_is_refused() -> None:
    data = encoded("JPEG")
    limits = Limits(len(data), 10**8, 2560, 320, 88)
    prepare(data, limits=limits)
    assert type(refusal(data + b"\0", limits)) is errors.TooManyBytes


@pytest.mark.parametrize("format", FORMATS)
def test_photo_above_the_pixel_limit_is_refused(format: str) -> None:
    data = encoded(format)
    prepare(data, limits=Limits(2**20, 320 * 240, 2560, 320, 88))
    error = refusal(data, Limits(2**20, 320 * 240 - 1, 2560, 320, 88))
    assert type(error) is errors.TooManyPixels
    assert str(error) == "This photo has 0.0768 megapixels; the limit is 0.0767."


def test_pixels_are_counted_before_decoding() -> None:
    """A few bytes declare 30 000 x 30 000 pixels (2.7 GB). The broken pixel data is never read."""
    error = refusal(png(30_000, 30_000, chunk(b"IDAT", b"broken")))
    assert type(error) is errors.TooManyPixels
    assert str(error) == "This photo has 900 megapixels; the limit is 100."


def test_gif_frame_larger_than_its_screen_is_refused() -> None:
    data = bytearray(encoded("GIF", (8, 8)))
    frame = data.index(b",\0\0\0\0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    assert type(refusal(bytes(data))) is errors.TooManyPixels


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("format", FORMATS)
def test_truncated_file_is_refused(format: str, share: float) -> None:
    data = encoded(format)
    prepare(data, limits=LIMITS)
    error = refusal(data[: int(len(data) * share)])
    assert type(error) is errors.BrokenImage
    assert format in str(error)


def test_png_with_missing_or_broken_pixels_is_refused() -> None:
    data = encoded("PNG")
    assert type(refusal(data[:-17])) is errors.BrokenImage
    assert type(refusal(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])) is errors.BrokenImage


def test_png_with_a_text_bomb_is_refused() -> None:
    """The text decompresses to 60 MB in two chunks; the limit is 16 MB."""
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(30 * 2**20)))
    refused = refusal(png(1, 1, text, text, chunk(b"IDAT", zlib.compress(bytes(4)))))
    assert type(refused) is errors.TooManyBytes
    assert "The texts or the colour profile inside this PNG are too large." in str(refused)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("build", SLOW, ids=lambda build: build.__name__)
def test_file_that_takes_too_long_to_decode_is_refused_soon(build: Callable[[], bytes]) -> None:
    error = refusal(build())
    assert type(error) is errors.BrokenImage
    assert "too long" in str(error)


def test_exif_of_two_megabytes_is_accepted() -> None:
    data = encoded("JPEG")
    part = b"Exif\0\0" + bytes(65_000)
    segment = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    prepared = prepare(data[:2] + segment * 32 + data[2:], limits=LIMITS)
    assert (prepared.width_px, prepared.height_px) == (320, 240)


def test_bigtiff_with_an_offset_far_beyond_its_end_is_refused() -> None:
    for offset in (2**40, 2**63, 2**64 - 1):
        data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset)
        assert not takes_too_long(data)
        assert type(refusal(data)) is errors.BrokenImage
