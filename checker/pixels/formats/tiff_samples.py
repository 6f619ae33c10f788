"""Use tifffile to decode TIFFs whose samples Pillow misreads or refuses, and convert them to 8 bits.

With separate planes, Pillow keeps the low bytes of 16-bit samples and misreads Lab. It does not invert 16-bit
grey in which 0 is white. It does not support colour in floats, halves, signed, 32-bit or packed samples,
16-bit Lab, opacity in a separate plane, channels in addition to grey or colour (image editors store
selections and spot inks in them), uncompressed YCbCr with shared colours, palettes of 65 536 colours, or
big-endian BigTIFF.
"""

from __future__ import annotations

import io
import logging
import operator
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from checker.errors import UnreadableImage
from checker.pixels.colour.eight_bit import Samples, alpha_to_eight_bit, to_eight_bit
from checker.pixels.formats.tiff import Layout, values_of
from checker.pixels.formats.tiff_bytes import MAX_BYTES, is_packed, samples_of

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES, _SAMPLE_FORMAT = 258, 259, 262, 277, 284, 339
_TAGS = (_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES, _SAMPLE_FORMAT)
_SUBSAMPLING = 530
_ICC_PROFILE, _ORIENTATION = 34675, 274
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _CIE_LAB, _ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
_UNSTATED = -1
_MOST_SAMPLES = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 2, _RGB: 4, _CMYK: 4, _CIE_LAB: 3}
"""Photometric -> maximum number of samples per pixel that Pillow reads."""
_MOST_PLANES = {_RGB: 3, _CMYK: 4}
"""The same if each sample is stored in its own plane."""
_UNSIGNED, _UNDEFINED = 1, 4
_SEPARATE, _UNCOMPRESSED, _WEBP = 2, 1, 50001
_CODECS = frozenset(TiffImagePlugin.COMPRESSION_INFO) - {_WEBP}
"""Pillow knows WebP in a TIFF by name, but its libtiff does not."""
_BIG_ENDIAN_BIG_TIFF = b"MM\0+"
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_CANNOT = "This TIFF stores its colours in a way that can't be read here. Save it as JPEG and try again."


@dataclass(frozen=True, slots=True)
class _Storage:
    """The tags of a page that describe the storage of its samples."""

    bits: int
    samples: int
    photometric: int
    sample_format: int
    is_separate: bool
    compression: int

    @classmethod
    def of(cls, data: bytes) -> _Storage:
        """Read the first page's tags.

        Raises:
            struct.error: the tags lie beyond the file's end.
        """
        layout = Layout.of(data)
        tags = values_of(data, layout, _TAGS, layout.offset_at(data, layout.link_at))
        return cls(
            bits=max(tags.get(_BITS, (1,))),
            samples=tags.get(_SAMPLES, (1,))[0],
            photometric=tags.get(_PHOTOMETRIC, (_UNSTATED,))[0],
            sample_format=tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0],
            is_separate=tags.get(_PLANES, (1,))[0] == _SEPARATE,
            compression=tags.get(_COMPRESSION, (_UNCOMPRESSED,))[0],
        )

    @property
    def is_read_well(self) -> bool:
        """True if Pillow reads the samples correctly."""
        if self.sample_format not in (_UNSIGNED, _UNDEFINED) or self.photometric in (_ICC_LAB, _UNSTATED):
            return False
        if self.samples > _MOST_SAMPLES.get(self.photometric, self.samples):
            return False
        if self.is_separate and self.samples > _MOST_PLANES.get(self.photometric, 1):
            return False
        if self.photometric == _YCBCR and self.compression == _UNCOMPRESSED:
            return False
        if self.bits <= 8:
            return self.bits in ((1, 2, 4, 8) if self.samples == 1 else (1, 8))
        if self.photometric == _CMYK and self.bits == 16 and not self.is_separate:
            return True
        return self.samples == 1 and self.bits == 16 and self.photometric == _BLACK_IS_ZERO

    @property
    def may_be_read(self) -> bool:
        """True if Pillow may read the samples with a loss: it drops the low bytes of 16-bit colour."""
        by_high_bytes = not self.is_separate and self.samples >= 3 and self.sample_format == _UNSIGNED
        return self.bits <= 8 or (self.bits == 16 and by_high_bytes)


