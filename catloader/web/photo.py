"""A photo's page, and what its owner does with it."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import NotFound
from catloader.store.db.photos import Photo
from catloader.web.checking import checker_is_away
from catloader.web.context import MAX_ID, PHOTO_NOT_FOUND, services
from catloader.web.gallery_view import GalleryView
from catloader.web.gauge import gauge
from catloader.web.labels import noun_of, reason, sentence
from catloader.web.sessions import current_user

logger = logging.getLogger(__name__)
blueprint = Blueprint("photo", __name__)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>")
def page(id: int) -> str:
    photo = _own_photo(id)
    view = GalleryView.of_request(current_user().id, request.args)
    before, after = view.neighbours(services().gallery, photo)
    record = services().check_log.latest(id)
    explained = services().check_log.latest_decision(id)
    return render_template(
        "photo.html",
        photo=photo,
        view=view,
        before=before,
        after=after,
        checker_away=checker_is_away([photo]),
        record=record,
        gauge=gauge(record),
        sentence=sentence(photo, record),
        reason=reason(photo),
        explained=explained,
        explained_noun=noun_of(explained.subject or "") if explained else None,
    )


@blueprint.post(f"/photos/<int(max={MAX_ID}):id>/delete")
def delete(id: int) -> Response:
    user = current_user()
    if not services().photos.delete(id, user.id):
        raise NotFound(PHOTO_NOT_FOUND)
    services().deletion.wake()
    logger.info("user %d deleted photo %d", user.id, id)
    flash("Photo deleted.")
    return redirect(url_for("gallery.photos"), 303)


def _own_photo(id: int) -> Photo:
    photo = services().photos.by_id(id)
    if photo is None or photo.owner_id != current_user().id:
        raise NotFound(PHOTO_NOT_FOUND)
    return photo
