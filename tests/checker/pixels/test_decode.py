"""Bytes become the model's input: upright, opaque, and with the same pixels as torchvision's."""

from __future__ import annotations

import functools
import io
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
import skimage.data
from PIL import Image, ImageDraw, ImageOps

from checker.errors import UnreadableImage
from checker.pixels import simd_jpeg
from checker.pixels.decode import decode
from checker.pixels.formats.opening import MAX_PIXELS
from models.catalogue import Preprocessing, entry_named
from tests.support.hostile import HostileCorpus

MODELS = ["resnet50", "resnet50_v2", "efficientnet_lite0", "efficientnet_lite2"]
LITE0 = entry_named("efficientnet_lite0").preprocessing
RESNET = entry_named("resnet50").preprocessing
SMALL = [(500, 375), (375, 500), (333, 333), (640, 427), (230, 400), (60, 90)]
LARGE = [(4000, 3000), (3000, 4000), (2560, 1920), (1450, 1410), (6000, 4500)]
PHOTOS = ["coffee", "rocket", "astronaut"]
Signed = npt.NDArray[np.int16]


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def drawing(width: int, height: int) -> Image.Image:
    """Draw hard edges everywhere, which make any rounding error visible."""
    rng = np.random.default_rng(5)
    lines = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(lines)
    for _ in range(300):
        ends = [int(x) for x in rng.integers(0, [width, height, width, height])]
        colour = tuple(int(x) for x in rng.integers(0, 256, 3))
        pen.line(ends, fill=colour, width=int(rng.integers(1, 5)))
    return lines


def tiled(names: Sequence[str], width: int, height: int) -> Image.Image:
    """Make a large photo, sharp to the pixel, from small ones."""
    tiles = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in names]
    step_x, step_y = min(tile.width for tile in tiles), min(tile.height for tile in tiles)
    photo = Image.new("RGB", (width, height))
    for column, left in enumerate(range(0, width, step_x)):
        for row, top in enumerate(range(0, height, step_y)):
            photo.paste(tiles[(column + row) % len(tiles)], (left, top))
    return photo


