"""TIFFs whose samples Pillow misreads or refuses, decoded by tifffile and converted to 8 bits.

With separate planes, Pillow keeps the low bytes of 16-bit samples; it does not invert 16-bit grey in which 0
is white; and it does not support colour in floats, halves, signed, 32-bit or packed 10-bit samples, 16-bit
Lab, opacity in a separate plane, or big-endian BigTIFF.
"""

from __future__ import annotations

import io
import logging
import struct
from typing import Any

import numpy as np
from PIL import Image

from checker.errors import UnreadableImage
from checker.pixels.colour.eight_bit import Samples, alpha_to_eight_bit, to_eight_bit
from checker.pixels.formats.tiff import Layout, values_of
from checker.pixels.formats.tiff_bytes import MAX_BYTES, samples_of

_BITS, _PHOTOMETRIC, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 258, 262, 277, 284, 339
_ICC_PROFILE, _ORIENTATION = 34675, 274
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _CIE_LAB, _ICC_LAB = 0, 1, 2, 5, 8, 9
_UNSIGNED, _UNDEFINED = 1, 4
_SEPARATE, _UNCOMPRESSED = 2, 1
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"
_PACKED = (10, 12, 14)
"""Bits of samples that are not padded to whole bytes."""
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_CANNOT = "This TIFF stores its colours in a way that can't be read here. Save it as JPEG and try again."


def with_plain_samples(data: bytes, max_pixels: int) -> bytes:
    """Return the file with its first page in 8 bits, where Pillow would misread it; else the same object.

    Orientation and colour profile are kept.

    Raises:
        UnreadableImage: tifffile can't decode it either.
    """
    try:
        layout = Layout.of(data)
        tags = values_of(
            data,
            layout,
            (_BITS, _PHOTOMETRIC, _SAMPLES, _PLANES, _SAMPLE_FORMAT),
            layout.offset_at(data, layout.link_at),
        )
    except struct.error:
        return data
    bits = max(tags.get(_BITS, (1,)))
    samples, planes, photometric, sample_format = (
        tags.get(tag, (default,))[0]
        for tag, default in (
            (_SAMPLES, 1),
            (_PLANES, 1),
            (_PHOTOMETRIC, _BLACK_IS_ZERO),
            (_SAMPLE_FORMAT, _UNSIGNED),
        )
    )
    is_read_well = _is_read_well(bits, samples, photometric, sample_format, separate=planes == _SEPARATE)
    if is_read_well and not data.startswith(_BIG_ENDIAN_BIG_TIFF):
        return data
    by_high_bytes = bits == 16 and planes != _SEPARATE and samples >= 3 and sample_format == _UNSIGNED
    try:
        return _in_eight_bits(data, max_pixels)
    except UnreadableImage:
        if bits <= 8 or by_high_bytes:  # Pillow may still decode it: of 16 bits it drops the low ones
            return data
        raise


def _is_read_well(bits: int, samples: int, photometric: int, sample_format: int, *, separate: bool) -> bool:
    if sample_format not in (_UNSIGNED, _UNDEFINED):
        return False
    if photometric == _ICC_LAB or (separate and photometric == _RGB and samples > 3):
        return False
    if bits <= 8 or (photometric == _CMYK and bits == 16 and not separate):
        return True
    return samples == 1 and bits == 16 and photometric == _BLACK_IS_ZERO


