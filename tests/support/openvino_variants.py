"""OpenVINO variants of a real model, made once for all processes of this test run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from models.catalogue import Entry, entry_named, weights_path
from models.convert import Pixels
from models.openvino_ir import Manifest
from models.optimise import MIN_CALIBRATION_PHOTOS, optimise
from tests.support import run_folder

ENTRY = entry_named("efficientnet_lite0")


def weights() -> Path:
    path = weights_path(ENTRY, Path())
    assert path is not None  # a package of requirements.txt
    return path


def folder(precision: str) -> Path:
    """Return the folder of a precision. It must not change once the variant in it is made."""
    return run_folder.path() / f"openvino-{precision}"


@functools.cache
def made(precision: str) -> tuple[Entry, Manifest]:
    """Make a variant. A second process waits for the first one and uses its files."""
    calibration = crops() if precision == "int8" else ()
    return ENTRY, optimise(ENTRY, weights(), folder(precision), precision, calibration)


@functools.cache
def crops() -> tuple[Pixels, ...]:
    """Return crops of scikit-image's photos, at the input size of the model."""
    rng, side = np.random.default_rng(0), ENTRY.preprocessing.input_px
    crops = []
    for number in range(MIN_CALIBRATION_PHOTOS):
        image = photo(("chelsea", "astronaut", "coffee", "rocket")[number % 4])
        size = int(min(image.size) * rng.uniform(0.6, 1.0))
        left = int(rng.integers(0, image.width - size + 1))
        top = int(rng.integers(0, image.height - size + 1))
        crop = image.resize((side, side), box=(left, top, left + size, top + size))
        crops.append(np.asarray(crop)[:, :: rng.choice([-1, 1])])
    return tuple(crops)


def photo(name: str) -> Image.Image:
    """Return a photo that comes with scikit-image."""
    read: Callable[[], Pixels] = getattr(skimage.data, name)
    return Image.fromarray(read())
