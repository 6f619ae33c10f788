"""Photos that must be refused: damaged, truncated, or altered in transit."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib

from tests.support.hostile.core_containers import (
    PNG_SIGNATURE,
    jpeg_file,
    jpeg_segment,
    jpeg_segments,
    png_chunk,
    png_chunks,
    png_file,
    png_header,
    riff_chunk,
    webp_file,
)
from tests.support.hostile.drawing import SIZE_PX, encoded, jpeg, photo, png
from tests.support.hostile.extended_containers import bmp_file, tiff_file
from tests.support.hostile.extended_variants import tiff_tags
from tests.support.hostile.file import HostileFile, refused

TEXT = b"This is a text and no photo. " * 20


def every_format(size_px: tuple[int, int] = (320, 240)) -> dict[str, bytes]:
    image = photo(size_px)
    return {
        "jpg": encoded(image, "JPEG", quality=90),
        "png": encoded(image, "PNG"),
        "gif": encoded(image.quantize(64), "GIF"),
        "webp": encoded(image, "WEBP", quality=90),
        "avif": encoded(image, "AVIF", speed=10),
        "heic": encoded(image, "HEIC", quality=85),
        "tif": encoded(image, "TIFF", compression="tiff_lzw"),
        "bmp": encoded(image, "BMP"),
    }


def truncated() -> list[HostileFile]:
    files = (
        (f"cut-at-{percent}-percent.{suffix}", data[: len(data) * percent // 100])
        for suffix, data in every_format().items()
        for percent in (10, 50, 90)
    )
    return refused("truncated", files)


def corrupt() -> list[HostileFile]:
    files = [*_corrupt_pngs().items(), *_corrupt_jpegs().items(), *_corrupt_others().items()]
    return refused("corrupt", files)


def _corrupt_pngs() -> dict[str, bytes]:
    (_, header), *others = png_chunks(png())
    good = png_chunk(b"IHDR", header)
    (pixels,) = (content for kind, content in others if kind == b"IDAT")
    idat, end = png_chunk(b"IDAT", pixels), png_chunk(b"IEND")
    half = len(pixels) // 2
    parts = png_chunk(b"IDAT", pixels[:half]), png_chunk(b"IDAT", pixels[half:])
    rows = bytearray(zlib.decompress(pixels))
    rows[0] = 77
    files = {
        "signature-high-bit": b"\x09PNG" + PNG_SIGNATURE[4:] + good + idat + end,
        "signature-line-end": b"\x89PNG\n\n\x1a\n" + good + idat + end,
        "header-checksum": PNG_SIGNATURE + png_chunk(b"IHDR", header, crc=1) + idat + end,
        "pixels-checksum": PNG_SIGNATURE + good + png_chunk(b"IDAT", pixels, crc=1) + end,
        "no-pixels": png_file(good),
        "pixels-in-two-places": png_file(good, parts[0], png_chunk(b"tEXt", b"a\0b"), parts[1]),
        "pixels-not-compressed": png_file(good, png_chunk(b"IDAT", TEXT)),
        "pixels-too-few": png_file(good, png_chunk(b"IDAT", zlib.compress(bytes(rows[:2000])))),
        "unknown-filter": png_file(good, png_chunk(b"IDAT", zlib.compress(bytes(rows)))),
        "depth-9": png_file(png_header(*SIZE_PX, depth=9), idat),
        "colour-type-5": png_file(png_header(*SIZE_PX, colour_type=5), idat),
        "chunk-longer-than-the-file": PNG_SIGNATURE + good + struct.pack(">I", 2**31 - 1) + b"IDAT" + pixels,
        "animation-without-frames": png_file(good, png_chunk(b"acTL", bytes(8))),
    }
    return {f"{name}.png": data for name, data in files.items()}


def _corrupt_jpegs() -> dict[str, bytes]:
    segments = jpeg_segments(jpeg())

    def without(*markers: int) -> bytes:
        return jpeg_file(segment for segment in segments if segment[0] not in markers)

    def instead(marker: int, content: bytes) -> bytes:
        return jpeg_file((other, content if other == marker else whole) for other, whole in segments)

    frame = next(content for marker, content in segments if marker == 0xC0)
    scan = next(content for marker, content in segments if marker == 0xDA)
    overflow = jpeg_segment(0xC4, b"\0" + b"\xff" * 16 + bytes(255))
    files = {
        "no-frame-header": without(0xC0),
        "no-quantisation-tables": without(0xDB),
        "no-scan": without(0xDA),
        "start-and-end-only": b"\xff\xd8\xff\xe0\0\2\xff\xd9",
        "huffman-overflow": instead(0xC4, overflow),
        "precision-7": instead(0xC0, frame[:4] + b"\7" + frame[5:]),
        "no-components": instead(0xC0, jpeg_segment(0xC0, frame[4:9] + b"\0")),
        "sampling-0": instead(0xC0, frame[:11] + b"\0" + frame[12:]),
        "differential-arithmetic": instead(0xC0, b"\xff\xcf" + frame[2:]),
        "scan-of-unknown-components": instead(0xDA, scan[:5] + b"\x77" + scan[6:]),
        "frame-header-cut": b"\xff\xd8" + frame[:8],
    }  # fmt: skip
    return {f"{name}.jpg": data for name, data in files.items()}


def _corrupt_others() -> dict[str, bytes]:
    gif = encoded(photo().quantize(16), "GIF")
    frame = gif.index(b"," + struct.pack("<HHHH", 0, 0, *SIZE_PX))
    webp, good = encoded(photo(), "WEBP", quality=90), every_format((96, 64))
    pixels = bytes(SIZE_PX[0] * SIZE_PX[1] * 3)
    bmp = bmp_file(pixels, SIZE_PX, 24)
    lzw = tiff_file(tiff_tags(t259=(3, (5,)), t279=(4, (400,))), pixels=b"\xff\x77" * 200)
    animated = riff_chunk(b"VP8X", b"\2" + bytes(9))
    ccitt = tiff_tags(samples=1, bits=1, t259=(3, (4,)), t279=(4, (300,)))
    return {
        "no-frame.gif": gif[:13] + b";",
        "code-size-200.gif": gif[: frame + 10] + b"\xc8" + gif[frame + 11 :],
        "pixels-are-zero.gif": gif[: frame + 11] + b"\xfe" + bytes(254) + b"\0;",
        "chunk-of-no-size.webp": webp_file(riff_chunk(b"VP8 ", b"")),
        "frame-tag.webp": webp.replace(b"\x9d\x01\x2a", b"\x9d\x01\x2b", 1),
        "animation-without-frames.webp": webp_file(animated, riff_chunk(b"ANIM", bytes(6))),
        "header-of-66-bytes.bmp": bmp[:14] + struct.pack("<I", 66) + bmp[18:],
        "depth-7.bmp": bmp_file(pixels, SIZE_PX, 7),
        "compression-99.bmp": bmp_file(pixels, SIZE_PX, 24, compression=99),
        "rows-missing.bmp": bmp[:-6000],
        "pixels-behind-the-end.tif": tiff_file(tiff_tags(t273=(4, (10**6,))), pixels=pixels),
        "broken-lzw.tif": lzw,
        "broken-fax.tif": tiff_file(ccitt, pixels=b"\0\1\2\3" * 75),
        "no-tags.tif": tiff_file({}),
        "directory-behind-the-end.tif": b"II*\0" + struct.pack("<I", 10**6),
        "compression-unknown.tif": tiff_file(tiff_tags(t259=(3, (9999,))), pixels=pixels),
        "no-media.heic": good["heic"].split(b"mdat")[0][:-4],
        "media-is-zero.heic": _without_media(good["heic"]),
        "media-is-zero.avif": _without_media(good["avif"]),
        "no-items.avif": good["avif"].replace(b"iinf", b"free", 1),
        "no-items.heic": good["heic"].replace(b"iinf", b"free", 1),
    }  # fmt: skip


def _without_media(data: bytes) -> bytes:
    start = data.index(b"mdat") + 4
    return data[:start] + bytes(len(data) - start)


def mangled() -> list[HostileFile]:
    whole = jpeg()
    files = {
        "gzip.jpg": gzip.compress(whole, mtime=0),
        "base64.jpg": base64.b64encode(whole),
        "data-url.jpg": b"data:image/jpeg;base64," + base64.b64encode(whole),
        "line-ends.png": png().replace(b"\n", b"\r\n"),
        "as-text.jpg": whole.decode("latin-1").encode(),
        "seven-bits.jpg": bytes(value & 0x7F for value in whole),
        "line-before.jpg": b"\n" + whole,
        "byte-order-mark.png": b"\xef\xbb\xbf" + png(),
        "multipart.jpg": b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + whole + b"\r\n--x--",
        "backwards.gif": encoded(photo().quantize(16), "GIF")[::-1],
    }
    return refused("transport-damage", files.items())
