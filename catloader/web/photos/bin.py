"""The bin: photos that their owner deleted, and can restore or delete permanently."""

from __future__ import annotations

import logging
from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput, NotFound
from catloader.store.db.photos.gallery import Position
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_PHOTO_ID, PHOTO_NOT_FOUND, local_path, services
from catloader.web.languages import gettext, ngettext
from catloader.web.photos.jpegs import jpeg_response, sharp_response
from catloader.web.photos.photo_list import (
    PAGE_PHOTOS,
    position_of_text,
    say_gone,
    selected_ids,
    text_of_position,
)
from catloader.web.uploads.admission import uses_object_store
from checker.plurals import counted

logger = logging.getLogger(__name__)
blueprint = Blueprint("bin", __name__, url_prefix="/bin")


@blueprint.get("")
def photos() -> str:
    bin, owner = services().bin, current_user().id
    rows = bin.page(owner, position_of_text(request.args.get("before", "")), PAGE_PHOTOS + 1)
    photos = rows[:PAGE_PHOTOS]
    last = photos[-1] if len(rows) > PAGE_PHOTOS else None
    return render_template(
        "bin.html",
        photos=photos,
        number=bin.count(owner),
        kept_for=timedelta(days=bin.days),
        next=text_of_position(Position(last.binned_at, last.id)) if last and last.binned_at else None,
    )


@blueprint.post("")
def act() -> Response | str:
    """Restore the selected photos; delete the selected or all photos, after a confirmation page."""
    ids, user, bin = selected_ids(request.form), current_user(), services().bin
    action = request.form.get("action")
    if action == "empty":
        return render_template("empty_bin.html", number=bin.count(user.id))
    if action == "confirm-empty":
        return _deleted(bin.empty(user.id))
    if not ids:
        flash(gettext("Select at least one photo first."))
        return redirect(url_for(".photos"), 303)
    photos = [photo for id in ids if (photo := bin.photo(id, user.id))]
    if not photos:
        say_gone()
        return redirect(local_path(request.form.get("next") or url_for(".photos")), 303)
    match action:
        case "restore":
            number = bin.restore(ids, user.id)
            logger.info("user %d restored %s", user.id, counted(number, "photo"))
            flash(ngettext("%(num)d photo restored.", "%(num)d photos restored.", number))
            return redirect(local_path(request.form.get("next") or url_for(".photos")), 303)
        case "delete":
            return render_template(
                "delete_selected.html", photos=photos, next=None, back=url_for(".photos"), at=url_for(".act")
            )
        case "confirm-delete":
            return _deleted(bin.delete(ids, user.id))
    raise InvalidInput("Choose what to do with the selected photos.")


@blueprint.get(f"/<int(max={MAX_PHOTO_ID}):id>/thumbnail.jpg")
@uses_object_store
def thumbnail(id: int) -> Response:
    photo = _binned(id)
    return jpeg_response(ObjectKind.THUMBNAIL, photo.thumbnail_key, photo.thumbnail_sha256)


@blueprint.get(f"/<int(max={MAX_PHOTO_ID}):id>/thumbnail-2x.jpg")
@uses_object_store
def thumbnail_2x(id: int) -> Response:
    return sharp_response(_binned(id))


def _binned(id: int) -> Photo:
    photo = services().bin.photo(id, current_user().id)
    if photo is None:
        raise NotFound(PHOTO_NOT_FOUND)
    return photo


def _deleted(number: int) -> Response:
    services().deletion.wake()
    logger.info("user %d deleted %s from the bin", current_user().id, counted(number, "photo"))
    flash(ngettext("%(num)d photo deleted.", "%(num)d photos deleted.", number))
    return redirect(url_for(".photos"), 303)
