"""Step 1 in child processes with limits: uploaded bytes are never decoded in the site's process."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from catloader import errors
from catloader.intake.places import Places
from catloader.intake.prepare import Limits, Prepared, as_prepared, broken, format_of, prepare, too_slow
from catloader.languages import gettext_noop
from checker.errors import (
    DecoderUnavailable,
    DecodingFailed,
    DecodingTooLarge,
    DecodingTooSlow,
    UnreadableImage,
)
from checker.isolation.child import Result
from checker.isolation.pool import ChildPool, Reply
from checker.pixels.renditions import Crop, cut_thumbnail, rotated_photo
from checker.pixels.sizes import RenditionSizes

WORK, _THUMBNAIL, _ROTATION = (f"{__name__}:{name}" for name in ("prepare_item", "cut_item", "rotate_item"))
WORKS = (WORK, _THUMBNAIL, _ROTATION)
"""The functions that ``ForkServer`` must know."""
_AWAY = gettext_noop("No photo can be opened at the moment. Try again soon.")
_REFUSALS = {
    leaf.__name__: leaf
    for leaf in (
        errors.NotAnImage,
        errors.BrokenImage,
        errors.TooManyBytes,
        errors.TooManyPixels,
        errors.UploadsBusy,
    )
}


@dataclasses.dataclass(frozen=True, slots=True)
class Thumbnail:
    """A square of a photo."""

    data: bytes
    side_px: int
    crop: Crop
    sha256: str


class IsolatedPreparer:
    """Prepares uploads in the children of a pool. Thread-safe.

    Args:
        places: limits the uploads that are being prepared or wait for a slot, in all and per owner.
    """

    def __init__(self, pool: ChildPool, places: Places, limits: Limits) -> None:
        self._pool, self.places, self._limits = pool, places, limits

    def __call__(self, data: bytes, owner_id: int) -> Prepared:
        """Do the work of ``prepare``.

        Raises:
            BadImage: as ``prepare``, or the file crashes a decoder or exceeds a limit.
            UploadsBusy: no place, or no turn for a large photo, became free in time.
            DecodersAway: no decoding process could be started.
        """
        source_format = format_of(data, self._limits)
        with self.places.taken(owner_id):
            (reply,) = self._pool.run(WORK, dataclasses.asdict(self._limits), [[data]])
        match reply:
            case Reply():
                return _prepared(reply)
            case DecodingTooSlow():
                raise too_slow(source_format) from reply
            case DecodingTooLarge():
                raise errors.BrokenImage(
                    "This %(format)s photo takes too much memory to open. "
                    "Save it as a new JPEG and try again.",
                    format=source_format,
                ) from reply
            case DecodingFailed():
                raise broken(source_format) from reply
            case DecoderUnavailable():
                raise errors.DecodersAway(_AWAY) from reply
        raise reply  # a bug, logged with its traceback

    def thumbnail(self, photo: bytes, crop: Crop, owner_id: int) -> Thumbnail:
        """Cut another square from a stored photo.

        Raises:
            ObjectAltered: the photo can't be decoded, so it differs from the stored photo.
            UploadsBusy, DecodersAway: as for an upload.
        """
        reply = self._of_stored(_THUMBNAIL, photo, owner_id, crop=crop)
        data, side_px = reply.blobs[0], reply.result["side_px"]
        return Thumbnail(data, side_px, crop, hashlib.sha256(data).hexdigest())

    def rotated(self, photo: bytes, quarters: int, crop: Crop, owner_id: int) -> Prepared:
        """Do the work of ``rotated_photo``; raises as ``thumbnail``."""
        return _prepared(self._of_stored(_ROTATION, photo, owner_id, crop=crop, quarters=quarters))

    def _of_stored(self, work: str, photo: bytes, owner_id: int, **arguments: Any) -> Reply:
        arguments["sizes"] = dataclasses.asdict(self._limits.sizes)
        with self.places.taken(owner_id):
            (reply,) = self._pool.run(work, arguments, [[photo]])
        match reply:
            case Reply() if "unreadable" not in reply.result:
                return reply
            case Reply():
                raise errors.ObjectAltered("a stored photo can't be decoded")
            case DecoderUnavailable() | DecodingFailed():  # the photo was decoded before: the machine failed
                raise errors.DecodersAway(_AWAY) from reply
        raise reply  # a bug, logged with its traceback


def prepare_item(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Prepare one upload; runs in a child."""
    try:
        prepared = prepare(item[0], limits=Limits(**arguments))
    except (errors.BadImage, errors.UploadsBusy) as error:
        return {"refused": type(error).__name__, "message": error.message, "values": error.values}, []
    return _result(prepared)


def cut_item(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Cut a square from a stored photo; runs in a child."""
    sizes = RenditionSizes(**arguments["sizes"])
    try:
        thumbnail, side_px = cut_thumbnail(item[0], Crop(*arguments["crop"]), sizes)
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []
    return {"side_px": side_px}, [thumbnail]


def rotate_item(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Rotate a stored photo; runs in a child."""
    sizes, crop = RenditionSizes(**arguments["sizes"]), Crop(*arguments["crop"])
    try:
        return _result(as_prepared(rotated_photo(item[0], arguments["quarters"], crop, sizes)))
    except UnreadableImage as error:
        return {"unreadable": str(error)}, []


def _result(prepared: Prepared) -> Result:
    facts = {
        field.name: getattr(prepared, field.name)
        for field in dataclasses.fields(prepared)
        if field.name not in ("photo", "thumbnail")
    }
    return facts, [prepared.photo, prepared.thumbnail]


def _prepared(reply: Reply) -> Prepared:
    facts = dict(reply.result)
    if "refused" in facts:
        raise _REFUSALS[facts["refused"]](facts["message"], **facts["values"])
    photo, thumbnail = reply.blobs
    return Prepared(photo=photo, thumbnail=thumbnail, crop=Crop(*facts.pop("crop")), **facts)
