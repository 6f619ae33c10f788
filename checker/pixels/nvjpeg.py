"""Step 7 on a GPU, with ``CATCHECK_DECODER=nvjpeg``: nvJPEG decodes, torch resizes and crops.

nvJPEG decodes whole photos, while the host decodes only a fraction of a large photo. So it pays off on GPUs
that have JPEG units, in machines with few processor cores. The pixels differ from Pillow's, so nvJPEG needs
its own profiles.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from checker.pixels.crop import Part
from checker.values import Pixels

if TYPE_CHECKING:
    from torch import Tensor

DEVICE = "cuda"
_END_OF_IMAGE = b"\xff\xd9"


def is_installed() -> bool:
    return importlib.util.find_spec("torchcodec") is not None


def decode(data: bytes, part: Part, interpolation: str) -> Pixels | None:
    """Decode a part and copy it back to the host (150 kB per square), as if the host had decoded it.
    Thread-safe.

    Args:
        data: an upright colour JPEG.
    Returns:
        uint8 ``(part.height, part.width, 3)``; None if the file does not end like a JPEG or the GPU could not
        decode it: the host then decodes the photo.
    """
    if not data.endswith(_END_OF_IMAGE):
        return None
    from torchcodec.decoders import decode_jpeg  # type: ignore[attr-defined]

    try:
        (photo,) = decode_jpeg([data], device=DEVICE)
        return _cropped(photo, part, interpolation)
    except RuntimeError:  # a broken file, or no memory left on the GPU
        return None


def _cropped(photo: Tensor, part: Part, interpolation: str) -> Pixels:
    """Resize and crop a decoded photo.

    Args:
        photo: uint8 ``(3, height, width)``, on any device.
    """
    import torch

    with torch.inference_mode():
        resized = torch.nn.functional.interpolate(
            photo[None].float(), (part.photo_height, part.photo_width), mode=interpolation, antialias=True
        )
        right, bottom = part.left + part.width, part.top + part.height
        crop = resized[0, :, part.top : bottom, part.left : right]
        pixels = crop.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return np.asarray(pixels.cpu().numpy())
