"""Valid TIFF, BMP, HEIC and AVIF files of unusual kinds, and animations: all of them are photos."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.hostile.drawing import (
    BLACK_WHITE,
    COLOURS,
    GREYS,
    SIZE_PX,
    bilevel,
    encoded,
    grey,
    levels,
    photo,
    translucent,
)
from tests.support.hostile.extended_containers import Tags, bmp_file, tiff_file
from tests.support.hostile.file import HostileFile, accepted_as

_WIDTH, _HEIGHT = SIZE_PX


def tiff_tags(
    *, samples: int = 3, bits: int = 8, at: int = 8, **changes: tuple[int, tuple[int, ...]]
) -> Tags:
    """Return the tags of an uncompressed photo.

    Args:
        at: the offset of the pixels.
        changes: tags to change or add; ``t259`` is tag 259.
    """
    size = _WIDTH * _HEIGHT * samples * bits // 8
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (3, (_WIDTH,)),
        257: (3, (_HEIGHT,)),
        258: (3, (bits,) * samples),
        259: (3, (1,)),
        262: (3, (2 if samples == 3 else 1,)),
        273: (4, (at,)),
        277: (3, (samples,)),
        278: (3, (_HEIGHT,)),
        279: (4, (size,)),
    }
    return tags | {int(name[1:]): value for name, value in changes.items()}


def tiff_variants() -> Iterator[HostileFile]:
    file = accepted_as("tiff-variant", ".tif")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield file(compression.removeprefix("tiff_"), encoded(photo(), "TIFF", compression=compression))
    for compression in ("group3", "group4"):
        yield file(compression, encoded(bilevel(), "TIFF", compression=compression), colours=BLACK_WHITE)
    for mode in ("CMYK", "LAB", "P"):
        image = Image.fromarray(levels(COLOURS)).quantize(8) if mode == "P" else None
        yield file(mode.lower(), encoded(image or _converted(mode), "TIFF"))
    wide = np.rint(levels(GREYS)[..., 0].astype(float) * 257).astype(np.uint16)
    wide[0, 0] = 65535
    yield file("grey-16-bits", encoded(Image.fromarray(wide), "TIFF"), colours=GREYS)
    unit = levels(GREYS)[..., 0].astype(np.float32) / 255
    unit[0, 0] = 1.0
    yield file("grey-float", encoded(Image.fromarray(unit), "TIFF"), colours=GREYS)
    rgb = levels(COLOURS)
    pixels = rgb.tobytes()
    yield file("plain", tiff_file(tiff_tags(), pixels=pixels))
    yield file("big-endian", tiff_file(tiff_tags(), pixels=pixels, order=">"))
    yield file("big-tiff", tiff_file(tiff_tags(at=16), pixels=pixels, big=True))
    planes = rgb.transpose(2, 0, 1).tobytes()
    plane = _WIDTH * _HEIGHT
    starts = tuple(8 + number * plane for number in range(3))
    in_planes = tiff_tags(t284=(3, (2,)), t273=(4, starts), t279=(4, (plane,) * 3))
    yield file("planes", tiff_file(in_planes, pixels=planes))
    row = _WIDTH * 3
    offsets = tuple(range(8, 8 + _HEIGHT * row, row))
    by_row = tiff_tags(t278=(3, (1,)), t273=(4, offsets), t279=(4, (row,) * _HEIGHT))
    yield file("strip-per-row", tiff_file(by_row, pixels=pixels))
    inverted = tiff_tags(samples=1, t262=(3, (0,)))
    white_is_zero = tiff_file(inverted, pixels=(255 - levels(GREYS)[..., 0]).tobytes())
    yield file("white-is-zero", white_is_zero, colours=GREYS)
    tile = tiff_tags(t322=(3, (_WIDTH,)), t323=(3, (_HEIGHT,)), t324=(4, (8,)), t325=(4, (len(pixels),)))
    yield file(
        "tiled",
        tiff_file({tag: value for tag, value in tile.items() if tag not in (273, 278, 279)}, pixels=pixels),
    )
    yield file("directories-in-a-loop", tiff_file(tiff_tags(), tiff_tags(), pixels=pixels, loop=True))
    pages = [photo().rotate(180), photo().rotate(90)]
    yield file("three-pages", encoded(photo(), "TIFF", save_all=True, append_images=pages))


def _converted(mode: str) -> Image.Image:
    if mode != "LAB":
        return photo(mode=mode)
    from PIL import ImageCms

    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    return ImageCms.profileToProfile(photo(), *profiles, outputMode="LAB") or photo()


def bmp_variants() -> Iterator[HostileFile]:
    file = accepted_as("bmp-variant", ".bmp")
    rgb = levels(COLOURS)
    bgr = rgb[::-1, :, ::-1].tobytes()
    yield file("24-bits", bmp_file(bgr, SIZE_PX, 24))
    yield file("os2-header", bmp_file(bgr, SIZE_PX, 24, header_bytes=12))
    for header_bytes in (108, 124):
        yield file(f"header-of-{header_bytes}", bmp_file(bgr, SIZE_PX, 24, header_bytes=header_bytes))
    top_down = rgb[..., ::-1].tobytes()
    yield file("top-down", bmp_file(top_down, (_WIDTH, -_HEIGHT), 24))
    four = np.dstack([rgb[::-1, :, ::-1], np.zeros((_HEIGHT, _WIDTH), np.uint8)]).tobytes()
    yield file("32-bits-without-alpha", bmp_file(four, SIZE_PX, 32))
    red, green, blue = (rgb[::-1, :, channel].astype(np.uint16) >> 3 for channel in range(3))
    packed = ((red << 11) | (green << 6) | blue).astype("<u2").tobytes()
    masks = (0xF800, 0x07E0, 0x001F)
    yield file("16-bits-masked", bmp_file(packed, SIZE_PX, 16, compression=3, masks=masks))
    indices = levels(tuple((number,) * 3 for number in range(4)))[::-1, :, 0]
    yield file("palette-8-bits", bmp_file(indices.tobytes(), SIZE_PX, 8, palette=COLOURS))
    nibbles = (indices[:, ::2] << 4 | indices[:, 1::2]).astype(np.uint8).tobytes()
    yield file("palette-4-bits", bmp_file(nibbles, SIZE_PX, 4, palette=COLOURS))
    bits = np.packbits(levels(BLACK_WHITE)[::-1, :, 0] > 0, axis=1).tobytes()
    ends = ((0, 0, 0), (255, 255, 255))
    yield file("palette-1-bit", bmp_file(bits, SIZE_PX, 1, palette=ends), colours=BLACK_WHITE)
    half = _WIDTH // 2
    runs = b"".join(bytes([half, line[0], half, line[-1], 0, 0]) for line in indices) + b"\0\1"
    yield file("run-length", bmp_file(runs, SIZE_PX, 8, compression=1, palette=COLOURS))


def heic_variants() -> Iterator[HostileFile]:
    file = accepted_as("heic-variant", ".heic")
    yield file("plain", encoded(photo(), "HEIC", quality=85))
    yield file("grey", encoded(grey(), "HEIC", quality=85), colours=GREYS)
    image, on_white = translucent()
    yield file("translucent", encoded(image, "HEIC", quality=90), colours=on_white)
    yield file("full-chroma", encoded(photo(), "HEIC", quality=85, chroma="444"))
    yield file("odd-size", encoded(photo((97, 61)), "HEIC", quality=85), size_px=(97, 61))


def avif_variants() -> Iterator[HostileFile]:
    file = accepted_as("avif-variant", ".avif")
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:0:0"):
        shown = GREYS if subsampling == "4:0:0" else COLOURS
        image = grey() if subsampling == "4:0:0" else photo()
        data = encoded(image, "AVIF", quality=85, subsampling=subsampling, speed=10)
        yield file(f"sampled-{subsampling.replace(':', '')}", data, colours=shown)
    image, on_white = translucent()
    yield file("translucent", encoded(image, "AVIF", quality=95, speed=10), colours=on_white)
    odd = encoded(photo((97, 61)), "AVIF", quality=85, speed=10)
    yield file("odd-size", odd, size_px=(97, 61))


def animations() -> Iterator[HostileFile]:
    file = accepted_as("animation")
    first = Image.fromarray(levels(COLOURS))
    frames = [first.rotate(3 * number) for number in range(1, 30)]
    options = {"save_all": True, "append_images": frames, "duration": 40, "loop": 0}
    yield file("thirty-frames.gif", encoded(first, "GIF", **options))
    for disposal in (1, 2, 3):
        yield file(f"disposal-{disposal}.gif", encoded(first, "GIF", **options | {"disposal": disposal}))
    yield file("two-equal-frames.gif", encoded(first, "GIF", save_all=True, append_images=[first]))
    yield file("thirty-frames.png", encoded(first, "PNG", **options))
    alone = encoded(first, "PNG", **options | {"default_image": True})
    yield file("default-image-outside-the-animation.png", alone)
    yield file("thirty-frames.webp", encoded(first, "WEBP", **options, quality=80))
    yield file("thirty-frames.avif", encoded(first, "AVIF", **options, speed=10))
    still = encoded(first.quantize(8), "GIF")
    larger = still[:6] + struct.pack("<HH", 2 * _WIDTH, 2 * _HEIGHT) + still[10:]
    yield file("small-frame-on-a-large-screen.gif", larger, colours=None, size_px=(2 * _WIDTH, 2 * _HEIGHT))