def _in_eight_bits(data: bytes, max_pixels: int) -> bytes:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs a line for every odd tag
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            size_bytes = page.imagewidth * page.imagelength * page.samplesperpixel * page.bitspersample // 8
            if page.imagewidth * page.imagelength > max_pixels or size_bytes > MAX_BYTES:
                return data  # refused for its size by the next step
            is_packed = page.dtype is not None and page.bitspersample in _PACKED
            values = _unpacked(page, data) if is_packed else samples_of(page, data)
            photo = _image(
                values,
                int(page.photometric),
                [int(extra) for extra in page.extrasamples],
                white=2.0**page.bitspersample - 1 if is_packed else None,
            )
            tags = {tag: page.tags[tag].value for tag in (_ICC_PROFILE, _ORIENTATION) if tag in page.tags}
    except (
        tifffile.TiffFileError,
        NotImplementedError,  # tifffile raises it for forms that it does not read
        ValueError,
        LookupError,
        TypeError,
        OSError,
    ) as error:
        raise UnreadableImage(_CANNOT) from error
    out = io.BytesIO()
    photo.save(
        out, "TIFF", tiffinfo={_ORIENTATION: tags.get(_ORIENTATION, 1)}, icc_profile=tags.get(_ICC_PROFILE)
    )
    return out.getvalue()


def _unpacked(page: Any, data: bytes) -> Samples:
    """Read samples that do not end at byte limits; tifffile needs 40 MB of other codecs for that."""
    height, width, bits = page.imagelength, page.imagewidth, page.bitspersample
    separate = page.planarconfig == _SEPARATE
    per_row = width * (1 if separate else page.samplesperpixel)
    if page.compression != _UNCOMPRESSED or page.is_tiled:
        raise UnreadableImage(_CANNOT)
    strips = zip(page.dataoffsets, page.databytecounts, strict=True)
    packed = np.frombuffer(b"".join(data[start : start + size] for start, size in strips), np.uint8)
    rows = height * (page.samplesperpixel if separate else 1)
    packed = packed.reshape(rows, (per_row * bits + 7) // 8)
    values = np.empty((rows, per_row), np.uint16)
    weights = 1 << np.arange(bits, dtype=np.uint16)[::-1]
    for row in range(rows):  # one by one: unpacked to bits they take eight times the space
        of_row = np.unpackbits(packed[row])[: per_row * bits]
        values[row] = of_row.reshape(per_row, bits) @ weights
    if separate:
        return np.moveaxis(values.reshape(-1, height, width), 0, -1)
    return values.reshape(height, width, -1)


def _image(values: Samples, photometric: int, extra: list[int], *, white: float | None = None) -> Image.Image:
    """Turn decoded samples ``(H, W, samples)`` into an L, RGB, RGBA, CMYK or LAB image."""
    if photometric in (_CMYK, _CIE_LAB, _ICC_LAB):
        return _of_other_model(values, photometric)
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(photometric, 0)
    if not 0 < colours <= values.shape[2]:
        raise UnreadableImage(_CANNOT)
    colour = to_eight_bit(values[..., :colours], white)
    if photometric == _WHITE_IS_ZERO:
        colour = 255 - colour
    has_alpha = extra[:1] in ([_ASSOCIATED_ALPHA], [_ALPHA]) and values.shape[2] > colours
    if not has_alpha:
        return Image.fromarray(colour[..., 0] if colours == 1 else colour)
    colour = np.repeat(colour, 3, axis=2) if colours == 1 else colour
    bands = np.concatenate([colour, alpha_to_eight_bit(values[..., colours : colours + 1], white)], axis=2)
    if extra[0] == _ASSOCIATED_ALPHA:
        return Image.frombytes("RGBa", bands.shape[1::-1], bands.tobytes()).convert("RGBA")
    return Image.fromarray(bands)


def _of_other_model(values: Samples, photometric: int) -> Image.Image:
    """Keep the high bytes of inks, or of lightness and two colours with or without a sign."""
    mode, bands = ("CMYK", 4) if photometric == _CMYK else ("LAB", 3)
    if values.dtype.kind not in "ui" or values.shape[2] < bands:
        raise UnreadableImage(_CANNOT)
    unsigned = values[..., :bands].view(f"u{values.dtype.itemsize}")
    high = (unsigned >> 8 * (values.dtype.itemsize - 1)).astype(np.uint8)
    if photometric == _ICC_LAB:
        high[..., 1:] ^= 0x80  # 0 in the middle, where Pillow expects a sign
    return Image.frombytes(mode, high.shape[1::-1], high.tobytes())
