"""Pages on which staff remove photos from the public album, or allow them again. Other users get 404."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput, NotFound
from catloader.store.db.engine import utcnow
from catloader.texts import clean_text
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_PHOTO_ID, PHOTO_NOT_FOUND, services
from catloader.web.languages import gettext
from catloader.web.staff.admin import number_of
from catloader.web.staff.review import notify_owner, reviewers_only

logger = logging.getLogger(__name__)
blueprint = Blueprint("takedowns", __name__, url_prefix="/review")
blueprint.before_request(reviewers_only)

_PAGE = 50


@blueprint.get("/taken-down")
def photos() -> str:
    """List the photos that are kept out of the album, newest first."""
    rows = services().takedowns.page(number_of(request.args.get("before", ""), MAX_PHOTO_ID), _PAGE + 1)
    shown = rows[:_PAGE]
    return render_template(
        "taken_down.html", takedowns=shown, next=shown[-1].photo_id if len(rows) > _PAGE else None
    )


@blueprint.post(f"/<int(max={MAX_PHOTO_ID}):id>/take-down")
def take_down(id: int) -> Response:
    staff, note = current_user(), clean_text(request.form.get("note", ""), "note")
    if services().album.photo(id) is None:
        raise NotFound(PHOTO_NOT_FOUND)
    if not note:
        raise InvalidInput("Write a note that tells the owner why the photo was taken out.")
    if services().takedowns.take_down(id, staff.id, note, utcnow()):
        logger.info("reviewer %d took photo %d out of the album", staff.id, id)
        notify_owner(id)
        flash(gettext("The photo is out of the album. Its owner sees your note."))
    return redirect(url_for("album.photos"), 303)


@blueprint.post(f"/<int(max={MAX_PHOTO_ID}):id>/allow")
def allow(id: int) -> Response:
    """Let the owner publish the photo again."""
    if services().takedowns.lift(id, current_user().id, utcnow()):
        logger.info("reviewer %d allowed photo %d in the album again", current_user().id, id)
        flash(gettext("The owner can publish the photo again."))
    return redirect(url_for(".photos"), 303)
