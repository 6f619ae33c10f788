"""Pages on which owners change a photo: another square for the thumbnail, a rotation, or another file."""

from __future__ import annotations

import logging
import time
from typing import BinaryIO, cast

from flask import Blueprint, Flask, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput
from catloader.intake import changes
from catloader.intake.prepare import shown_limit
from catloader.store.db.photos.photo_rows import Photo
from catloader.web.http.context import MAX_PHOTO_ID, own_photo, page_of_photo, services
from catloader.web.http.request_log import tell_photos
from catloader.web.languages import gettext
from catloader.web.uploads.admission import uses_object_store
from catloader.web.uploads.storing import WakeAfterResponse
from catloader.web.uploads.uploads import chosen_files
from checker.pixels.renditions import Crop

logger = logging.getLogger(__name__)
blueprint = Blueprint("editing", __name__)
_QUARTERS = {"right": 1, "left": 3}
"""Side -> number of clockwise rotations by 90 degrees."""


def init_app(app: Flask, photo_bytes: int) -> None:
    @app.before_request
    def allow_a_photo() -> None:
        if request.endpoint == "editing.replace":
            request.max_content_length = photo_bytes


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>/square")
def square_form(id: int) -> str:
    return _square_page(own_photo(id))


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/square")
@uses_object_store
def square(id: int) -> Response | tuple[str, int]:
    """Cut the thumbnail from the square in the form, whose numbers are pixels of the photo."""
    photo, app = own_photo(id), services()
    try:
        is_checked_anew = changes.cut(
            photo,
            Crop(_pixels("left"), _pixels("top"), _pixels("side")),
            settings=app.settings,
            prepare=app.decoders.prepare,
            files=app.photo_files,
            objects=app.objects,
            dispatcher=WakeAfterResponse(app.dispatcher),
        )
    except InvalidInput as error:
        return _square_page(photo, error), error.status
    app.deletion.wake()
    logger.info("user %d chose another square of photo %d", photo.owner_id, id)
    saved, again = gettext("Square saved."), gettext("Square saved. The photo will be checked again.")
    flash(again if is_checked_anew else saved)
    return redirect(url_for("photo.page", id=id), 303)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/rotate")
@uses_object_store
def rotate(id: int) -> Response:
    """Rotate the photo by 90 degrees, to the side in the form."""
    photo, app, side = own_photo(id), services(), request.form.get("to", "")
    if side not in _QUARTERS:
        raise InvalidInput("Rotate the photo to the left or to the right. Nothing was changed.")
    is_checked_anew = changes.rotate(
        photo,
        _QUARTERS[side],
        settings=app.settings,
        prepare=app.decoders.prepare,
        files=app.photo_files,
        objects=app.objects,
        dispatcher=WakeAfterResponse(app.dispatcher),
    )
    app.deletion.wake()
    logger.info("user %d rotated photo %d to the %s", photo.owner_id, id, side)
    rotated, again = gettext("Photo rotated."), gettext("Photo rotated. It will be checked again.")
    flash(again if is_checked_anew else rotated)
    return redirect(page_of_photo(id), 303)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/replace")
@uses_object_store
def replace(id: int) -> Response:
    photo, app, started_s = own_photo(id), services(), time.monotonic()
    files = chosen_files()
    if len(files) != 1:
        raise InvalidInput("Choose one photo to replace this one. Nothing was changed.")
    changes.replace(
        photo,
        cast(BinaryIO, files[0].stream),
        settings=app.settings,
        prepare=app.decoders.prepare,
        files=app.photo_files,
        objects=app.objects,
        dispatcher=WakeAfterResponse(app.dispatcher),
    )
    app.deletion.wake()
    tell_photos([id])
    sent, seconds = shown_limit(request.content_length or 0), time.monotonic() - started_s
    logger.info("user %d replaced photo %d, %s in %.1f s", photo.owner_id, id, sent, seconds)
    flash(gettext("Photo replaced. The new one will be checked."))
    return redirect(page_of_photo(id), 303)


def _square_page(photo: Photo, error: InvalidInput | None = None) -> str:
    return render_template(
        "square.html", photo=photo, error=error, min_px=changes.min_side_px(photo), form=request.form
    )


def _pixels(name: str) -> int:
    text = request.form.get(name, "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise InvalidInput(
            "Give the position and the size of the square in whole pixels. Nothing was changed."
        )
    return int(text)
