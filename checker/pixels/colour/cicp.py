"""Convert photos whose colour space is stated as code points (CICP, ITU-T H.273): HDR, or wide gamut.

HEIC and AVIF store the code points in a ``colr`` box, PNG in a ``cICP`` chunk. Shown as if they were sRGB,
photos in PQ and HLG look grey and flat, and linear photos dark. PNG's older ``gAMA`` chunk is ignored, as in
most decoders: programs have written wrong values for decades.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from checker.values import Floats

Light = npt.NDArray[np.floating]

_BT2020, _P3 = 9, 12
_UNSPECIFIED = 2
_PQ, _HLG = 16, 18
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Transfer function -> exponent from the signal to light."""
_LIKE_SRGB = (2.1, 2.3)
_TO_BT709 = {
    _BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    _P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""Primaries -> matrix of linear RGB: from BT.2020 (ITU-R BT.2087), and from Display P3, derived the same way.
"""
_WHITE_NITS = 203.0
"""Luminance of diffuse white in HDR (ITU-R BT.2408); brighter light is a highlight."""
_HLG_NITS = 1000.0
_SHOULDER = 0.8
"""Linear light above which highlights are compressed."""
_ROWS = 64
_LEVELS = 4096


class CodedColour(NamedTuple):
    primaries: int
    transfer: int

    @property
    def gamma(self) -> float | None:
        """Exponent from the signal to light, if it differs from sRGB's."""
        gamma = _GAMMAS.get(self.transfer)
        return None if gamma is None or _LIKE_SRGB[0] <= gamma <= _LIKE_SRGB[1] else gamma

    @property
    def is_srgb(self) -> bool:
        return not (self.is_hdr or self.gamma or self.primaries in _TO_BT709)

    @property
    def is_specified(self) -> bool:
        return _UNSPECIFIED not in self

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (_PQ, _HLG)


def coded_to_srgb(image: Image.Image, colour: CodedColour) -> Image.Image:
    """Convert an RGB image of 8 bits per channel to sRGB; highlights above diffuse white are compressed."""
    linear = _linear(np.arange(256, dtype=np.float32) / 255, colour)
    matrix = np.array(_TO_BT709.get(colour.primaries, np.eye(3)), np.float32).T
    encode = (_srgb(np.arange(_LEVELS, dtype=np.float32) / (_LEVELS - 1)) * 255 + 0.5).astype(np.uint8)
    pixels = np.asarray(image)
    result = np.empty_like(pixels)
    for row in range(0, len(pixels), _ROWS):  # in bands: the floats take four times the memory of the image
        light = np.maximum(linear[pixels[row : row + _ROWS]] @ matrix, 0.0)
        if colour.is_hdr:
            light = _compressed(light)
        result[row : row + _ROWS] = encode[(np.minimum(light, 1.0) * (_LEVELS - 1) + 0.5).astype(np.uint16)]
    return Image.fromarray(result)


def _linear(signal: Light, colour: CodedColour) -> Floats:
    """Turn a signal 0..1 into linear light, 1 for diffuse white."""
    if colour.transfer == _PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** np.float32(1 / m2)
        nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return _floats(nits / _WHITE_NITS)
    if colour.transfer == _HLG:  # ARIB STD-B67, with the system gamma of a display of 1000 nits
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        return _floats(_HLG_NITS * scene**1.2 / _WHITE_NITS)
    if colour.gamma is not None:
        return _floats(signal**colour.gamma)
    return _floats(np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4))


def _srgb(light: Light) -> Floats:
    """Encode linear light 0..1 (IEC 61966-2-1)."""
    return _floats(np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def _compressed(light: Light) -> Floats:
    """Compress light above ``_SHOULDER`` so that it approaches 1 without reaching it."""
    room = 1 - _SHOULDER
    bent = 1 - room / (1 + (np.maximum(light, _SHOULDER) - _SHOULDER) / room)
    return _floats(np.where(light <= _SHOULDER, light, bent))


def _floats(values: Light) -> Floats:
    return np.asarray(values, dtype=np.float32)
