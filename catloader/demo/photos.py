"""The demo's photos, made from photos in scikit-image: no network, no files in the repository."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pillow_heif
from PIL import Image

from catloader.errors import StartupError

_GPS_IFD = 0x8825
# North 52 deg 31' 12", east 13 deg 24' 18", in EXIF's notation: a position that the site must remove.
_POSITION = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
_TWELVE_MEGAPIXELS = (4000, 3000)


@dataclass(frozen=True, slots=True)
class DemoPhoto:
    """A file, and the verdict that it should get."""

    name: str
    path: Path
    expected: Literal["cat", "not_cat"]


def demo_photos(folder: Path) -> list[DemoPhoto]:
    """Write the photos into ``folder``, some unchanged, others in the formats of phones and web sites.

    Raises:
        StartupError: scikit-image is not installed.
    """
    shipped = _shipped_folder()
    photos = []

    def add(name: str, expected: Literal["cat", "not_cat"]) -> Path:
        photos.append(DemoPhoto(name, folder / name, expected))
        return folder / name

    for name in ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg"):
        path = add(name, "cat" if name.startswith("chelsea") else "not_cat")
        path.write_bytes((shipped / name).read_bytes())
    with Image.open(shipped / "chelsea.png") as file:
        chelsea = file.convert("RGB")
    with Image.open(shipped / "motorcycle_left.png") as file:
        motorcycle = file.convert("RGB")
    exif = Image.Exif()
    exif.get_ifd(_GPS_IFD).update(_POSITION)
    _cropped(chelsea, _TWELVE_MEGAPIXELS).save(
        add("chelsea-12-megapixels-gps.jpg", "cat"), quality=90, exif=exif
    )
    pillow_heif.from_pillow(chelsea).save(add("chelsea.heic", "cat"), quality=80)
    motorcycle.save(add("motorcycle.webp", "not_cat"), quality=85)
    return photos


def _shipped_folder() -> Path:
    """Return scikit-image's data folder without importing scikit-image, which takes seconds."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise StartupError("The demo's photos come with scikit-image: pip install 'catloader[demo]'.")
    return Path(spec.origin).parent / "data"


def _cropped(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Crop around the centre to the aspect ratio of ``size``, then scale to ``size``."""
    width = min(image.width, image.height * size[0] / size[1])
    height = width * size[1] / size[0]
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
