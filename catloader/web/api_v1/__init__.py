"""The API for programs: ``/api/v1``, described by ``/openapi.json``."""

from __future__ import annotations

from flask import Flask, request
from werkzeug.wrappers import Response

from catloader.web.api_v1 import checks, docs, jpegs, photos, verdicts
from catloader.web.http.context import make_conditional

_WITH_ETAG = ("api_photos", "api_verdicts")


def init_app(app: Flask, photo_bytes: int) -> None:
    """Add the API; call it before the bodies of requests are read.

    Args:
        photo_bytes: limit of a body that is a photo, or a form with one.
    """

    @app.before_request
    def allow_more() -> None:
        if getattr(app.view_functions.get(request.endpoint or ""), "takes_photo", False):
            request.max_content_length = photo_bytes

    for module in (photos, verdicts, jpegs, checks, docs):
        app.register_blueprint(module.blueprint)
    app.after_request(_tag)
    app.after_request(_forget_length)


def _tag(response: Response) -> Response:
    """Set the ETag of resources; a client that has the same version already gets 304."""
    if request.method in ("GET", "HEAD") and request.blueprint in _WITH_ETAG and response.status_code == 200:
        response.add_etag()
        response.headers["Cache-Control"] = "private, no-cache"
        make_conditional(response)
    return response


def _forget_length(response: Response) -> Response:
    """Remove the length from the answer to HEAD, which makes no request to S3: SpecTree has set it to 0."""
    if request.method == "HEAD" and request.blueprint == jpegs.blueprint.name:
        response.automatically_set_content_length = False
        response.headers.pop("Content-Length", None)
    return response
