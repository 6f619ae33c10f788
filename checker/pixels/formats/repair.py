"""Repair container faults that leave the pixels intact, before a decoder sees the file.

Pillow refuses files with such faults or decodes the wrong image in them; browsers show them correctly.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from checker.errors import UnreadableImage
from checker.pixels.formats.bmp import with_known_masks
from checker.pixels.formats.heif_boxes import with_known_brand
from checker.pixels.formats.png_chunks import SIGNATURE, plain_png
from checker.pixels.formats.raw import RAW_PHOTO, is_raw
from checker.pixels.formats.tiff import full_resolution_first, with_wide_palette
from checker.pixels.formats.tiff_samples import with_plain_samples

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_SOF = frozenset({0xC0, 0xC1, 0xC2})
_SOS, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_UNREAD_FRAMES = frozenset({0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""Hierarchical frames, arithmetically coded lossless frames, and JPEG-LS."""
_CANNOT = "This JPEG has a rare encoding that can't be read here. Save it as an ordinary JPEG and try again."
_ALL_COEFFICIENTS = 2**64 - 1
_BYTES_BEHIND_PIXELS = re.compile("extraneous bytes before marker 0xd9")
"""libjpeg's warning about bytes after complete pixels, such as line ends added by a transfer."""
_SHORTEST = {b"\xe0JFIF": 7, b"\xe2ICC_PROFILE\0": 14, b"\xeeAdobe": 12}
"""Marker and name of a segment -> minimum bytes of its content; decoders ignore shorter segments or fail."""
_EXIF_PADDED_OTHERWISE = re.compile(rb"\xe1Exif\0[^\0]")
_EXIF_PADDING = 9
"""Position, in the segment, of a byte that should be zero. Some writers set it to 255; browsers ignore it."""
_MAX_SEGMENTS = 2**12
_RIFF_BYTES, _WEBP_CHUNKS_AT, _MAX_CHUNKS = 8, 12, 2**16
_TRANSPARENT, _ANIMATED = 0x10, 0x02  # flags of a WebP


def repaired(data: bytes, max_pixels: int) -> bytes:
    """Return the file in a form that decoders accept; the same object if there is nothing to repair.

    - PNG: unneeded chunks are removed and a missing end is added; see ``png_chunks``.
    - TIFF: the full-resolution image comes first if the first page is a preview; samples that the decoder
      would misread are converted to 8 bits, and a palette in 8 bits to 16.
    - JPEG: segments that are too short for their content are removed, and EXIF data with another padding are
      marked as usual; a missing end marker is added if nothing else is missing and the file has at most
      ``max_pixels``.
    - BMP: channels whose masks the decoder does not know are converted to 8 bits.
    - HEIC and AVIF: the brand of the format comes first.
    - WebP: a wrong file size in the header is corrected if all chunks are complete; the photo becomes
      transparent around a first frame that is smaller than the photo.

    Raises:
        UnreadableImage: the file is a raw photo, or has samples or a coding that nothing here reads.
    """
    if is_raw(data):
        raise UnreadableImage(RAW_PHOTO)
    if data.startswith(SIGNATURE):
        return plain_png(data)
    if data.startswith((b"II", b"MM")):
        return with_plain_samples(with_wide_palette(full_resolution_first(data)), max_pixels)
    if data.startswith(b"BM"):
        return with_known_masks(data, max_pixels)
    if data.startswith(b"\xff\xd8"):
        _refuse_rare_coding(data)
        data = _with_sound_segments(data)
        coded = _without_padding(data)
        return coded + _END_OF_IMAGE if _has_all_but_its_end(coded, max_pixels) else data
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _with_clear_canvas(_with_its_size(data))
    return with_known_brand(data)


def _refuse_rare_coding(jpeg: bytes) -> None:
    position = 2
    for _ in range(_MAX_SEGMENTS):
        start = jpeg[position : position + 5].ljust(5, b"\0")
        start_byte, kind, size, bits = struct.unpack(">BBHB", start)
        if start_byte != 0xFF or kind == _SOS or size < 2:
            return
        if kind in _FRAMES:
            if kind in _UNREAD_FRAMES or bits != 8:
                raise UnreadableImage(_CANNOT)
            return
        position += 2 + size


