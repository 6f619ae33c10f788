"""JPEG files: photos, thumbnails and explanations."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import closing

from flask import Blueprint, Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from catloader.errors import NotFound, ObjectAltered
from catloader.explanations.object_key import is_unaltered
from catloader.intake.sharp_thumbnail import SHARP_PX, sharp_thumbnail
from catloader.logs import logged_path
from catloader.store.db.accounts.users import User
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.web.accounts.sessions import without_login
from catloader.web.http.context import MAX_PHOTO_ID, PHOTO_NOT_FOUND, make_conditional, services
from catloader.web.staff.review import may_review
from catloader.web.uploads.admission import uses_object_store
from checker.log_limit import LogLimit
from checker.pixels.renditions import Crop

logger = logging.getLogger(__name__)
blueprint = Blueprint("jpegs", __name__)

_MOST_BYTES = 64 * 1024 * 1024
"""Limit of an object that is read into memory. The JPEGs that uploads store have a few MB."""
_PATIENCE_S = 0.5
_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Policy of a photo that a browser opens by itself: its bytes can't load or run anything."""


def init_app(app: Flask) -> None:
    app.add_template_global(sizes_of)


def sizes_of(photo: Photo) -> dict[str, str]:
    """Return attributes with which browsers select one of two thumbnails; none if the photo is too small."""
    more_px = min(SHARP_PX, photo.crop_side_px)
    if more_px <= photo.thumbnail_px:
        return {}
    views = "bin" if photo.binned_at else "jpegs"
    small, large = (url_for(f"{views}.{name}", id=photo.id) for name in ("thumbnail", "thumbnail_2x"))
    return {
        "srcset": f"{small} {photo.thumbnail_px}w, {large} {more_px}w",
        "sizes": "(min-width: 48rem) 15rem, 45vw",
    }


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>/photo.jpg")
@without_login  # a visitor gets 404, not the log-in page
@uses_object_store
def photo(id: int) -> BaseResponse:
    """Send the photo; with ``?download=1`` for browsers to save it.

    The attribute ``download`` of a link is not enough: browsers ignore it if the address redirects to S3.
    """
    photo, saved_as = _visible_photo(id), f"photo-{id}.jpg" if "download" in request.args else ""
    return jpeg_response(ObjectKind.PHOTO, photo.photo_key, photo.sha256, saved_as=saved_as)


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>/thumbnail.jpg")
@without_login
@uses_object_store
def thumbnail(id: int) -> BaseResponse:
    photo = _visible_photo(id)
    return jpeg_response(ObjectKind.THUMBNAIL, photo.thumbnail_key, photo.thumbnail_sha256)


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>/thumbnail-2x.jpg")
@without_login
@uses_object_store
def thumbnail_2x(id: int) -> BaseResponse:
    return sharp_response(_visible_photo(id))


def sharp_response(photo: Photo) -> BaseResponse:
    """Send the thumbnail for high-density screens, or the stored one while others are being cut.

    Raises:
        NotFound, StoreUnavailable: the object does not exist, or the store does not respond.
        ObjectAltered: the object has other bytes than were stored. They are not sent.
    """
    lock = _cutting()
    response = _conditional(_digest(f"{photo.thumbnail_key} {SHARP_PX}"))
    if response.status_code == 304 or request.method == "HEAD":
        return response
    if not lock.acquire(timeout=_PATIENCE_S):
        stored = jpeg_response(ObjectKind.THUMBNAIL, photo.thumbnail_key, photo.thumbnail_sha256)
        stored.headers["Cache-Control"] = "private, no-store"
        return stored
    try:
        data = _stored(ObjectKind.PHOTO, photo.photo_key, photo.sha256)
        response.data = sharp_thumbnail(data, Crop(photo.crop_left_px, photo.crop_top_px, photo.crop_side_px))
    finally:
        lock.release()
    return response


