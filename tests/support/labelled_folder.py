"""A folder of many labelled photos, cut from the repository's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from checker.evaluation.photos import LABELS
from tests.support.photo_sets import OWN_PHOTOS


def labelled_folder(folder: Path, **counts: int) -> Path:
    """Fill a folder with ``counts`` different photos of each label (``cat=50``); return the folder."""
    generator = np.random.default_rng(5)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        sources = OWN_PHOTOS.files(label)
        for number in range(counts.get(label, 0)):
            with Image.open(sources[number % len(sources)]) as photo:
                side = int(min(photo.size) * generator.uniform(0.6, 1.0))
                left, top = (int(generator.integers(0, edge - side + 1)) for edge in photo.size)
                square = photo.convert("RGB").crop((left, top, left + side, top + side))
            square.resize((260, 230)).save(folder / label / f"{number:03}.jpg", quality=90)
    return folder
