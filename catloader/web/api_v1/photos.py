"""``/api/v1/photos``: upload, list, read, delete."""

from __future__ import annotations

import logging

from flask import Blueprint, abort, make_response, request, url_for
from werkzeug.wrappers import Response

from catloader.accounts.api_tokens import Scope
from catloader.api_models import Photo, PhotoPage
from catloader.errors import InvalidInput, NotPossibleNow
from catloader.intake.upload import Refused
from catloader.store.db.photos import photo_rows as rows
from catloader.store.db.photos.gallery import Selection
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.web.accounts.sessions import current_user
from catloader.web.api_v1.bodies import digest, sent_photo, takes_photo
from catloader.web.api_v1.requests import PageQuery, UploadHeaders, UploadQuery
from catloader.web.api_v1.spec import PHOTOS, api, responses
from catloader.web.http.bearer import needs
from catloader.web.http.context import own_photo, services
from catloader.web.photos.photo_list import position_of, position_of_text, text_of_position
from catloader.web.uploads.admission import uses_object_store
from catloader.web.uploads.storing import refused_response, store_files, store_once

logger = logging.getLogger(__name__)
blueprint = Blueprint("api_photos", __name__, url_prefix="/api/v1/photos")


@blueprint.post("")
@takes_photo
@needs(Scope.WRITE)
@uses_object_store
@api.validate(
    resp=responses(202, Photo, errors=(409, 413, 415, 422, 507)),
    tags=[PHOTOS],
    operation_id="api_photos.upload",
)
def upload(query: UploadQuery, headers: UploadHeaders) -> Response:
    """Upload a photo; it is checked in the background.

    The body is the photo, or a form with one file and a caption. The response describes the new photo, which
    has no verdict yet.
    """
    name, data = sent_photo()
    key = UploadKey(headers.idempotency_key, digest(data)) if headers.idempotency_key else None
    id = _store(name, data, request.form.get("caption", query.caption), key)
    photo = services().photos.by_id(id)
    if photo is None:
        raise NotPossibleNow("The photo that was uploaded with this Idempotency-Key was deleted.")
    response = make_response(_shown(photo).model_dump(mode="json"), 202)
    response.headers["Location"] = url_for(".read", id=id)
    return response


@blueprint.get("")
@needs(Scope.READ)
@api.validate(resp=responses(200, PhotoPage, others=(304,)), tags=[PHOTOS], operation_id="api_photos.page")
def page(query: PageQuery) -> PhotoPage:
    """List photos, newest first, page by page."""
    start = position_of_text(query.cursor)
    if query.cursor and start is None:
        raise InvalidInput("cursor: it is not the `next` of a page.")
    selection = Selection(current_user().id, query.show)
    photos = services().gallery.older(selection, start, query.limit + 1)
    more = len(photos) > query.limit
    shown = photos[: query.limit]
    return PhotoPage(
        photos=[_shown(photo) for photo in shown],
        next=text_of_position(position_of(shown[-1])) if more else None,
    )


@blueprint.get("/<int:id>")
@needs(Scope.READ)
@api.validate(
    resp=responses(200, Photo, errors=(404,), others=(304,)), tags=[PHOTOS], operation_id="api_photos.read"
)
def read(id: int) -> Photo:
    """Read a photo's state. With `If-None-Match`, the response is 304 if nothing has changed."""
    return _shown(own_photo(id))


@blueprint.delete("/<int:id>")
@needs(Scope.WRITE)
@api.validate(resp=responses(204, errors=(404,)), tags=[PHOTOS], operation_id="api_photos.delete")
def delete(id: int) -> Response:
    """Delete a photo: it goes into the bin of the account."""
    photo = own_photo(id)
    services().bin.put([photo.id], photo.owner_id)
    services().deletion.wake()
    logger.info("user %d deleted photo %d", photo.owner_id, id)
    return make_response("", 204)


def _store(name: str, data: bytes, caption: str, key: UploadKey | None) -> int:
    if key:
        outcome = store_once(name, data, caption, key)
    else:
        (outcome,) = store_files([(name, data)], [caption], len(data))
    if isinstance(outcome, Refused):
        abort(refused_response(outcome))
    return outcome.photo_id


def _shown(photo: rows.Photo) -> Photo:
    names = set(Photo.model_fields) - {"public", "photo_url", "thumbnail_url"}
    return Photo(
        **{name: getattr(photo, name) for name in names},
        public=photo.on_air,
        photo_url=url_for("api_jpegs.photo", id=photo.id),
        thumbnail_url=url_for("api_jpegs.thumbnail", id=photo.id),
    )
