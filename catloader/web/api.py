"""JSON for the scripts of the pages."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from catloader.errors import InvalidInput
from catloader.web.accounts.sessions import current_user
from catloader.web.checking import waiting_note
from catloader.web.http import forms
from catloader.web.http.context import MAX_PHOTO_ID, services, whole_number
from catloader.web.photos.labels import badge

blueprint = Blueprint("api", __name__, url_prefix="/api")

MAX_IDS = 100


@blueprint.get("/form")
def form() -> Response:
    """Return a new token for an upload page that was left open, and the account for which it is valid."""
    return jsonify(token=forms.upload_token(), account=current_user().id)


@blueprint.get("/photos/status")
def status() -> Response:
    """Return status and badge of the user's own photos among ``?ids=1,2,3`` (at most 100 ids).

    ``waiting_note`` is a sentence that says why some of the photos wait, or "".
    """
    ids = _ids(request.args.get("ids", ""))
    photos = services().photos.statuses(current_user().id, ids) if ids else []
    entries = []
    for photo in photos:
        label = badge(photo)
        entries.append(
            {
                "id": photo.id,
                "status": photo.status,
                "label": label.text,
                "tone": label.tone,
                "final": label.final,
                "score": photo.score,
                "calibrated": photo.calibrated,
            }
        )
    return jsonify(photos=entries, waiting_note=waiting_note(photos))


def _ids(text: str) -> list[int]:
    ids = [whole_number(item) for item in text.split(",") if item]
    if len(ids) > MAX_IDS or None in ids:
        raise InvalidInput("ids takes up to %(number)d numbers, separated by commas.", number=MAX_IDS)
    return [id for id in ids if id is not None and id <= MAX_PHOTO_ID]
