"""Step 1, upload: the square for the thumbnail, if the owner has chosen one before the upload."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from catloader.errors import InvalidInput
from catloader.intake.changes import MIN_SIDE_PX
from catloader.intake.isolated import IsolatedPreparer
from catloader.intake.prepare import Prepared
from checker.pixels.renditions import Crop

_NUMBER = r"([0-9]{1,3}(?:\.[0-9]{1,17})?)"


@dataclass(frozen=True, slots=True)
class Square:
    """A square, in units of the upright photo's width, because the client does not know the stored size."""

    left: float
    top: float
    side: float

    def within(self, width_px: int, height_px: int) -> Crop:
        """Return the square in pixels, moved or reduced to lie within the photo."""
        shorter = min(width_px, height_px)
        side = min(max(round(self.side * width_px), min(MIN_SIDE_PX, shorter)), shorter)
        left = min(round(self.left * width_px), width_px - side)
        top = min(round(self.top * width_px), height_px - side)
        return Crop(left, top, side)


def square_of_text(text: str) -> Square:
    """Read ``left,top,side``.

    Raises:
        InvalidInput: the text is not three numbers.
    """
    match = re.fullmatch(f"{_NUMBER},{_NUMBER},{_NUMBER}", text)
    if match is None:
        raise InvalidInput(
            "Upload-Metadata: square is left,top,side in widths of the photo, as in 0.25,0,0.5."
        )
    return Square(*map(float, match.groups()))


def with_square(prepare: IsolatedPreparer, square: Square) -> Callable[[bytes, int], Prepared]:
    """Return a preparer that cuts the thumbnail from the square."""

    def prepare_and_cut(data: bytes, owner_id: int) -> Prepared:
        prepared = prepare(data, owner_id)
        crop = square.within(prepared.width_px, prepared.height_px)
        thumbnail = prepare.thumbnail(prepared.photo, crop, owner_id)
        return replace(
            prepared,
            thumbnail=thumbnail.data,
            thumbnail_px=thumbnail.side_px,
            thumbnail_sha256=thumbnail.sha256,
            crop=crop,
        )

    return prepare_and_cut
