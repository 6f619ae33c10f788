"""Home page, My photos, a photo's page, and the JPEG files."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from flask import Blueprint, Response, current_app, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from catloader.errors import NotFound
from catloader.log_limit import LogLimit
from catloader.store.db.engine import utcnow
from catloader.store.db.photos import Photo
from catloader.store.kinds import ObjectKind
from catloader.web.admission import uses_object_store
from catloader.web.context import MAX_ID, services
from catloader.web.gauge import gauge
from catloader.web.labels import noun_of, reason, sentence
from catloader.web.sessions import current_user, without_login

logger = logging.getLogger(__name__)
blueprint = Blueprint("gallery", __name__)

PAGE_PHOTOS = 24
_NOT_FOUND = "This photo may have been deleted, or it belongs to someone else."


@blueprint.get("/")
@without_login
def landing() -> Any:
    return redirect(url_for(".photos"), 303) if g.user else render_template("landing.html")


@blueprint.get("/photos")
def photos() -> str:
    before = request.args.get("before", type=int)
    before = before if before is not None and 0 < before <= MAX_ID else None
    rows = services().photos.of_owner(current_user().id, before, PAGE_PHOTOS + 1)
    page = rows[:PAGE_PHOTOS]
    older = page[-1].id if len(rows) > PAGE_PHOTOS else None
    return render_template("photos.html", photos=page, older=older, first_page=before is None)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>")
def photo(id: int) -> str:
    photo = _own_photo(id)
    record = services().check_log.latest(id)
    explained = services().check_log.latest_decision(id)
    return render_template(
        "photo.html",
        photo=photo,
        record=record,
        gauge=gauge(record),
        sentence=sentence(photo, record),
        reason=reason(photo),
        explained=explained,
        explained_noun=noun_of(explained.subject or "") if explained else None,
    )


@blueprint.post(f"/photos/<int(max={MAX_ID}):id>/delete")
def delete(id: int) -> BaseResponse:
    user = current_user()
    if not services().photos.delete(id, user.id, utcnow()):
        raise NotFound(_NOT_FOUND)
    services().deletion.wake()
    logger.info("user %d deleted photo %d", user.id, id)
    flash("Photo deleted.")
    return redirect(url_for(".photos"), 303)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/photo.jpg")
@without_login  # without a log-in the response is 404, not the log-in page
@uses_object_store
def photo_file(id: int) -> BaseResponse:
    photo = _visible_photo(id)
    return _jpeg_response(ObjectKind.PHOTO, photo.photo_key, photo.sha256)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/thumbnail.jpg")
@without_login
@uses_object_store
def thumbnail_file(id: int) -> BaseResponse:
    photo = _visible_photo(id)
    return _jpeg_response(ObjectKind.THUMBNAIL, photo.thumbnail_key, photo.thumbnail_sha256)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/explanation.jpg")
@without_login
@uses_object_store
def explanation_file(id: int) -> BaseResponse:
    """Serve the explanation. The first request makes it, in seconds; while busy: 503 with ``Retry-After``."""
    photo = services().photos.by_id(id) if g.user else None
    if photo is None or photo.owner_id != g.user.id:  # public or not: explanations are for the owner
        raise NotFound(_NOT_FOUND)
    key = services().explainer.explain(photo)
    # Each explanation has its own key, so the key's digest identifies the content.
    return _jpeg_response(ObjectKind.EXPLANATION, key, hashlib.sha256(key.encode()).hexdigest())


def _own_photo(id: int) -> Photo:
    photo = services().photos.by_id(id)
    if photo is None or photo.owner_id != current_user().id:
        raise NotFound(_NOT_FOUND)
    return photo


def _visible_photo(id: int) -> Photo:
    """Return a photo that the user may see: the user's own, or a public one.

    Raises:
        NotFound: also for another user's private photo, whose existence is not revealed.
    """
    photo = services().photos.by_id(id) if g.user else None
    if photo is None or not (photo.on_air or photo.owner_id == g.user.id):
        raise NotFound(_NOT_FOUND)
    return photo


def _jpeg_response(kind: ObjectKind, key: str, sha256: str) -> BaseResponse:
    settings = services().settings
    if settings.delivery == "url":
        link = redirect(services().objects.url(kind, key, settings.url_ttl_s), 302)
        link.headers["Cache-Control"] = "private, no-store"
        return link
    response = Response(mimetype="image/jpeg")
    response.set_etag(sha256)
    # The browser may keep the file but must revalidate it: after a log-out, or once the photo is
    # deleted, the response is 404. A 304 needs no request to S3.
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    if response.status_code == 304:
        return response
    if request.method == "HEAD":
        response.response = iter(())
        return response
    try:
        chunks, size_bytes = services().objects.open(kind, key)
    except NotFound:
        _log_missing(kind)
        raise
    response.response = chunks
    response.content_length = size_bytes
    return response


def _log_missing(kind: ObjectKind) -> None:
    limit: LogLimit = current_app.extensions.setdefault("catloader.missing_objects", LogLimit())
    if (others := limit.suppressed()) is not None:
        more = f" ({others} more not logged)" if others else ""
        logger.warning("%s: the %s is not in the object store%s", request.path, kind, more)
