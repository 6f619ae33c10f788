"""Photos for the speed benchmark, made from scikit-image's, with detail at every scale as in camera photos.

A smooth photo that is scaled up to 12 megapixels would be a small JPEG, but the cost of decoding grows with
the number of bytes. So each scale gets texture, and the finest one gets grain: about 50 kB at 500 x 375 and
1.8 MB at 4000 x 3000. The benchmark prints the sizes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from checker.pixels.renditions import site_renditions
from checker.values import Rendition

SIZES = {"500x375": (500, 375, 90), "12MP": (4000, 3000, 90)}
"""Name -> width, height, JPEG quality."""
_SOURCES = ("astronaut", "coffee", "chelsea", "rocket", "retina", "immunohistochemistry")
_GRAIN, _TEXTURE, _OCTAVES = 1.6, 2.2, 6


def make(folder: Path, size: str, count: int) -> list[Path]:
    """Write ``count`` photos and their thumbnails, deterministically; return the photos' paths."""
    import skimage.data

    width, height, quality = SIZES[size]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{size}-{number:02}.jpg"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng(number)
        read = getattr(skimage.data, _SOURCES[number % len(_SOURCES)])
        source = Image.fromarray(read()).convert("RGB")
        pixels = np.asarray(_part(source, width, height, rng), dtype=np.float32)
        light = _texture(width, height, rng)[:, :, np.newaxis]
        Image.fromarray(np.clip(pixels + light, 0, 255).astype(np.uint8)).save(
            path, "JPEG", quality=quality, subsampling="4:2:0"
        )
        thumbnail_of(path).write_bytes(site_renditions(path.read_bytes())[Rendition.THUMBNAIL])
    return paths


def thumbnail_of(photo: Path) -> Path:
    return photo.with_name(f"thumbnail-{photo.name}")


def _part(source: Image.Image, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Crop a part with the frame's aspect ratio, at least 70 % of the source, and scale it to the frame."""
    share = rng.uniform(0.7, 1.0)
    across = min(source.width, source.height * width / height) * share
    down = across * height / width
    left, top = rng.uniform(0, source.width - across), rng.uniform(0, source.height - down)
    box = (left, top, left + across, top + down)
    return source.resize((width, height), Image.Resampling.BICUBIC, box=box)


def _texture(width: int, height: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return noise of equal strength in each octave: natural amplitudes fall as one over the frequency."""
    light = rng.normal(0, _GRAIN, (height, width)).astype(np.float32)
    for octave in range(1, _OCTAVES):
        step = 2**octave
        coarse = rng.normal(0, _TEXTURE, (-(-height // step), -(-width // step))).astype(np.float32)
        light += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return light
