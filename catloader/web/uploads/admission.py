"""Admission: decisions on a request from its head, and the limit on uploads processed at the same time.

The server (``catloader.server``) receives complete requests and passes them to two pools of threads. Before
receiving a body, it asks ``Rules`` how many bytes to keep. Before running a view, it asks which pool to use.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Request, current_app, g, request
from werkzeug.exceptions import HTTPException

from catloader.accounts.api_tokens import is_signed
from catloader.errors import StoreFull, StoreUnavailable
from catloader.web.http import bearer, cookies
from catloader.web.uploads.upload_places import UploadPlaces
from catloader.wiring import Services

View = TypeVar("View", bound=Callable[..., Any])

RULES = "catloader.rules"
"""Key of the ``Rules`` in the extensions of an application."""
REFUSED = "catloader.refused"
"""Key in the WSGI environment: the HTTP status for a request whose body the server did not keep.

507 and 503 mean that the temporary folder could not hold the body, 429 that ``Rules.refusal`` refused it.
"""
_UPLOAD, _REPLACE = "uploads.upload", "editing.replace"
_PIECES = ("resumable.begin", "resumable.go_on", "resumable.overridden")
_PLACES = "catloader.upload-places"


def uses_object_store(view: View) -> View:
    """Mark a view whose thread may have to wait for S3. It runs in another pool than the other pages."""
    view.uses_object_store = True  # type: ignore[attr-defined]
    return view


class Rules:
    """Implements the server's ``Rules``."""

    def __init__(self, app: Flask, *, form_bytes: int, upload_bytes: int, photo_bytes: int) -> None:
        self._app, self._form_bytes, self._upload_bytes = app, form_bytes, upload_bytes
        self._photo_bytes = photo_bytes
        self._urls = app.url_map.bind("")

    def body_bytes(self, method: str, path: str, headers: Mapping[str, str]) -> int:
        """Return how many bytes of the body to keep: the maximum of an upload, or that of a form.

        An upload needs a cookie or an API token of this site, so nobody can fill the temporary folder without
        an account. The view refuses longer bodies.
        """
        endpoint, secret = self._endpoint(method, path), self._services.secret_key
        if _takes_photo(self._app, endpoint):
            token = bearer.sent_token(headers.get("AUTHORIZATION", ""))
            return self._photo_bytes if is_signed(token, secret) else self._form_bytes
        if endpoint not in (_UPLOAD, _REPLACE, *_PIECES):
            return self._form_bytes
        if endpoint in _PIECES and is_signed(bearer.sent_token(headers.get("AUTHORIZATION", "")), secret):
            return self._photo_bytes
        jar = Request({"REQUEST_METHOD": method, "HTTP_COOKIE": headers.get("COOKIE", "")}).cookies
        values = [value for name in cookies.names(cookies.SESSION) for value in jar.getlist(name)]
        sessions = [session for value in values for session in cookies.sessions_of(value)]
        if not any(cookies.unsigned(session, secret) for session in sessions):
            return self._form_bytes
        return self._upload_bytes if endpoint == _UPLOAD else self._photo_bytes

    def refusal(self, method: str, path: str) -> int | None:
        """Return 429 for an upload that would be refused anyway (``UploadPlaces.is_crowded``)."""
        places: UploadPlaces = self._app.extensions[_PLACES]
        if places.is_crowded() and _takes_place(self._app, self._endpoint(method, path)):
            return HTTPStatus.TOO_MANY_REQUESTS
        return None

    def has_room(self) -> bool:
        """Return True if the temporary folder's disk has ``min_free_bytes`` left, or can't be measured."""
        try:
            free_bytes = shutil.disk_usage(tempfile.gettempdir()).free
        except OSError:  # writing there will report the error
            return True
        return free_bytes >= self._services.settings.min_free_bytes

    def uses_object_store(self, method: str, path: str) -> bool:
        view = self._app.view_functions.get(self._endpoint(method, path))
        return getattr(view, "uses_object_store", False)

    @property
    def _services(self) -> Services:
        services: Services = self._app.extensions["catloader"]
        return services

    def _endpoint(self, method: str, path: str) -> str:
        text = path.encode("latin-1").decode("utf-8", "replace")  # WSGI passes bytes as Latin-1 text
        try:
            endpoint, _ = self._urls.match(text, method)
        except HTTPException:
            return ""
        return str(endpoint)


def init_app(app: Flask, *, uploads_at_once: int) -> None:
    """Refuse requests that can't be processed. Call this after the log-in check and before forms are read."""
    places = app.extensions[_PLACES] = UploadPlaces(uploads_at_once)

    @app.before_request
    def admit() -> None:
        status = request.environ.get(REFUSED)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            places.refuse()
        if status is not None:
            reason = "The temporary folder can't keep this request."
            raise StoreFull(reason) if status == StoreFull.status else StoreUnavailable(reason)
        if _takes_place(app, request.endpoint or ""):
            take_place()

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if g.pop("has_upload_place", False):
            places.leave()


def take_place() -> None:
    """Take one of the process's places for uploads until the request ends.

    Raises:
        UploadsBusy: as ``UploadPlaces.take`` does.
    """
    places: UploadPlaces = current_app.extensions[_PLACES]
    places.take()
    g.has_upload_place = True


def _takes_place(app: Flask, endpoint: str) -> bool:
    return endpoint in (_UPLOAD, _REPLACE) or _takes_photo(app, endpoint)


def _takes_photo(app: Flask, endpoint: str) -> bool:
    """Return True if the endpoint belongs to a view of the API marked with ``api_v1.bodies.takes_photo``."""
    return getattr(app.view_functions.get(endpoint), "takes_photo", False)
