"""Every colour model a file may come in, to 8-bit sRGB on white."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_ROWS = 64


def resizable(image: Image.Image) -> Image.Image:
    """The same picture in a mode whose pixels may be averaged: L, RGB, RGBA, CMYK or LAB."""
    if image.mode.startswith(("I", "F")):
        return _eight_bit(image)
    if image.mode == "RGBA":
        return image  # convert() would copy it: 4 more bytes a pixel
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK", "LAB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    flat = image if alpha is None else image.convert("RGB")
    converted = _convert(flat, profile)
    if alpha is None:
        return converted
    white = Image.new("RGB", image.size, "white")
    white.paste(converted, mask=alpha)
    return white


def _convert(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and (source := _wide_profile(profile)):
        try:
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a profile of another colour model than the pixels'
        else:
            assert converted is not None
            return converted
    return image.convert("RGB")


def _wide_profile(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    """None where there is nothing to convert: sRGB already (75 ms saved), or a profile nobody can read."""
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return None if ImageCms.getProfileDescription(parsed).startswith("sRGB") else parsed
    except (OSError, ImageCms.PyCMSError):
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits.

    PNG's 16 bits span the whole range by definition. No field of a TIFF says what its white is: data that
    leaves the top two bits unused (a sensor's 10, 12 or 14) and floats are stretched to the brightest pixel.
    """
    values = np.asarray(image)
    top = float(np.nanmax(values, initial=0, where=np.isfinite(values)))
    if image.format != "TIFF" or 2**14 <= top < 2**16:
        white = 65535.0
    elif image.mode == "F" and top <= 1:
        white = 1.0
    else:
        white = max(255.0, top)
    grey = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS):  # in bands: the floats would take four times the picture
        band = np.nan_to_num(values[row : row + _ROWS].astype(np.float32), posinf=white)
        grey[row : row + _ROWS] = np.clip(band, 0, white) * (255 / white) + 0.5
    return Image.fromarray(grey, "L")
