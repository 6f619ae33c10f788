"""Error responses: pages in the site's style, or JSON if the client requested it."""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus

from flask import Flask, current_app, jsonify, render_template, request
from werkzeug.exceptions import BadHost, HTTPException
from werkzeug.wrappers import Response

from catloader.errors import (
    CatLoaderError,
    ExplanationFailed,
    FormRefused,
    LinkExpired,
    NoCheckerHere,
    NotFound,
    ObjectAltered,
    StoreFull,
    StoreUnavailable,
    WrongCredentials,
)
from catloader.languages import gettext_noop
from catloader.logs import logged_path
from catloader.web.formats import shown_limit
from catloader.web.http import problems
from catloader.web.http.context import PHOTO_NOT_FOUND, page_of_form, services, wants_json
from catloader.web.languages import gettext, ngettext, translated
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

_LOG_LIMITS = "catloader.log_limits"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNUSABLE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS, errno.EACCES)
"""No file descriptors or memory left, or a disk that is damaged, read-only or not accessible."""

_DID_NOT_WORK = gettext_noop("This did not work.")
_BAD_HOST = gettext_noop(
    "The Host header of this request is not a valid host name, which has letters, digits, dots and hyphens "
    "only."
)
_SENTENCES = {
    400: (
        gettext_noop("Invalid request"),
        gettext_noop("The site could not read this request. Please go back and try again."),
    ),
    401: (gettext_noop("Please log in"), gettext_noop("You are not logged in, or your session has ended.")),
    403: (gettext_noop("Not allowed"), gettext_noop("You do not have permission to do this.")),
    404: (
        gettext_noop("Page not found"),
        gettext_noop("This page does not exist, or it belongs to someone else."),
    ),
    405: (
        gettext_noop("Page not found"),
        gettext_noop("This address can't be opened in a browser. Use the site's buttons."),
    ),
    409: (gettext_noop("Not possible now"), gettext_noop("This can't be done in the current state.")),
    412: (
        gettext_noop("Unsupported version"),
        gettext_noop("Resumable uploads need tus 1.0.0 (header Tus-Resumable)."),
    ),
    413: (gettext_noop("Too large"), gettext_noop("This request is larger than the site accepts.")),
    415: (gettext_noop("Not accepted"), gettext_noop("This type of content is not accepted here.")),
    429: (
        gettext_noop("Too many attempts"),
        gettext_noop("Too many attempts. Please wait before you try again."),
    ),
    500: (
        gettext_noop("Something went wrong"),
        gettext_noop("Something went wrong on our side. The error was logged. Please try again."),
    ),
    502: (
        gettext_noop("Photo damaged"),
        gettext_noop("The photo store holds a damaged copy of this photo, so it is not shown."),
    ),
    503: (
        gettext_noop("Temporarily unavailable"),
        gettext_noop("A part of this site is not responding. Please try again in a moment."),
    ),
    507: (
        gettext_noop("Out of space"),
        gettext_noop("The server's disk is full, so nothing was stored. Please try again later."),
    ),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(FormRefused, form_refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(BadHost, _bad_host)
    app.register_error_handler(CatLoaderError, _catloader_error)
    app.register_error_handler(OSError, _os_error)
    app.register_error_handler(Exception, _unexpected)
    app.extensions[_LOG_LIMITS] = LogLimits()
    app.after_request(_add_retry_after)


def _add_retry_after(response: Response) -> Response:
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.setdefault("Retry-After", str(StoreUnavailable.retry_after_s))
    return response


def error_response(
    status: int,
    sentence: str | None = None,
    *,
    title: str | None = None,
    template: str = "error.html",
    **facts: str,
) -> tuple[str | Response, int]:
    """Build the page, or JSON with ``facts``; ``sentence`` and ``title`` replace the status's defaults."""
    usual_title, usual = _SENTENCES.get(status) or (HTTPStatus(status).phrase, _DID_NOT_WORK)
    if problems.is_wanted():
        return problems.problem(status, sentence or problems.SENTENCES.get(status, usual)), status
    title, sentence = title or gettext(usual_title), sentence or gettext(usual)
    if wants_json():
        return jsonify(error=sentence, status=status, **facts), status
    back = page_of_form() if request.method == "POST" and status < 500 and status != 404 else None
    try:
        page = render_template(template, status=status, title=title, sentence=sentence, back=back)
    except OSError:  # the template can't be read, for example because no file descriptor is free
        return _plain(sentence), status
    return page, status


def _plain(sentence: str) -> Response:
    return current_app.response_class(f"{sentence}\n", mimetype="text/plain")


def form_response(
    page: str | Response, error: CatLoaderError | None, *, is_logged_in: bool = False
) -> Response:
    """Respond with a form; its error, if there is one, sets the status and ``Retry-After``.

    Args:
        is_logged_in: True turns the 401 of a wrong password into 403, because the person is logged in.
    """
    response = current_app.make_response(page)
    if error is not None:
        response.status_code = 403 if is_logged_in and isinstance(error, WrongCredentials) else error.status
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def form_refused(error: FormRefused) -> tuple[str | Response, int]:
    if wants_json():
        return jsonify(error=translated(error), status=error.status, expired=error.expired), error.status
    expired, foreign = gettext("This form has expired"), gettext("This form came from another site")
    return error_response(error.status, translated(error), title=expired if error.expired else foreign)


def _http(error: HTTPException) -> tuple[str | Response, int] | HTTPException:
    status = error.code or 500
    if status < 400:  # a redirect made by the router
        return error
    if status == 413:
        path, length = logged_path(request.path), request.content_length
        logger.warning("refused %s %s: %s bytes announced", request.method, path, length)
        return error_response(413, _too_large())
    body, status = error_response(status)
    response = current_app.make_response((body, status))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response, status


def _bad_host(_: BadHost) -> tuple[str | Response, int]:
    """Respond with 400 and plain text: the links of a page can't be built without a valid host."""
    sentence = gettext(_BAD_HOST)
    if problems.is_wanted() or wants_json():
        return error_response(400, sentence)
    return _plain(sentence), 400


def _too_large() -> str:
    settings = services().settings
    if getattr(current_app.view_functions.get(request.endpoint or ""), "takes_photo", False):
        return gettext("This file is larger than %(limit)s.", limit=shown_limit(settings.max_file_bytes))
    if request.endpoint == "phone_app.share":
        return gettext("Your photos did not arrive. Please share them again.")
    if request.endpoint == "editing.replace":
        return gettext(
            "A photo can be up to %(limit)s in size. Nothing was changed.",
            limit=shown_limit(settings.max_file_bytes),
        )
    if request.endpoint != "uploads.upload":
        return gettext("This request is larger than the site accepts.")
    return ngettext(
        "You can upload %(num)d photo at a time, of up to %(limit)s. No photo was stored.",
        "You can upload up to %(num)d photos at a time, up to %(limit)s each. No photo was stored.",
        settings.max_files,
        limit=shown_limit(settings.max_file_bytes),
    )


def _catloader_error(error: CatLoaderError) -> tuple[str | Response, int] | Response:
    services().metrics.refused(type(error).__name__)
    if isinstance(error, StoreUnavailable | StoreFull | ObjectAltered | ExplanationFailed):
        # The text of such an error is meant for operators, so it is logged and not shown.
        cause = error.cause if isinstance(error, StoreUnavailable) else str(error)
        log_once_a_minute(cause, f"{request.method} {logged_path(request.path)}: {error}")
        return form_response(error_response(error.status)[0], error)
    if error.retry_after_s is not None:
        return form_response(error_response(error.status, translated(error))[0], error)
    if error.status >= 500 and not isinstance(error, NoCheckerHere):
        logger.error("%s %s: %s", request.method, logged_path(request.path), error, exc_info=error)
        return error_response(error.status)
    if isinstance(error, LinkExpired):
        title, template = gettext("Link expired"), "link_expired.html"
        return error_response(error.status, translated(error), title=title, template=template)
    kind = type(error).__name__
    return error_response(error.status, translated(error), title=_title_of_missing(error), kind=kind)


def _title_of_missing(error: CatLoaderError) -> str | None:
    if not isinstance(error, NotFound):
        return None
    return gettext("Photo not found") if error.message == PHOTO_NOT_FOUND else gettext("Not found")


def _os_error(error: OSError) -> tuple[str | Response, int]:
    """Respond with 507 if a disk is full, and with 503 for other faults that the operator must fix."""
    if error.errno not in (*_FULL, *_UNUSABLE):
        return _unexpected(error)
    line = f"{request.method} {logged_path(request.path)}: {error.strerror}"
    if error.errno in _FULL:  # large uploads pass through the temporary folder
        log_once_a_minute(str(error.errno), f"{line} (data folder or temporary folder)")
        return error_response(507)
    log_once_a_minute(str(error.errno), f"{line}: {error.filename}" if error.filename else line)
    return error_response(503)


def log_once_a_minute(cause: str, line: str) -> None:
    """Log an error that may hit many requests: at most once a minute for each ``cause``."""
    limits: LogLimits = current_app.extensions[_LOG_LIMITS]
    if (suffix := limits.suffix(cause)) is not None:
        logger.error("%s%s", line, suffix)


def _unexpected(error: Exception) -> tuple[str | Response, int]:
    logger.error("%s %s failed", request.method, logged_path(request.path), exc_info=error)
    return error_response(500)
