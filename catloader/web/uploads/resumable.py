"""Step 1, upload: resumable uploads by tus 1.0. Files arrive in pieces, and continue after an interruption.

The protocol is https://tus.io/protocols/resumable-upload with the extensions creation, creation-with-upload,
expiration and termination. With an ``Idempotency-Key``, a repeated creation returns the same upload. The
response to the last piece has the id of the photo in ``Photo-Id``, also if the piece is sent again. Browsers
authenticate with their session, programs with an API token that may write.
"""

from __future__ import annotations

import binascii
import hashlib
import secrets
import time
from base64 import b64decode
from dataclasses import replace
from typing import BinaryIO, cast

from flask import Blueprint, Flask, make_response, request, url_for
from werkzeug.exceptions import MethodNotAllowed, PreconditionFailed
from werkzeug.http import http_date
from werkzeug.wrappers import Response

from catloader.accounts.api_tokens import Scope
from catloader.errors import EmptyFile, InvalidInput, TooManyBytes, WrongContentType
from catloader.intake.partial_file import FileFacts, OpenUpload, length_of, upload_id
from catloader.intake.prepare import shown_limit
from catloader.intake.square import square_of_text
from catloader.intake.upload import Uploaded, refuse_full_disk
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.texts import clean_text
from catloader.web.accounts.sessions import current_user, without_login
from catloader.web.http.bearer import also_with
from catloader.web.http.context import services
from catloader.web.http.forms import means_yes
from catloader.web.uploads.admission import take_place, uses_object_store
from catloader.web.uploads.storing import duplicate_of, refused_response, store_once

blueprint = Blueprint("resumable", __name__, url_prefix="/upload/resumable")

_VERSION = "1.0.0"
_BYTES = "application/offset+octet-stream"
_CLIENT_KEY_CHARS = 200
_NAME_CHARS = 255


def init_app(app: Flask, photo_bytes: int) -> None:
    @app.before_request
    def allow_more() -> None:
        if request.endpoint in ("resumable.begin", "resumable.go_on", "resumable.overridden"):
            request.max_content_length = photo_bytes


@blueprint.before_request
def check_protocol() -> None:
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != _VERSION:
        raise PreconditionFailed
    if "Upload-Concat" in request.headers:  # an extension; without it, each part would be taken for a file
        raise InvalidInput("A file can't be sent in parallel parts (Upload-Concat). Send its parts in turn.")


@blueprint.after_request
def add_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = _VERSION
    if response.status_code == PreconditionFailed.code:
        response.headers["Tus-Version"] = _VERSION
    return response


@blueprint.route("", methods=["OPTIONS"])
@without_login
def options() -> Response:
    extensions = "creation,creation-with-upload,expiration,termination"
    most_bytes = str(services().settings.max_file_bytes)
    return _empty(204, {"Tus-Version": _VERSION, "Tus-Extension": extensions, "Tus-Max-Size": most_bytes})


@blueprint.post("", provide_automatic_options=False)
@also_with(Scope.WRITE)
@uses_object_store
def begin() -> Response:
    """Begin an upload, or return the one with the same key. The body may contain its first bytes."""
    length_bytes, facts, owner_id = _number("Upload-Length"), _facts(FileFacts()), current_user().id
    limit_bytes = services().settings.max_file_bytes
    if length_bytes == 0:
        raise EmptyFile("This file is empty.")
    if length_bytes > limit_bytes:
        raise TooManyBytes("This file is larger than %(limit)s.", limit=shown_limit(limit_bytes))
    key = request.headers.get("Idempotency-Key") or secrets.token_hex(16)
    if len(key) > _CLIENT_KEY_CHARS:
        raise InvalidInput("An Idempotency-Key has up to %(number)d characters.", number=_CLIENT_KEY_CHARS)
    id = upload_id(owner_id, key, length_bytes)
    photo_id = _photo_of(id)
    if photo_id is None:
        refuse_full_disk(services().settings)
        services().photos.refuse_full(owner_id, 0)
        services().partial_uploads.create(owner_id, id, facts)
        with services().partial_uploads.opened(owner_id, id) as upload:
            if request.content_length == length_bytes:  # the whole file: the client gave up sending pieces
                upload.restart()
            has_body = bool(request.content_length) and upload.offset_bytes == 0
            response = _grown(upload, 0) if has_body else _at(upload)
    else:
        response = _stored(id, Uploaded("", photo_id, duplicate_of(photo_id)))
    if response.status_code == 204:
        response.status_code = 201
        response.headers["Location"] = url_for(".go_on", id=id)
    return response


@blueprint.route("/<id>", methods=["HEAD"])
@also_with(Scope.WRITE)
def state(id: str) -> Response:
    """Respond with the offset of the upload."""
    photo_id = _photo_of(id)
    if photo_id is not None:
        return _stored(id, Uploaded("", photo_id, duplicate_of(photo_id)), 200)
    with services().partial_uploads.opened(current_user().id, id) as upload:
        return _at(upload, 200)


