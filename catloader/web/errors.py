"""Every error as a page in the site's style, or as JSON where that was asked for."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, current_app, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from catloader.errors import CatLoaderError
from catloader.web.context import services, wants_json

logger = logging.getLogger(__name__)

_SENTENCES = {
    400: ("That did not come through", "The site could not make sense of this request."),
    401: ("Please log in", "You are not logged in, or no longer."),
    403: ("Not for you", "You may not do this."),
    404: ("Nothing here", "There is no such page or photo, or it is not yours to see."),
    405: ("Not like this", "This address does not take that kind of request."),
    409: ("Not this time", "That cannot be done with things as they are."),
    413: ("That is too much", "The request is larger than this site takes."),
    429: ("A little slower, please", "Too many attempts. Wait a minute, then try again."),
    500: ("Something broke here", "It is not your fault. It was written to the log; please try again later."),
    503: ("Back in a moment", "A part of this site does not answer right now. Please try again in a moment."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CatLoaderError, _ours)
    app.register_error_handler(Exception, _unexpected)


def answer(status: int, sentence: str | None = None) -> tuple[str | Response, int]:
    title, usual = _SENTENCES.get(status) or (HTTPStatus(status).phrase, "That did not work.")
    sentence = sentence or usual
    if wants_json():
        return jsonify(error=sentence, status=status), status
    return render_template("error.html", status=status, title=title, sentence=sentence), status


def _csrf(error: CSRFError) -> tuple[str | Response, int]:
    logger.warning("refused %s %s: %s", request.method, request.path, error.description)
    return answer(
        400, "This form has expired or came from another site. Go back, reload the page and try again."
    )


def _http(error: HTTPException) -> tuple[str | Response, int] | HTTPException:
    status = error.code or 500
    if status < 400:  # a redirect made by the router
        return error
    if status == 413:
        logger.warning(
            "refused %s %s: %s bytes announced", request.method, request.path, request.content_length
        )
        return answer(413, _too_much())
    body, status = answer(status)
    response = current_app.make_response((body, status))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response, status


def _too_much() -> str:
    if request.endpoint != "uploads.upload":
        return "The request is larger than this site takes."
    settings = services().settings
    return (
        f"One request takes at most {settings.max_files} photos of at most "
        f"{settings.max_file_bytes / 2**20:.3g} MB each. Nothing of this one was stored."
    )


def _ours(error: CatLoaderError) -> tuple[str | Response, int] | Response:
    if error.retry_after_s is not None:
        response = current_app.make_response(answer(error.status, str(error)))
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    if error.status >= 500:
        logger.error("%s %s: %s", request.method, request.path, error, exc_info=error)
        return answer(error.status)
    return answer(error.status, str(error))


def _unexpected(error: Exception) -> tuple[str | Response, int]:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return answer(500)
