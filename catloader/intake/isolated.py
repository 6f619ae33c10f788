"""Step 1 in child processes with limits: uploaded bytes are never decoded in the site's own process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from catloader import errors
from catloader.intake.places import Places
from catloader.intake.prepare import Limits, Prepared, broken, format_of, prepare, too_slow
from checker.errors import DecoderUnavailable, DecodingFailed, DecodingTooLarge, DecodingTooSlow
from checker.isolation.child import Result
from checker.isolation.pool import ChildPool, Reply
from checker.pixels.renditions import Crop

WORK = f"{__name__}:prepare_item"
"""For ``ForkServer``."""
_REFUSALS = {
    leaf.__name__: leaf
    for leaf in (errors.NotAnImage, errors.BrokenImage, errors.TooManyBytes, errors.TooManyPixels)
}


class IsolatedPreparer:
    """Prepares uploads in the children of a pool. Thread-safe.

    Args:
        places: bounds the uploads that are prepared or wait for that, in all and for each owner.
    """

    def __init__(self, pool: ChildPool, places: Places, limits: Limits) -> None:
        self._pool, self.places, self._limits = pool, places, limits

    def __call__(self, data: bytes, owner_id: int) -> Prepared:
        """Do the work of ``prepare``.

        Raises:
            BadImage: also for a file that crashes a decoder or goes beyond a limit.
            UploadsBusy: no place has become free in time.
            DecodersAway: no process could be started that decodes.
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
                    f"This {source_format} photo takes too much memory to open. "
                    "Save it as a new JPEG and try again."
                ) from reply
            case DecodingFailed():
                raise broken(source_format) from reply
            case DecoderUnavailable():
                raise errors.DecodersAway("No photo can be opened at the moment. Try again soon.") from reply
        raise reply  # a bug, logged with its traceback


def prepare_item(arguments: Mapping[str, Any], item: Sequence[bytes]) -> Result:
    """Prepare one upload; runs in a child."""
    try:
        prepared = prepare(item[0], limits=Limits(**arguments))
    except errors.BadImage as error:
        return {"refused": type(error).__name__, "sentence": str(error)}, []
    facts = {
        field.name: getattr(prepared, field.name)
        for field in dataclasses.fields(prepared)
        if field.name not in ("photo", "thumbnail")
    }
    return facts, [prepared.photo, prepared.thumbnail]


def _prepared(reply: Reply) -> Prepared:
    facts = dict(reply.result)
    if "refused" in facts:
        raise _REFUSALS[facts["refused"]](facts["sentence"])
    photo, thumbnail = reply.blobs
    return Prepared(photo=photo, thumbnail=thumbnail, crop=Crop(*facts.pop("crop")), **facts)