def with_plain_samples(data: bytes, max_pixels: int) -> bytes:
    """Return the file with its first page in 8 bits if Pillow would misread it, else the same object.

    Orientation and colour profile are kept.

    Raises:
        UnreadableImage: tifffile can't decode the page either, or nothing here decompresses it.
    """
    try:
        storage = _Storage.of(data)
    except struct.error:
        return data
    if storage.compression not in _CODECS:
        raise UnreadableImage(_CANNOT)
    if storage.is_read_well and not data.startswith(_BIG_ENDIAN_BIG_TIFF):
        return data
    try:
        return _in_eight_bits(data, max_pixels)
    except UnreadableImage:
        if storage.may_be_read:
            return data
        raise


def _in_eight_bits(data: bytes, max_pixels: int) -> bytes:
    try:
        import tifffile
    except ModuleNotFoundError as error:  # optional for the folder tool
        raise UnreadableImage("This TIFF can be read only if the package tifffile is installed.") from error
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs a line for every unusual tag
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            # operator.index refuses a list of unequal bits, which the product below would make very long.
            width, height, samples, bits = map(
                operator.index,
                (page.imagewidth, page.imagelength, page.samplesperpixel, page.bitspersample),
            )
            if width * height > max_pixels or width * height * samples * bits // 8 > MAX_BYTES:
                return data  # the next step refuses the file for its size
            is_shared = page.photometric == _YCBCR and page.compression == _UNCOMPRESSED
            values = _subsampled(page, data) if is_shared else samples_of(page, data)
            photometric = int(page.photometric)
            if _PHOTOMETRIC not in page.tags:  # as libtiff does
                photometric = _RGB if samples >= 3 else _BLACK_IS_ZERO
            is_index = photometric == _PALETTE
            if is_index:  # the palette has three rows
                values = page.colormap.T[values[..., 0]]
            photo = _image(
                values,
                _RGB if is_index else photometric,
                [int(extra) for extra in page.extrasamples],
                white=2.0**page.bitspersample - 1 if is_packed(page) else None,
            )
            tags = {tag: page.tags[tag].value for tag in (_ICC_PROFILE, _ORIENTATION) if tag in page.tags}
    except (
        tifffile.TiffFileError,
        NotImplementedError,  # tifffile raises it for features that it does not support
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        SyntaxError,
        OSError,
    ) as error:
        raise UnreadableImage(_CANNOT) from error
    out = io.BytesIO()
    photo.save(
        out, "TIFF", tiffinfo={_ORIENTATION: tags.get(_ORIENTATION, 1)}, icc_profile=tags.get(_ICC_PROFILE)
    )
    return out.getvalue()


def _subsampled(page: Any, data: bytes) -> Samples:
    """Read uncompressed YCbCr, in which blocks of pixels share their colour."""
    across, down = page.tags[_SUBSAMPLING].value if _SUBSAMPLING in page.tags else (2, 2)
    height, width = page.imagelength, page.imagewidth
    columns = -(-width // across)
    strips = []
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        blocks = np.frombuffer(data[start : start + size], np.uint8).reshape(-1, columns, across * down + 2)
        light = blocks[..., :-2].reshape(-1, columns, down, across).swapaxes(1, 2)
        colour = blocks[..., -2:].repeat(down, axis=0).repeat(across, axis=1)
        strip = np.concatenate([light.reshape(*colour.shape[:2], 1), colour], axis=2)
        strips.append(strip[: page.rowsperstrip])
    return np.concatenate(strips)[:height, :width]


def _image(values: Samples, photometric: int, extra: list[int], *, white: float | None = None) -> Image.Image:
    """Turn decoded samples ``(H, W, samples)`` into an L, RGB, RGBA, CMYK or LAB image."""
    if photometric == _YCBCR:
        return Image.frombytes("YCbCr", values.shape[1::-1], values.tobytes()).convert("RGB")
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
    """Make a CMYK or LAB image of the high bytes of the samples."""
    mode, bands = ("CMYK", 4) if photometric == _CMYK else ("LAB", 3)
    if values.dtype.kind not in "ui" or values.shape[2] < bands:
        raise UnreadableImage(_CANNOT)
    unsigned = values[..., :bands].view(f"u{values.dtype.itemsize}")
    high = (unsigned >> 8 * (values.dtype.itemsize - 1)).astype(np.uint8)
    if photometric == _ICC_LAB:
        high[..., 1:] ^= 0x80  # ICC Lab stores both colours unsigned; Pillow expects them signed
    return Image.frombytes(mode, high.shape[1::-1], high.tobytes())
