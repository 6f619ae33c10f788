"""Remove chunks from PNG files that break decoders and that no pixel depends on; browsers skip them too.

Any chunk except the critical ones may be broken or unknown. The useful ones contain transparency, colour and
orientation; all others are removed. A file with a bomb in a chunk is not changed, so that it is refused.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

from PIL import PngImagePlugin

# Photoshop's list of ancestors and the workflows of image generators reach several MB; Pillow allows 1 MB.
_MAX_INFLATED_BYTES = PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20
_MAX_INFLATED_IN_ALL_BYTES = 64 * 2**20
"""Limit for all chunks of a file together, as in Pillow."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_ANCILLARY = 0x20  # a bit of the chunk name's first byte
_MAX_CHUNKS = 2**16
_CHECKSUM_BYTES = 4
_AROUND_BYTES = 12
"""Bytes of a chunk in addition to its content: length, name, checksum."""
_WITH_ORIENTATION = frozenset({b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1"})
_GREY, _COLOUR, _PALETTE = 0, 2, 3
_TRANSPARENT = {_GREY: 2, _COLOUR: 6, _PALETTE: 1}
"""Colour type -> minimum bytes of a tRNS chunk; the other colour types have an alpha channel."""


def plain_png(data: bytes) -> bytes:
    """Return the file with only its critical and its valid useful chunks, and with an end.

    Return the same object if nothing changes, or if the file contains a bomb or pixels in two places. The
    decoder will find wrong checksums of critical chunks and missing pixels.
    """
    parts: list[bytes] = []
    position, kept_to, bits, colour_type = len(SIGNATURE), 0, 8, -1
    has_pixels = are_pixels_over = False
    inflated_bytes = 0
    for _ in range(_MAX_CHUNKS):
        name, end = data[position + 4 : position + 8], position + _AROUND_BYTES + _uint32(data, position)
        if name.startswith(b"IEND"[: len(name)]) or (has_pixels and end > len(data)):
            break
        if len(name) < 4 or end > len(data) or (name == b"IDAT" and are_pixels_over):
            return data
        if name == b"IHDR":
            bits, colour_type = data[position + 16], data[position + 17]
        has_pixels |= name == b"IDAT"
        are_pixels_over = has_pixels and name != b"IDAT"
        if name[0] & _ANCILLARY:
            content = data[position + 8 : end - 4]
            is_sound = zlib.crc32(data[position + 4 : end - 4]) == _uint32(data, end - 4)
            size_bytes = _inflated_bytes(name, content) if is_sound else None
            inflated_bytes += size_bytes or 0
            if (size_bytes or 0) > _MAX_INFLATED_BYTES or inflated_bytes > _MAX_INFLATED_IN_ALL_BYTES:
                return data
            if size_bytes is None or not _is_of_use(name, content, colour_type):
                parts.append(data[kept_to:position])
                kept_to = end
            elif name == b"tRNS" and (rescaled := _rescaled(content, colour_type, bits)) != content:
                parts += [data[kept_to:position], _chunk(name, rescaled)]
                kept_to = end
        position = end
    else:
        return data  # more chunks than any encoder writes: ``bombs`` refuses the file
    has_end = data.startswith(_END, position)
    if (has_end and not parts) or not (has_end or has_pixels):
        return data
    rest = data[kept_to:] if has_end else data[kept_to:position] + _END
    return b"".join([*parts, rest])


def _is_of_use(name: bytes, content: bytes, colour_type: int) -> bool:
    if name == b"cICP":
        return len(content) == 4
    if name == b"tRNS":
        return len(content) >= _TRANSPARENT.get(colour_type, len(content) + 1)
    if name in (b"tEXt", b"zTXt", b"iTXt"):
        return content.partition(b"\0")[0] in _WITH_ORIENTATION
    return name in (b"eXIf", b"iCCP")


def _rescaled(content: bytes, colour_type: int, bits: int) -> bytes:
    """Return the transparent colour in the depth of Pillow's pixels: Pillow compares it without conversion.

    Pillow keeps the high bytes of 16-bit colour, and all bits of 16-bit grey.
    """
    if colour_type == _GREY and bits < 8:
        white = (1 << bits) - 1
        return ((int.from_bytes(content[:2], "big") & white) * (255 // white)).to_bytes(2, "big")
    if colour_type == _COLOUR and bits == 16:
        return b"".join(b"\0" + content[at : at + 1] for at in (0, 2, 4))
    return content


def chunks_before_pixels(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk that may describe the pixels."""
    return itertools.takewhile(lambda chunk: chunk[0] != b"IDAT", _chunks(png))


def pixel_data(png: bytes) -> Iterator[bytes]:
    """Yield the compressed pixels, chunk by chunk."""
    return (content for name, content in _chunks(png) if name == b"IDAT")


def without_pixel_checksum(png: bytes) -> bytes:
    """Return the file without the last bytes of its compressed pixels, which are a checksum of all pixels.

    Browsers ignore this checksum, since each chunk has its own; Pillow does not require it.
    """
    chunks, surplus_bytes = list(_chunks(png)), _CHECKSUM_BYTES
    for place, (name, content) in reversed(list(enumerate(chunks))):
        if name == b"IDAT":
            shortened = content[: max(0, len(content) - surplus_bytes)]
            surplus_bytes -= len(content) - len(shortened)
            chunks[place] = name, shortened
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        name, end = png[position + 4 : position + 8], position + _AROUND_BYTES + _uint32(png, position)
        if name == b"" or end > len(png):
            return
        yield name, png[position + 8 : end - 4]
        position = end


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")


def _inflated_bytes(name: bytes, content: bytes) -> int | None:
    """Return the inflated size of a chunk, above the limit for a bomb; None if the chunk is broken."""
    _, _, rest = content.partition(b"\0")
    if name == b"iTXt":
        if rest.startswith(b"\0"):
            return len(content) if rest.count(b"\0") > 3 else None
        method, stream = rest[1:2], rest[2:].split(b"\0", 2)[-1]
    elif name in (b"iCCP", b"zTXt"):
        method, stream = rest[:1], rest[1:]
    else:
        return len(content)
    inflater = zlib.decompressobj()
    try:
        size_bytes = len(inflater.decompress(stream, _MAX_INFLATED_BYTES + 1))
    except zlib.error:
        return None
    is_whole = inflater.eof or size_bytes > _MAX_INFLATED_BYTES
    return size_bytes if method == b"\0" and is_whole else None


def _uint32(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")