@functools.lru_cache(maxsize=1)  # for several models, one after the other
def in_full(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def reference(data: bytes, preprocessing: Preprocessing) -> Signed:
    """Decode completely and rotate, then resize and crop with torchvision."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as tv

    photo = in_full(data)
    mode = InterpolationMode(preprocessing.interpolation)
    resized = tv.resize(photo, [preprocessing.resize_px], mode)
    return np.asarray(tv.center_crop(resized, [preprocessing.input_px])).astype(np.int16)


@functools.cache
def large_jpeg(width: int, height: int) -> bytes:
    """Encode a large photo with parts of all ``PHOTOS`` once for all tests, which take less time."""
    return encoded(tiled(PHOTOS, width, height), quality=92)


@functools.cache
def large_reference(width: int, height: int, preprocessing: Preprocessing) -> Signed:
    return reference(large_jpeg(width, height), preprocessing)


def difference(data: bytes, preprocessing: Preprocessing) -> Signed:
    gap: Signed = np.abs(decode(data, preprocessing).astype(np.int16) - reference(data, preprocessing))
    return gap


@pytest.fixture
def pillow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simd_jpeg, "IS_INSTALLED", False)


@pytest.fixture(params=["simd_jpeg", "Pillow alone"])
def with_and_without_simd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "simd_jpeg" and not simd_jpeg.IS_INSTALLED:
        pytest.skip("simplejpeg or cykooz-resizer is not installed")
    monkeypatch.setattr(simd_jpeg, "IS_INSTALLED", request.param == "simd_jpeg")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", SMALL)
@pytest.mark.usefixtures("pillow_alone")
def test_small_photos_give_torchvisions_pixels_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    assert difference(encoded(drawing(*size), quality=92), entry_named(name).preprocessing).max() == 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("photo", [*PHOTOS, "drawing"])
@pytest.mark.skipif(not simd_jpeg.IS_INSTALLED, reason="simplejpeg or cykooz-resizer is not installed")
def test_vector_instructions_give_nearly_the_same_pixels(
    name: str, size: tuple[int, int], photo: str
) -> None:
    image = drawing(*size) if photo == "drawing" else tiled([photo], *size)
    gap = difference(encoded(image, quality=92), entry_named(name).preprocessing)
    assert gap.max() <= 2
    assert (gap > 0).mean() < 0.02


@pytest.mark.skipif(not simd_jpeg.IS_INSTALLED, reason="simplejpeg or cykooz-resizer is not installed")
def test_vector_instructions_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("checker.pixels.decode.to_rgb", None)  # Pillow's code would need it
    assert decode(encoded(drawing(500, 375)), LITE0).shape == (224, 224, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(500, 375), (375, 500)])
@pytest.mark.usefixtures("pillow_alone")
def test_every_orientation_gives_the_upright_photos_pixels(orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(drawing(*size), quality=92, exif=exif)
    assert difference(data, LITE0).max() == 0
    assert difference(data, RESNET).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.usefixtures("with_and_without_simd")
def test_every_orientation_of_a_drafted_photo_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    segment = exif.tobytes()
    # An odd size: the last row and column of the reduced decode cover less than a full one.
    data = large_jpeg(3001, 2251)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + data[2:]
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == orientation
    assert difference(data, RESNET).max() <= 8


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_lite0", "efficientnet_lite2"])
@pytest.mark.parametrize("size", LARGE)
@pytest.mark.usefixtures("with_and_without_simd")
def test_large_photos_differ_by_at_most_8_of_255_from_a_full_decode(name: str, size: tuple[int, int]) -> None:
    preprocessing = entry_named(name).preprocessing
    pixels = decode(large_jpeg(*size), preprocessing).astype(np.int16)
    gap = np.abs(pixels - large_reference(*size, preprocessing))
    assert gap.max() <= 8
    assert gap.mean() < 0.6


@pytest.mark.usefixtures("with_and_without_simd")
def test_a_large_photo_is_not_decoded_in_full() -> None:
    gap = difference(large_jpeg(4000, 3000), RESNET)
    assert gap.max() > 0


def test_result_has_the_shape_and_type_of_model_inputs() -> None:
    pixels = decode(encoded(drawing(300, 200)), LITE0)
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.dtype(np.uint8))
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable  # torch warns about others


def flat(colour: str, mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (64, 48), colour).convert(mode)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *[("PNG", mode) for mode in ("RGB", "RGBA", "P", "L", "LA", "1")],
        *[("TIFF", mode) for mode in ("RGB", "CMYK", "LAB", "YCbCr", "L", "RGBA")],
        *[("JPEG", mode) for mode in ("RGB", "L", "CMYK", "YCbCr")],
        *[("WEBP", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("AVIF", "RGB")],
    ],
)
def test_every_mode_becomes_the_colour_a_person_sees(form: str, mode: str) -> None:
    source = flat("white", mode) if mode != "LAB" else ImageOps.colorize(flat("white", "L"), "black", "white")
    pixels = decode(encoded(source, form), LITE0)
    assert np.abs(pixels.astype(int) - 255).max() <= 3


def test_cmyk_keeps_its_colours() -> None:
    pixels = decode(encoded(flat("red", "CMYK"), "JPEG", quality=95), LITE0)
    assert pixels[112, 112, 0] > 200
    assert pixels[112, 112, 1:].max() < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode: str) -> None:
    clear = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    options: dict[str, Any] = {"transparency": 0} if mode == "P" else {}
    source = Image.new("P", (64, 48), 0) if mode == "P" else clear.convert(mode)
    assert decode(encoded(source, "PNG", **options), LITE0).min() == 255


@pytest.mark.parametrize("level", [0, 1000, 32768, 65535])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(form: str, level: int) -> None:
    values = np.full((480, 640), level, dtype=np.uint16)
    values[0, 0] = 65535  # or a TIFF would be stretched; outside the crop
    pixels = decode(encoded(Image.fromarray(values), form), LITE0)
    assert np.abs(pixels.astype(int) - level / 257).max() <= 1


def test_12_bits_in_16_of_a_tiff_are_stretched() -> None:
    source = Image.fromarray(np.full((48, 64), 2048, dtype=np.uint16))
    source.putpixel((0, 0), 4095)
    assert abs(int(decode(encoded(source, "TIFF"), LITE0)[112, 112, 0]) - 128) <= 1


def test_floats_are_scaled() -> None:
    source = Image.fromarray(np.full((48, 64), 0.5, dtype=np.float32))
    assert abs(int(decode(encoded(source, "TIFF"), LITE0)[0, 0, 0]) - 127) <= 1


def test_heic_is_decoded() -> None:
    photo = tiled(["coffee"], 640, 480)
    heic = io.BytesIO()
    pillow_heif.from_pillow(photo).save(heic, quality=90)
    expected = reference(encoded(photo, "PNG"), LITE0)
    assert np.abs(decode(heic.getvalue(), LITE0).astype(int) - expected).mean() < 3


def test_the_first_frame_of_an_animation_is_decoded() -> None:
    frames = [flat("red"), flat("blue")]
    for form in ("GIF", "WEBP", "PNG"):
        pixels = decode(encoded(frames[0], form, save_all=True, append_images=frames[1:]), LITE0)
        assert pixels[100, 100, 0] > 240
        assert pixels[100, 100, 2] < 15


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_file_is_unreadable(form: str, kept: float) -> None:
    data = encoded(tiled(["coffee"], 640, 480), form)
    with pytest.raises(UnreadableImage):
        decode(data[: int(len(data) * kept)], LITE0)


def test_a_truncated_drafted_jpeg_is_unreadable() -> None:
    data = large_jpeg(4000, 3000)
    with pytest.raises(UnreadableImage):
        decode(data[: len(data) * 9 // 10], LITE0)


@pytest.mark.parametrize("data", [b"", b"x", b"<html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7"])
def test_other_files_are_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match=r"[^.]\.$"):
        decode(data, LITE0)


def test_reason_is_reported_in_one_sentence_without_names_of_code() -> None:
    palette_without_colours = encoded(drawing(30, 20).convert("P"), "PNG")
    start = palette_without_colours.index(b"PLTE") - 4
    end = palette_without_colours.index(b"IDAT") - 4
    heic = io.BytesIO()
    pillow_heif.from_pillow(drawing(300, 200)).save(heic)
    for data in (
        palette_without_colours[:start] + palette_without_colours[end:],
        heic.getvalue()[: len(heic.getvalue()) // 2],
    ):
        with pytest.raises(UnreadableImage) as raised:
            decode(data, LITE0)
        assert re.fullmatch(r"The photo can't be decoded: [^\n]*[^.\n]\.", str(raised.value))
        assert "Error" not in str(raised.value)


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    for side in (30_000, 9_460):  # far beyond, and just beyond the limit at which Pillow itself only warns
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
        assert side * side > MAX_PIXELS
        with warnings.catch_warnings(), pytest.raises(UnreadableImage):
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # as outside of tests
            decode(bomb, LITE0)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_far_too_many_pixels_are_refused_in_megapixels_too(format: str) -> None:
    size_at, code = {"GIF": (6, "<HH"), "BMP": (18, "<ii"), "TIFF": (0, "")}[format]
    data = bytearray(encoded(drawing(30, 20), format))
    if format == "TIFF":
        for tag in (256, 257):  # width and height
            place = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
            struct.pack_into("<I", data, place, 20_000)
    else:
        struct.pack_into(code, data, size_at, 20_000, 20_000)
    with pytest.raises(UnreadableImage, match=r"^This photo has 400 megapixels; the limit is 89\.4\.$"):
        decode(bytes(data), LITE0)


def test_broken_exif_is_ignored() -> None:
    data = encoded(drawing(300, 200), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert decode(data, LITE0).shape == (224, 224, 3)


@pytest.mark.slow
def test_hostile_files_raise_only_unreadable_image(hostile_corpus: HostileCorpus) -> None:
    for file in hostile_corpus.files:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from Pillow, about odd metadata
            try:
                pixels = decode(file.data, LITE0)
            except UnreadableImage:
                continue
        assert pixels.shape == (224, 224, 3), file.name
