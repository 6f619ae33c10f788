"""The API for programs: ``/api/v1``, described by ``/openapi.json``."""

from __future__ import annotations

from flask import Flask, request
from werkzeug.wrappers import Response

from catloader.errors import CompressedBody
from catloader.web.api_v1 import checks, docs, jpegs, photos, verdicts
from catloader.web.http import problems
from catloader.web.http.context import for_log, make_conditional

_WITH_ETAG = ("api_photos", "api_verdicts")


def init_app(app: Flask, photo_bytes: int) -> None:
    """Add the API. Call this before any function that reads the bodies of requests is added.

    Args:
        photo_bytes: maximum size of a body that is a photo or a form with a photo.
    """

    @app.before_request
    def allow_more() -> None:
        if getattr(app.view_functions.get(request.endpoint or ""), "takes_photo", False):
            request.max_content_length = photo_bytes

    @app.before_request
    def refuse_compressed() -> None:
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity" and problems.is_wanted():
            raise CompressedBody(f"Content-Encoding: {for_log(encoding)} is not accepted; send plain bytes.")

    for module in (photos, verdicts, jpegs, checks, docs):
        app.register_blueprint(module.blueprint)
    app.after_request(_tag)
    app.after_request(_forget_length)


def _tag(response: Response) -> Response:
    """Set the ETag of a resource, and respond with 304 if the client already has this version."""
    if request.method in ("GET", "HEAD") and request.blueprint in _WITH_ETAG and response.status_code == 200:
        response.add_etag()
        response.headers["Cache-Control"] = "private, no-cache"
        make_conditional(response)
    return response


def _forget_length(response: Response) -> Response:
    """Remove the ``Content-Length: 0`` that SpecTree adds to a HEAD response.

    The real length is not known, because HEAD makes no request to S3.
    """
    if request.method == "HEAD" and request.blueprint == jpegs.blueprint.name:
        response.automatically_set_content_length = False
        response.headers.pop("Content-Length", None)
    return response
