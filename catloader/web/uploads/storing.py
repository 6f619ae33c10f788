"""Steps 1 to 4 for the user of a request: store files with ``intake.upload``, and log the outcomes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import BinaryIO

from flask import after_this_request, make_response
from werkzeug.wrappers import Response

from catloader.checks.dispatch import Dispatcher
from catloader.errors import KeyInUse
from catloader.intake.prepare import shown_limit
from catloader.intake.square import Square, with_square
from catloader.intake.upload import Refused, Uploaded
from catloader.intake.upload import upload as store
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import for_log, services
from catloader.web.http.errors import error_response
from catloader.web.http.request_log import tell_photos
from catloader.web.languages import translated

logger = logging.getLogger(__name__)


class WakeAfterResponse:
    """A dispatcher that wakes the checker after the response is sent, so that the check does not delay it.

    If the process dies in between, nothing is lost: the sweep finds the photo.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def wake(self) -> None:
        @after_this_request
        def fire(response: Response) -> Response:
            response.call_on_close(self._dispatcher.wake)
            return response

    def close(self) -> None:
        pass


def store_files(
    files: Sequence[tuple[str, BinaryIO | bytes]],
    captions: Sequence[str],
    size_bytes: int,
    keys: Sequence[UploadKey] = (),
    *,
    keep_dates: bool = False,
    square: Square | None = None,
) -> list[Uploaded | Refused]:
    """Store files as photos of the user (see ``intake.upload``). A key that was used returns its photo.

    Args:
        size_bytes: total size of the files, for the log.
        square: the square from which thumbnails are cut; None: the centre.
    """
    user, app, started_s = current_user(), services(), time.monotonic()
    outcomes = store(
        files,
        captions,
        user.id,
        settings=app.settings,
        prepare=with_square(app.decoders.prepare, square) if square else app.decoders.prepare,
        photos=app.photos,
        objects=app.objects,
        dispatcher=WakeAfterResponse(app.dispatcher),
        keys=keys,
        keep_dates=keep_dates,
    )
    for place, key in enumerate(keys):
        outcomes[place] = _stored_before(outcomes[place], key) or outcomes[place]
    _log_outcomes(user.id, outcomes, time.monotonic() - started_s, size_bytes)
    return outcomes


def store_once(
    name: str,
    data: bytes,
    caption: str,
    key: UploadKey,
    *,
    keep_date: bool = False,
    square: Square | None = None,
) -> Uploaded | Refused:
    """Store a file whose upload may be repeated. The same key always returns the same photo.

    Raises:
        KeyReused: the key was used for a file with other bytes.
    """
    user, keys = current_user(), services().upload_keys
    id = keys.photo_of(user.id, key, utcnow())
    if id is not None:
        return Uploaded(name, id, duplicate_of(id))
    (outcome,) = store_files([(name, data)], [caption], len(data), [key], keep_dates=keep_date, square=square)
    return outcome


def refused_response(outcome: Refused) -> Response:
    """Respond with the error of a refused file. It has been logged and counted already."""
    sentence = translated(outcome.reason or outcome.error)
    response = make_response(error_response(outcome.status, sentence, kind=outcome.kind))
    if outcome.retry_after_s:
        response.headers["Retry-After"] = str(outcome.retry_after_s)
    return response


def _stored_before(outcome: Uploaded | Refused, key: UploadKey) -> Uploaded | None:
    """Return the photo that another request stored with the key at the same time."""
    if isinstance(outcome, Uploaded) or outcome.kind != KeyInUse.__name__:
        return None
    id = services().upload_keys.photo_of(current_user().id, key, utcnow())
    return None if id is None else Uploaded(outcome.name, id, duplicate_of(id))


def duplicate_of(id: int) -> int | None:
    """Return the id of the owner's first photo with the same bytes; None if that is this photo."""
    photo = services().photos.by_id(id)
    first = services().photos.same(photo.owner_id, photo.sha256) if photo else None
    return None if first == id else first


def _log_outcomes(
    user_id: int, outcomes: Sequence[Uploaded | Refused], seconds: float, size_bytes: int
) -> None:
    """Log what was stored and what was refused, and count the refusals."""
    if ids := [outcome.photo_id for outcome in outcomes if isinstance(outcome, Uploaded)]:
        tell_photos(ids)
        sent = shown_limit(size_bytes)
        logger.info("user %d stored %s, %s in %.1f s", user_id, _id_ranges(ids), sent, seconds)
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            services().metrics.refused(outcome.kind)
            reason = for_log(outcome.error, max_chars=200)
            logger.info("user %d: refused %s: %s", user_id, for_log(outcome.name), reason)


def _id_ranges(ids: Sequence[int]) -> str:
    """Return "photo 81" or "photos 81-83, 90". The ids of one upload are in ascending order."""
    ranges: list[list[int]] = []
    for id in ids:
        if ranges and id == ranges[-1][-1] + 1:
            ranges[-1][1:] = [id]
        else:
            ranges.append([id])
    return f"photo{'' if len(ids) == 1 else 's'} " + ", ".join("-".join(map(str, pair)) for pair in ranges)