@blueprint.patch("/<id>")
@also_with(Scope.WRITE)
@uses_object_store
def go_on(id: str) -> Response:
    """Append the next bytes. If the file is complete then, store the photo."""
    photo_id = _photo_of(id)
    if photo_id is not None:
        return _stored(id, Uploaded("", photo_id, duplicate_of(photo_id)))
    refuse_full_disk(services().settings)
    with services().partial_uploads.opened(current_user().id, id) as upload:
        return _grown(upload, _number("Upload-Offset"))


@blueprint.delete("/<id>")
@also_with(Scope.WRITE)
def give_up(id: str) -> Response:
    with services().partial_uploads.opened(current_user().id, id) as upload:
        upload.remove()
    return _empty(204, {})


@blueprint.post("/<id>")
@also_with(Scope.WRITE)
@uses_object_store
def overridden(id: str) -> Response:
    """Accept a POST as PATCH or DELETE, for clients behind a proxy that does not know these methods."""
    match request.headers.get("X-HTTP-Method-Override", "").upper():
        case "PATCH":
            return go_on(id)
        case "DELETE":
            return give_up(id)
    raise MethodNotAllowed(["HEAD", "PATCH", "DELETE"])


def _grown(upload: OpenUpload, offset_bytes: int) -> Response:
    """Append the body of this request; respond with the new offset, or with the stored photo."""
    if request.mimetype != _BYTES:
        raise WrongContentType(_BYTES)
    upload.append(offset_bytes, cast(BinaryIO, request.stream), request.content_length or 0)
    return _finished(upload) if upload.is_whole else _at(upload)


def _finished(upload: OpenUpload) -> Response:
    """Store the photo. Keep the bytes if the same request may succeed later."""
    take_place()
    data, facts = upload.read(), _facts(upload.facts)
    key = UploadKey(_key(upload.id), hashlib.sha256(data).hexdigest())
    square = square_of_text(facts.square) if facts.square else None
    outcome = store_once(
        facts.name or "(no name)", data, facts.caption, key, keep_date=facts.keep_date, square=square
    )
    if isinstance(outcome, Uploaded):
        upload.remove()
        return _stored(upload.id, outcome)
    if outcome.status < 500 and outcome.retry_after_s is None:
        upload.remove()
    return refused_response(outcome)


def _photo_of(id: str) -> int | None:
    """Return the id of the photo that was stored from an upload; None if it is not complete, or unknown."""
    length_of(id)
    return services().upload_keys.photo_with(current_user().id, _key(id), utcnow())


def _key(id: str) -> str:
    return f"resumable upload {id}"


def _at(upload: OpenUpload, status: int = 204) -> Response:
    """Respond with the offset of an upload whose photo is not stored yet."""
    if upload.is_whole:
        # Clients treat an offset at the end as success. Without its last byte, they send it again.
        upload.drop_last_byte()
    expires = http_date(time.time() + services().partial_uploads.kept_s)
    headers = {"Upload-Offset": str(upload.offset_bytes), "Upload-Expires": expires}
    return _empty(status, {**headers, "Upload-Length": str(upload.length_bytes)})


def _stored(id: str, outcome: Uploaded, status: int = 204) -> Response:
    length = str(length_of(id))
    headers = {"Upload-Offset": length, "Upload-Length": length, "Photo-Id": str(outcome.photo_id)}
    if outcome.duplicate_of is not None:
        headers["Duplicate-Of"] = str(outcome.duplicate_of)
    return _empty(status, headers)


def _empty(status: int, headers: dict[str, str]) -> Response:
    response = make_response("", status, headers)
    del response.headers["Content-Type"]
    return response


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise InvalidInput("The header %(name)s is missing, or it is not a number of bytes.", name=header)
    return int(text)


def _facts(known: FileFacts) -> FileFacts:
    """Return the facts in ``Upload-Metadata``; those that it lacks are taken from ``known``.

    The header is `filename BASE64,caption BASE64,square BASE64,keep_date`; `keep_date` has no value, or
    a word for "yes". A header without it means that no date is kept.
    """
    if "Upload-Metadata" in request.headers:
        known = replace(known, keep_date=False)
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        key, _, value = pair.strip().partition(" ")
        if key == "keep_date":
            if value and not means_yes(_text(key, value)):
                raise InvalidInput("Upload-Metadata: keep_date has no value. Leave it out to keep no date.")
            known = replace(known, keep_date=True)
        elif key == "filename":
            known = replace(known, name=_text(key, value)[:_NAME_CHARS])
        elif key == "caption":
            known = replace(known, caption=clean_text(_text(key, value), "caption"))
        elif key == "square":
            square_of_text(_text(key, value))
            known = replace(known, square=_text(key, value))
    return known


def _text(key: str, value: str) -> str:
    try:
        return b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidInput("Upload-Metadata: %(name)s is not base64 of UTF-8 text.", name=key) from None