def _cutting() -> threading.Lock:
    """Return the lock of this process: it cuts one thumbnail at a time, to leave cores for other work."""
    lock: threading.Lock = current_app.extensions.setdefault("catloader.cutting", threading.Lock())
    return lock


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>/explanation.jpg")
@without_login
@uses_object_store
def explanation(id: int) -> BaseResponse:
    """Send the explanation. The first request makes it, in seconds; if busy: 503 with ``Retry-After``."""
    photo, user = services().photos.by_id(id) if g.user else None, g.user
    # Explanations are only for the owner, even if the photo is public, and for reviewers while it is in their
    # queue: in a random audit they must not know the verdict.
    if photo is None or not (photo.owner_id == user.id or (user.may_review and services().reviews.item(id))):
        raise NotFound(PHOTO_NOT_FOUND)
    key = services().explainer.explain(photo)
    return jpeg_response(ObjectKind.EXPLANATION, key, None)


def _visible_photo(id: int) -> Photo:
    """Return a photo that the user or visitor may see: it is theirs, in the album, or for them to review.

    Raises:
        NotFound: there is no such photo, or they may not see it, which is not revealed.
    """
    photo = services().photos.by_id(id)
    if photo is None or not (photo.in_album or _is_of(photo, g.user)):
        raise NotFound(PHOTO_NOT_FOUND)
    return photo


def _is_of(photo: Photo, user: User | None) -> bool:
    """Return True if the photo belongs to the user, or the user is a reviewer who may review it."""
    return user is not None and (photo.owner_id == user.id or may_review(user, photo.id))


def jpeg_response(kind: ObjectKind, key: str, sha256: str | None, *, saved_as: str = "") -> BaseResponse:
    """Send an object, or redirect to it.

    Args:
        sha256: digest of the stored bytes; None for an explanation, whose key contains the digest.
        saved_as: as in ``ObjectStore.url``.
    Raises:
        NotFound, StoreUnavailable: the object does not exist, or the store does not respond.
        ObjectAltered: the object has other bytes than were stored. They are not sent.
    """
    settings = services().settings
    if settings.delivery == "url":
        link = redirect(services().objects.url(kind, key, settings.url_ttl_s, saved_as=saved_as), 302)
        link.headers["Content-Security-Policy"] = _POLICY
        link.headers["Cache-Control"] = "private, no-store"
        return link
    # Each explanation has its own key, so the key's digest identifies the content.
    response = _conditional(sha256 or _digest(key))
    if saved_as:
        response.headers["Content-Disposition"] = f'attachment; filename="{saved_as}"'
    if response.status_code == 304 or request.method == "HEAD":
        return response
    response.data = _stored(kind, key, sha256)
    return response


def _conditional(etag: str) -> Response:
    """Make a response without a body; its status is 304 if the browser already has the file."""
    response = Response(mimetype="image/jpeg")
    response.headers["Content-Security-Policy"] = _POLICY
    response.set_etag(etag)
    # The browser may cache the file but must revalidate it: after a log-out, or once the photo is
    # deleted, the response is 404. A 304 needs no request to S3.
    response.headers["Cache-Control"] = "private, no-cache"
    make_conditional(response)
    if request.method == "HEAD":
        response.response = iter(())
        response.headers.pop("Content-Length", None)  # it is 0, not the length of the photo
    return response


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _stored(kind: ObjectKind, key: str, sha256: str | None) -> bytes:
    """Read a whole object, so that its digest is compared before any byte is sent.

    Memory: at most ``_MOST_BYTES`` in each request thread.
    """
    for _ in range(2):  # a proxy may have altered the first response
        try:
            chunks, size_bytes = services().objects.open(kind, key)
        except NotFound:
            _log_missing(kind)
            raise
        with closing(chunks):
            data = b"".join(chunks) if size_bytes <= _MOST_BYTES else b""
        if size_bytes == len(data) and (
            hashlib.sha256(data).hexdigest() == sha256 if sha256 else is_unaltered(key, data)
        ):
            return data
    raise ObjectAltered(f"the object store holds other bytes under the key {key} ({kind}) than were stored")


def _log_missing(kind: ObjectKind) -> None:
    limit: LogLimit = current_app.extensions.setdefault("catloader.missing_objects", LogLimit())
    if (suffix := limit.suffix()) is not None:
        logger.warning("%s: the %s is not in the object store%s", logged_path(request.path), kind, suffix)
