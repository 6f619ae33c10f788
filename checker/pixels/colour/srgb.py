"""Convert an image of any colour model to 8-bit sRGB on white."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageChops, ImageCms

from checker.pixels.colour.cicp import coded_to_srgb
from checker.pixels.colour.eight_bit import to_eight_bit
from checker.pixels.colour.profile_bounds import bounded

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_LEVELS = (0, 51, 102, 153, 204, 255)
_COLOURS = Image.fromarray(
    np.array([[(r, g, b) for r in _LEVELS for g in _LEVELS for b in _LEVELS]], np.uint8)
)
_NO_DIFFERENCE = 4
"""Out of 255: sRGB profiles differ by this much in their rounded matrices and curves."""


def averageable(image: Image.Image) -> Image.Image:
    """Return the loaded image in a mode whose pixels may be averaged: L, RGB, RGBA, CMYK or LAB."""
    if "frame" in image.info:
        return _clear_around(image, image.info["frame"])
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        grey = Image.fromarray(to_eight_bit(values, None if image.format == "TIFF" else 65535.0))
        if "transparency" in image.info:
            alpha = Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8))
            grey = Image.merge("RGBA", (grey, grey, grey, alpha))
        grey.info = image.info.copy()  # describes the colour space, which is converted later
        return grey
    if image.mode == "La":  # premultiplied; Pillow converts it to no other mode
        image = image.convert("LA")
    if image.mode == "RGBA":
        return image  # convert() would copy it: 4 more bytes per pixel
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in {"L", "RGB", "CMYK", "LAB"}:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _clear_around(image: Image.Image, frame: tuple[int, int, int, int]) -> Image.Image:
    clear = Image.new("RGBA", image.size)
    clear.paste(image.crop(frame).convert("RGBA"), frame)
    return clear


def to_srgb(image: Image.Image) -> Image.Image:
    """Return an ``averageable`` image as RGB on white, converted from the colour space that its file states.

    That is ``info["coded_colour"]`` (see ``omitted``) if it is HDR or there is no embedded profile, else the
    embedded profile.
    """
    coded = image.info.get("coded_colour")
    if coded is not None and (coded.is_hdr or not image.info.get("icc_profile")):
        return coded_to_srgb(_on_white(image, None), coded)
    profile = bounded(image.info.get("icc_profile") or b"")
    source = _profile_to_convert(profile) if profile else None
    return _on_white(image, source)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as RGB on white; its colour profile is ignored.

    For renditions, which are sRGB without a profile. An RGB image is returned without a copy.
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
        except ImageCms.PyCMSError:  # the profile is for another colour model
            if image.mode == "RGB" and _is_grey(image, source):
                return _convert(image.getchannel("R"), source)
        else:
            assert converted is not None
            return converted
    return image.convert("RGB")


def _is_grey(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> bool:
    """Return True if profile and photo are grey; such a photo is RGB because it had transparency."""
    if profile.profile.xcolor_space.strip() != "GRAY":
        return False
    red, green, blue = image.split()
    return not any(ImageChops.difference(red, other).getbbox() for other in (green, blue))


def _profile_to_convert(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    """Parse a profile; None if it is broken, or sRGB (skipping its conversion saves 75 ms).

    A few converted colours decide: a profile named "sRGB" may have another curve, for linear samples.
    """
    try:
        return None if _is_srgb(profile) else ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError):
        return None


@functools.lru_cache(maxsize=32)
def _is_srgb(profile: bytes) -> bool:
    parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    try:
        converted = ImageCms.profileToProfile(_COLOURS, parsed, _SRGB, outputMode="RGB")
    except ImageCms.PyCMSError:
        return False  # a profile for grey or CMYK
    assert converted is not None
    difference = np.abs(np.asarray(converted, np.int16) - np.asarray(_COLOURS, np.int16))
    return bool(difference.max() <= _NO_DIFFERENCE)
