"""Landing, My photos, a photo's page, and the pictures themselves."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from catloader.errors import NotFound
from catloader.store.db.photos import Photo
from catloader.web.context import MAX_ID, now, services
from catloader.web.gauge import gauge
from catloader.web.labels import noun_of, sentence
from catloader.web.sessions import current_user, public

logger = logging.getLogger(__name__)
blueprint = Blueprint("gallery", __name__)

PAGE_PHOTOS = 24


@blueprint.get("/")
@public
def landing() -> Any:
    return redirect(url_for(".photos"), 303) if g.user else render_template("landing.html")


@blueprint.get("/photos")
def photos() -> str:
    before = request.args.get("before", type=int)
    before = before if before is not None and 0 < before <= MAX_ID else None
    found = services().photos.of_owner(current_user().id, before, PAGE_PHOTOS + 1)
    shown = found[:PAGE_PHOTOS]
    older = shown[-1].id if len(found) > PAGE_PHOTOS else None
    return render_template("photos.html", photos=shown, older=older, first_page=before is None)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>")
def photo(id: int) -> str:
    image = _own(id)
    record = services().photos.latest_log(id)
    judged = services().explainer.judged(id)
    return render_template(
        "photo.html",
        photo=image,
        record=record,
        gauge=gauge(record),
        sentence=sentence(image, record),
        judged=judged,
        judged_noun=noun_of(judged.subject or "") if judged else None,
    )


@blueprint.post(f"/photos/<int(max={MAX_ID}):id>/delete")
def delete(id: int) -> BaseResponse:
    user = current_user()
    if not services().photos.delete(id, user.id, now()):
        raise NotFound("There is no such photo, or it is not yours.")
    services().deletion.wake()
    logger.info("user %d deleted photo %d", user.id, id)
    flash("The photo is deleted.")
    return redirect(url_for(".photos"), 303)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/photo.jpg")
@public  # the answer to a stranger is 404, not a page to log in on
def photo_file(id: int) -> BaseResponse:
    image = _visible(id)
    return _picture(services().settings.s3_photos_bucket, image.photo_key, image.sha256)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/thumbnail.jpg")
@public
def thumbnail_file(id: int) -> BaseResponse:
    image = _visible(id)
    return _picture(services().settings.s3_thumbnails_bucket, image.thumbnail_key, image.thumbnail_sha256)


@blueprint.get(f"/photos/<int(max={MAX_ID}):id>/explanation.jpg")
@public
def explanation_file(id: int) -> BaseResponse:
    """Made at the first call, which takes seconds; busy with another photo: 503 with ``Retry-After``."""
    image = services().photos.by_id(id) if g.user else None
    if image is None or image.owner_id != g.user.id:  # on air or not: the reasons are for the owner
        raise NotFound("There is no such photo, or it is not yours to see.")
    key = services().explainer.explain(image)
    # Each explanation has a key of its own, so that names the content as well as its digest would.
    return _picture(services().settings.s3_photos_bucket, key, hashlib.sha256(key.encode()).hexdigest())


def _own(id: int) -> Photo:
    image = services().photos.by_id(id)
    if image is None or image.owner_id != current_user().id:
        raise NotFound("There is no such photo, or it is not yours to see.")
    return image


def _visible(id: int) -> Photo:
    """A photo whose picture this person may see: an own one, or one that its owner put on air."""
    image = services().photos.by_id(id) if g.user else None
    if image is None or not (image.on_air or image.owner_id == g.user.id):
        raise NotFound("There is no such photo, or it is not yours to see.")
    return image


def _picture(bucket: str, key: str, sha256: str) -> BaseResponse:
    settings = services().settings
    if settings.delivery == "url":
        answer = redirect(services().objects.url(bucket, key, settings.url_ttl_s), 302)
        answer.headers["Cache-Control"] = "private, no-store"
        return answer
    response = Response(mimetype="image/jpeg")
    response.set_etag(sha256)
    # The browser may keep it but asks each time whether it may still show it: after a log-out, or
    # when the photo is deleted, the answer is 404. A 304 costs no byte of S3.
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    if response.status_code == 304:
        return response
    if request.method == "HEAD":
        response.response = iter(())
        return response
    chunks, size_bytes = services().objects.open(bucket, key)
    response.response = chunks
    response.content_length = size_bytes
    return response
