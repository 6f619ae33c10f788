"""Base of corruptions and positions: modified labelled photos, with unchanged labels and kinds."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from checker.evaluation.photos import CAT, NOT_CAT, LabelledPhoto
from checker.pixels.renditions import encode
from checker.pixels.sizes import DEFAULT_SIZES
from checker.values import Rendition

Ground = Callable[[], Image.Image]
"""A function that decodes another photo, without a cat, as RGB."""
Change = Callable[[Image.Image, int, Ground], Image.Image]
"""(RGB photo, seed, ground) -> modified RGB photo. The same seed gives the same result."""


@dataclass(frozen=True, slots=True)
class Variation:
    """One modification, applied to every photo."""

    family: str
    strength: str
    change: Change

    @property
    def name(self) -> str:
        return f"{self.family}, {self.strength}"


def varied(photos: Sequence[LabelledPhoto], variation: Variation) -> list[LabelledPhoto]:
    """Return the modified photos, in the order of ``photos``; each is made when it is read."""
    grounds = [photo for photo in photos if photo.label == NOT_CAT]
    return [_varied(photo, variation, grounds[i % len(grounds)]) for i, photo in enumerate(photos)]


def _varied(photo: LabelledPhoto, variation: Variation, ground: LabelledPhoto) -> LabelledPhoto:
    def digest() -> str:
        text = "\n".join((variation.name, photo.digest(), ground.digest()))
        return hashlib.sha256(text.encode()).hexdigest()

    def renditions() -> Mapping[Rendition, bytes]:
        changed = variation.change(_image(photo), int(photo.digest()[:8], 16), partial(_image, ground))
        encoded = encode(changed, DEFAULT_SIZES)
        return {Rendition.PHOTO: encoded.photo, Rendition.THUMBNAIL: encoded.thumbnail}

    return replace(photo, read=renditions, source_sha256=digest)


def _image(photo: LabelledPhoto) -> Image.Image:
    with Image.open(io.BytesIO(photo.read()[Rendition.PHOTO])) as image:
        return image.convert("RGB")


def sample(photos: Sequence[LabelledPhoto], most: int) -> list[LabelledPhoto]:
    """Choose at most ``most`` cats and as many others, spread over their kinds; deterministic."""
    sampled: list[LabelledPhoto] = []
    for label in (CAT, NOT_CAT):
        by_kind: dict[str, list[LabelledPhoto]] = defaultdict(list)
        for photo in sorted(photos, key=lambda photo: hashlib.sha256(photo.name.encode()).hexdigest()):
            if photo.label == label:
                by_kind[photo.kind_or_label].append(photo)
        turns = [
            photo
            for turn in range(max(map(len, by_kind.values())))
            for kind in sorted(by_kind)
            for photo in by_kind[kind][turn : turn + 1]
        ]
        sampled += turns[:most]
    return sorted(sampled, key=lambda photo: photo.name)
