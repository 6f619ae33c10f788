"""Valid JPEG, PNG, GIF and WebP files of unusual kinds: all of them are photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.hostile.core_containers import (
    gif_extension,
    jpeg_file,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    png_file,
    png_header,
    png_interlaced,
    png_rows,
    with_extensions,
    with_segments,
)
from tests.support.hostile.drawing import (
    BLACK_WHITE,
    COLOURS,
    GREYS,
    SIZE_PX,
    bilevel,
    encoded,
    grey,
    jpeg,
    levels,
    photo,
    png,
    translucent,
)
from tests.support.hostile.file import HostileFile, accepted_as


def jpeg_variants() -> Iterator[HostileFile]:
    file = accepted_as("jpeg-variant", ".jpg")
    yield file("progressive", jpeg(progressive=True))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield file(f"sampled-{subsampling.replace(':', '')}", jpeg(subsampling=subsampling))
    yield file("quality-1", encoded(photo((192, 128)), "JPEG", quality=20), size_px=(192, 128))
    yield file("optimised", jpeg(optimize=True))
    yield file("restart-marker-per-block", jpeg(restart_marker_blocks=1))
    yield file("rgb-without-conversion", jpeg(keep_rgb=True))
    yield file("cmyk", encoded(photo(mode="CMYK"), "JPEG", quality=90))
    yield file("grey", encoded(grey(), "JPEG"), colours=GREYS)
    yield file("partial-blocks", encoded(photo((17, 15)), "JPEG", quality=95), size_px=(17, 15))
    yield file("trailing-zeros", jpeg() + bytes(4096))
    yield file("no-end-marker", jpeg()[:-2])
    yield file("fill-bytes-before-markers", jpeg()[:2] + b"\xff" * 64 + jpeg()[2:])
    yield file("junk-between-segments", jpeg().replace(b"\xff\xdb", b"junk" * 40 + b"\xff\xdb", 1))
    segments = jpeg_segments(jpeg())
    tables_first = sorted(segments, key=lambda segment: segment[0] in (0xC0, 0xDA, 0xD9))
    yield file("tables-before-the-frame-header", jpeg_file(tables_first))
    yield file("no-jfif-header", jpeg_file(segment for segment in segments if segment[0] != 0xE0))
    unknown = [jpeg_segment(marker, b"unknown to all") for marker in range(0xE2, 0xF0)]
    yield file("every-application-marker", with_segments(jpeg(), *unknown))
    second = photo().transpose(Image.Transpose.ROTATE_180)
    yield file("two-images", encoded(photo(), "MPO", save_all=True, append_images=[second], quality=90))


def png_variants() -> Iterator[HostileFile]:
    file = accepted_as("png-variant", ".png")

    def made(samples: np.ndarray, depth: int, colour_type: int, *chunks: bytes) -> bytes:
        pixels = png_chunk(b"IDAT", png_rows(samples, depth))
        return png_file(png_header(*SIZE_PX, depth, colour_type), *chunks, pixels)

    rgb, greys = levels(COLOURS), levels(GREYS)[..., :1]
    opaque = np.full_like(greys, 255)
    for depth in (1, 2, 4, 16):
        top = 2**depth - 1
        samples = np.rint(greys / 255 * top).astype(np.uint16)
        shown = tuple((int(np.rint(level[0] / 255 * top) * 255 // top),) * 3 for level in GREYS)
        yield file(f"grey-{depth}-bits", made(samples, depth, 0), colours=shown)
    yield file("rgb-16-bits", made(rgb.astype(np.uint16) * 257, 16, 2))
    yield file("rgba-16-bits", made(np.dstack([rgb, opaque]).astype(np.uint16) * 257, 16, 6))
    yield file("grey-and-alpha", made(np.dstack([greys, opaque]), 8, 4), colours=GREYS)
    grey_alpha = np.dstack([greys, opaque]).astype(np.uint16) * 257
    yield file("grey-and-alpha-16-bits", made(grey_alpha, 16, 4), colours=GREYS)
    image, on_white = translucent()
    yield file("translucent", encoded(image, "PNG"), colours=on_white)
    clear = b"".join(value.to_bytes(2, "big") for value in COLOURS[0])
    without_red = ((255, 255, 255), *COLOURS[1:])
    yield file("one-transparent-colour", made(rgb, 8, 2, png_chunk(b"tRNS", clear)), colours=without_red)
    palette = png_chunk(b"PLTE", bytes(value for colour in COLOURS for value in colour))
    indices = levels(tuple((number,) * 3 for number in range(4)))[..., :1]
    yield file("palette-2-bits", made(indices, 2, 3, palette))
    alpha = png_chunk(b"tRNS", bytes([0, 255]))
    yield file("palette-with-alpha", made(indices, 8, 3, palette, alpha), colours=without_red)
    for depth, colour_type, samples in ((8, 2, rgb), (16, 2, rgb.astype(np.uint16) * 257), (2, 3, indices)):
        pixels = png_chunk(b"IDAT", png_interlaced(samples, depth))
        header = png_header(*SIZE_PX, depth, colour_type, interlaced=1)
        yield file(f"interlaced-{depth}-bits", png_file(header, *[palette][: colour_type == 3], pixels))
    drawn = png_rows(rgb, 8)
    single = [png_chunk(b"IDAT", drawn[at : at + 1]) for at in range(len(drawn))]
    yield file("one-byte-per-chunk", png_file(png_header(*SIZE_PX), *single))
    empty = png_chunk(b"IDAT")
    yield file("empty-chunks", png_file(png_header(*SIZE_PX), empty, png_chunk(b"IDAT", drawn), empty))
    header, *others = (png_chunk(*chunk) for chunk in png_chunks(png()))
    private = [png_chunk(b"prVt", b"private"), png_chunk(b"gAMA", (45455).to_bytes(4, "big"))]
    yield file("private-chunks", png_file(header, *private, *others[:-1]))
    yield file("text-checksum", png_file(header, *others[:-1], png_chunk(b"tEXt", b"a\0b", crc=1)))
    yield file("bilevel", encoded(bilevel(), "PNG"), colours=BLACK_WHITE)


def gif_variants() -> Iterator[HostileFile]:
    file = accepted_as("gif-variant", ".gif")
    flat = Image.fromarray(levels(COLOURS)).quantize(8)
    yield file("plain", encoded(flat, "GIF", interlace=0))
    yield file("interlaced", encoded(flat, "GIF", interlace=1))
    two = encoded(bilevel(), "GIF")
    yield file("two-colours", two, colours=BLACK_WHITE)
    red = flat.getpixel((0, 0))
    transparent = encoded(flat, "GIF", transparency=red)
    yield file("transparent-first-frame", transparent, colours=((255, 255, 255), *COLOURS[1:]))
    yield file("empty-comment", with_extensions(encoded(flat, "GIF"), gif_extension(0xFE, b"")))
    comments = [gif_extension(0xFE, b"\xff\x00 no text " * 60) for _ in range(3)]
    yield file("several-comments", with_extensions(encoded(flat, "GIF"), *comments))
    yield file("unknown-extension", with_extensions(encoded(flat, "GIF"), gif_extension(0x33, b"unknown")))
    yield file("trailing-bytes", encoded(flat, "GIF") + b"trailing")


def webp_variants() -> Iterator[HostileFile]:
    file = accepted_as("webp-variant", ".webp")
    yield file("lossy", encoded(photo(), "WEBP", quality=80))
    yield file("lossless", encoded(photo(), "WEBP", lossless=True))
    image, on_white = translucent()
    yield file("lossy-translucent", encoded(image, "WEBP", quality=90, exact=True), colours=on_white)
    yield file("lossless-translucent", encoded(image, "WEBP", lossless=True), colours=on_white)
    yield file("odd-size", encoded(photo((97, 61)), "WEBP", quality=90), size_px=(97, 61))
    yield file("grey", encoded(grey(), "WEBP", quality=90), colours=GREYS)
