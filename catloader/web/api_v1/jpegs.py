"""``/api/v1/photos/ID/photo.jpg`` and ``/thumbnail.jpg``."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from catloader.accounts.api_tokens import Scope
from catloader.store.kinds import ObjectKind
from catloader.web.api_v1.spec import PHOTOS, api, responses
from catloader.web.http.bearer import needs
from catloader.web.http.context import own_photo
from catloader.web.photos.jpegs import jpeg_response
from catloader.web.uploads.admission import uses_object_store

# The name is a part of the published operation ids.
blueprint = Blueprint("api_jpegs", __name__, url_prefix="/api/v1/photos/<int:id>")


@blueprint.get("/photo.jpg")
@needs(Scope.READ)
@uses_object_store
@api.validate(
    resp=responses(200, errors=(404, 502), others=(302, 304)),
    tags=[PHOTOS],
    operation_id="api_jpegs.photo",
    skip_validation=True,
)
def photo(id: int) -> Response:
    """Read the stored photo: at most 2560 pixels by default, without metadata."""
    stored = own_photo(id)
    return jpeg_response(ObjectKind.PHOTO, stored.photo_key, stored.sha256)


@blueprint.get("/thumbnail.jpg")
@needs(Scope.READ)
@uses_object_store
@api.validate(
    resp=responses(200, errors=(404, 502), others=(302, 304)),
    tags=[PHOTOS],
    operation_id="api_jpegs.thumbnail",
    skip_validation=True,
)
def thumbnail(id: int) -> Response:
    """Read the square thumbnail."""
    stored = own_photo(id)
    return jpeg_response(ObjectKind.THUMBNAIL, stored.thumbnail_key, stored.thumbnail_sha256)