def _with_sound_segments(data: bytes) -> bytes:
    parts: list[bytes] = []
    position, kept_to = 2, 0
    for _ in range(_MAX_SEGMENTS):
        start_byte, kind, size = struct.unpack_from(">BBH", data[position : position + 4].ljust(4, b"\0"))
        if start_byte != 0xFF or kind == _SOS or size < 2:
            break  # the pixels; or padding, which the encoders that write short segments do not use
        end = position + 2 + size
        start = data[position + 1 : position + 2] + data[position + 4 : min(end, position + 16)]
        if any(start.startswith(name) and size - 2 < fewest for name, fewest in _SHORTEST.items()):
            parts.append(data[kept_to:position])
            kept_to = end
        elif _EXIF_PADDED_OTHERWISE.match(start):
            parts += [data[kept_to : position + _EXIF_PADDING], b"\0"]
            kept_to = position + _EXIF_PADDING + 1
        position = end
    return b"".join([*parts, data[kept_to:]]) if parts else data


def _without_padding(jpeg: bytes) -> bytes:
    """Remove zero bytes after the coded data, appended by cameras or by copies of whole disk blocks."""
    coded = jpeg.rstrip(b"\0")
    if coded.endswith(b"\xff"):  # in coded data, a zero that is not padding follows 0xff
        coded += b"\0"
    return jpeg if len(coded) >= len(jpeg) else coded


def _has_all_but_its_end(data: bytes, max_pixels: int) -> bool:
    if simplejpeg is None or data.endswith(_END_OF_IMAGE):
        return False
    # In coded data 0xff is followed by 0 or a restart marker, so an end marker after the last scan is real.
    last_scan = data.rfind(b"\xff\xda")
    if last_scan < 0 or data.find(_END_OF_IMAGE, last_scan) >= 0 or not _sends_every_coefficient(data):
        return False
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if width * height > max_pixels:
            return False
        # At an eighth of the size. With strict, libjpeg's warning about an early end is an error.
        simplejpeg.decode_jpeg(data + _END_OF_IMAGE, "GRAY", min_width=1, min_height=1, strict=True)
    except ValueError as error:
        return _BYTES_BEHIND_PIXELS.search(str(error)) is not None
    return True


def _sends_every_coefficient(data: bytes) -> bool:
    """Return True if the scans send all coefficients to the last bit, so that no later scan was cut off."""
    sent: dict[int, int] = {}
    position = 2
    while marker := _JPEG_MARKER.search(data, position):
        kind, segment = marker[1][0], data[marker.end() : marker.end() + 512]
        position = marker.end() + max(2, int.from_bytes(segment[:2], "big"))
        try:
            if kind in _SOF:
                sent = {segment[8 + 3 * i]: 0 for i in range(segment[7])}
            elif kind == _SOS:
                count = segment[2]
                first, last, bits = segment[3 + 2 * count : 6 + 2 * count]
                if not bits & 15:  # the position of the last bit sent
                    for i in range(count):
                        sent[segment[3 + 2 * i]] |= (2 << last) - (1 << first)
        except (IndexError, KeyError, ValueError):
            return False
    return bool(sent) and all(bits == _ALL_COEFFICIENTS for bits in sent.values())


def _with_clear_canvas(webp: bytes) -> bytes:
    """Mark an animation as transparent if its first frame does not fill it: the rest would be black."""
    flags = webp[20] if webp[12:16] == b"VP8X" and len(webp) > 30 else 0
    if not flags & _ANIMATED or flags & _TRANSPARENT:
        return webp
    frame = next((at for at, name in _webp_chunks(webp) if name == b"ANMF"), 0)
    size, size_of_photo = webp[frame + 14 : frame + 20], webp[24:30]
    if not frame or size == size_of_photo:
        return webp
    return webp[:20] + bytes([flags | _TRANSPARENT]) + webp[21:]


def _webp_chunks(webp: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield position and name of each chunk."""
    position = _WEBP_CHUNKS_AT
    for _ in range(_MAX_CHUNKS):
        if position >= len(webp):
            return
        yield position, webp[position : position + 4]
        size = int.from_bytes(webp[position + 4 : position + 8], "little")
        position += _RIFF_BYTES + size + (size & 1)


def _with_its_size(webp: bytes) -> bytes:
    """Correct a header that announces too many bytes, or none, because an encoder wrote to a stream.

    The last byte may be missing too, if it only pads an odd chunk.
    """
    announced = int.from_bytes(webp[4:8], "little") + _RIFF_BYTES
    if _RIFF_BYTES < announced <= len(webp):
        return webp
    position, is_odd = _WEBP_CHUNKS_AT, False
    for _ in range(_MAX_CHUNKS):
        if position >= len(webp):
            break
        size = int.from_bytes(webp[position + 4 : position + 8], "little")
        is_odd = bool(size & 1)
        position += _RIFF_BYTES + size + is_odd
    missing = position - len(webp)
    if missing not in (0, is_odd):
        return webp  # the decoder will refuse the file
    whole = webp + bytes(missing)
    return whole[:4] + (len(whole) - _RIFF_BYTES).to_bytes(4, "little") + whole[_RIFF_BYTES:]
