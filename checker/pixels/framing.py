"""Which part of each stored picture the network sees.

The photo's centre crop is what the network was trained on. The thumbnail is that same centre square: cropped
alike it would say the same again; seen to its edges, it adds what the crop cuts off.
"""

from __future__ import annotations

import dataclasses

from checker.ports import Rendition
from models.catalogue import Preprocessing


def preprocessing_of(view: Rendition, preprocessing: Preprocessing) -> Preprocessing:
    """Profiles rest on this rule: who changes it raises ``profile.FORMAT``."""
    if view is Rendition.PHOTO:
        return preprocessing
    return dataclasses.replace(preprocessing, resize_px=preprocessing.input_px)
