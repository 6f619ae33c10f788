"""The JSON that the pages' scripts ask for."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from catloader.errors import InvalidInput
from catloader.web.context import MAX_ID, services
from catloader.web.labels import badge
from catloader.web.sessions import current_user

blueprint = Blueprint("api", __name__, url_prefix="/api")

MAX_IDS = 100


@blueprint.get("/photos/status")
def status() -> Response:
    """``?ids=1,2,3`` (at most 100): those of them that are yours, each with its badge."""
    ids = _ids(request.args.get("ids", ""))
    found = services().photos.statuses(current_user().id, ids) if ids else []
    shown = []
    for image in found:
        label = badge(image)
        shown.append(
            {
                "id": image.id,
                "status": image.status,
                "label": label.text,
                "tone": label.tone,
                "final": label.final,
                "score": image.score,
                "calibrated": image.calibrated,
            }
        )
    return jsonify(photos=shown)


def _ids(text: str) -> list[int]:
    words = [word for word in text.split(",") if word]
    if len(words) > MAX_IDS or not all(
        word.isascii() and word.isdecimal() and len(word) < 20 for word in words
    ):
        raise InvalidInput(f"ids takes up to {MAX_IDS} numbers, separated by commas.")
    return [id for id in map(int, words) if id <= MAX_ID]
