"""Every colour model that a file may have, to 8-bit sRGB on white."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_ROWS = 64


def averageable(image: Image.Image) -> Image.Image:
    """Return the loaded image in a mode whose pixels may be averaged: L, RGB, RGBA, CMYK or LAB."""
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
    """Return an ``averageable`` image as RGB on white, converted from its embedded colour profile."""
    profile = image.info.get("icc_profile")
    source = _profile_to_convert(profile) if profile else None
    return _on_white(image, source)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as RGB on white, its colour profile ignored.

    For renditions, which are sRGB and have none. An RGB image is returned as it is, not as a copy.
    """
    image = averageable(image)
    return image if image.mode == "RGB" else _on_white(image, None)


def _on_white(image: Image.Image, source: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if image.mode != "RGBA":
        return _convert(image, source)
    white = Image.new("RGB", image.size, "white")
    white.paste(_convert(image.convert("RGB"), source), mask=image.getchannel("A"))
    return white


def _convert(image: Image.Image, source: ImageCms.ImageCmsProfile | None) -> Image.Image:
    if source is not None:
        try:
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass  # a profile of another colour model than the pixels'
        else:
            assert converted is not None
            return converted
    return image.convert("RGB")


def _profile_to_convert(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    """Parse a profile; None where there is nothing to convert: sRGB (75 ms saved), or a broken profile."""
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return None if ImageCms.getProfileDescription(parsed).startswith("sRGB") else parsed
    except (OSError, ImageCms.PyCMSError):
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits; Pillow's own conversion would clip it.

    PNG's 16 bits span the whole range by definition. No field of a TIFF says what its white is: data that
    leaves the top two bits unused (a sensor's 10, 12 or 14) and floats are stretched to the brightest pixel.
    """
    values = np.asarray(image)
    brightest = float(np.nanmax(values, initial=0, where=np.isfinite(values)))
    if image.format != "TIFF" or 2**14 <= brightest < 2**16:
        white = 65535.0
    elif image.mode == "F" and brightest <= 1:
        white = 1.0
    else:
        white = max(255.0, brightest)
    grey = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS):  # in bands: the floats would take four times the image
        band = np.nan_to_num(values[row : row + _ROWS].astype(np.float32), posinf=white)
        grey[row : row + _ROWS] = np.clip(band, 0, white) * (255 / white) + 0.5
    return Image.fromarray(grey, "L")
