"""Step 1, upload: the form, sent as one request or as one request per file, and the outcome of each file."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from flask import (
    Blueprint,
    Flask,
    after_this_request,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from catloader.intake.upload import Refused, Uploaded
from catloader.store.db.photos.upload_keys import UploadKey
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import services, wants_json, whole_number
from catloader.web.http.forms import ticked
from catloader.web.languages import gettext, ngettext, translated
from catloader.web.uploads.admission import uses_object_store
from catloader.web.uploads.storing import store_files

blueprint = Blueprint("uploads", __name__)

_PIECE_BYTES = 256 * 1024
_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")

Page = Response | str | tuple[str | Response, int]


def init_app(app: Flask, upload_bytes: int) -> None:
    @app.before_request
    def allow_more() -> None:
        if request.endpoint == "uploads.upload":
            request.max_content_length = upload_bytes


@blueprint.get("/upload")
def form() -> str:
    return _form_page()


@blueprint.post("/upload")
@uses_object_store
def upload() -> Page:
    """Respond with 201 (JSON) or 303 if all files are stored, else with the highest status of a refusal."""
    files = chosen_files()
    if not files:
        return _no_files()
    captions = request.form.getlist("caption")
    if len(captions) == 1:
        captions *= len(files)
    outcomes = store_files(
        [(file.filename or gettext("(no name)"), cast(BinaryIO, file.stream)) for file in files],
        captions,
        request.content_length or 0,
        _keys(files, request.form.get("upload_key", "")),
        keep_dates=ticked("keep_date"),
    )
    return _response(outcomes)


def _form_page(error: str | None = None) -> str:
    user = current_user()
    return render_template(
        "upload.html",
        error=error,
        welcome="welcome" in request.args,
        left_out=whole_number(request.args.get("left_out", "")),  # by share-worker.js
        used=services().usage.of(user.id),
        quota=services().quotas.of(user.id),
        max_edge_px=services().settings.max_edge_px,
        upload_key=secrets.token_hex(16),
    )


def chosen_files() -> list[FileStorage]:
    """Return the files in the form, without empty fields, which browsers send as a file without name."""
    files = [file for _, file in request.files.items(multi=True)]
    return [file for file in files if file.filename or _has_content(file)]


def _has_content(file: FileStorage) -> bool:
    has_content = bool(file.stream.read(1))
    file.stream.seek(0)
    return has_content


def _keys(files: Sequence[FileStorage], form_key: str) -> list[UploadKey]:
    """Return the idempotency keys of a form's files, so that a form sent twice does not store them twice."""
    if not form_key:
        return []
    digests = [_digest(file) for file in files]
    return [UploadKey(f"form {form_key} {place} {digest}", digest) for place, digest in enumerate(digests)]


def _digest(file: FileStorage) -> str:
    digest = hashlib.sha256()
    while piece := file.stream.read(_PIECE_BYTES):
        digest.update(piece)
    file.stream.seek(0)
    return digest.hexdigest()


def _no_files() -> Page:
    """Respond to a form without files: tell people to choose photos, and programs how to send them."""
    is_form = not request.content_length or request.mimetype in _FORM_TYPES
    if is_form and "photos" not in request.form:
        sentence, status = gettext("Choose at least one photo first."), 400
    else:
        sentence = gettext("Photos are accepted only as files of a form (multipart/form-data).")
        status = 400 if is_form else 415
    if wants_json():
        return jsonify(error=sentence, status=status, files=[]), status
    return _form_page(sentence), status


def _response(outcomes: Sequence[Uploaded | Refused]) -> Page:
    results = [_result(outcome) for outcome in outcomes]
    refused = [result["status"] for result in results if result["id"] is None]
    stored = len(results) - len(refused)
    _tell_when_to_retry(outcomes)
    if wants_json():
        return jsonify(files=results), max(refused, default=201)
    if refused:
        return render_template("results.html", results=results, stored=stored), max(refused)
    doubles = sum("duplicate_of" in result for result in results)
    flash(_stored_sentence(stored, doubles))
    return redirect(url_for("gallery.photos"), 303)


def _stored_sentence(stored: int, doubles: int) -> str:
    sentence = (
        gettext("Your photo is stored.")
        if stored == 1
        else gettext("Your %(number)d photos are stored.", number=stored)
    )
    return f"{sentence} {_copies_sentence(stored, doubles)}" if doubles else sentence


def _copies_sentence(stored: int, doubles: int) -> str:
    if stored == 1:
        return gettext("The stored photo is another copy of a photo that you already had.")
    return ngettext(
        "%(num)d of the stored photos is another copy of a photo that you already had.",
        "%(num)d of the stored photos are further copies of photos that you already had.",
        doubles,
    )


def _tell_when_to_retry(outcomes: Sequence[Uploaded | Refused]) -> None:
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    waits_s = [outcome.retry_after_s for outcome in refused if outcome.retry_after_s]
    if waits_s:

        @after_this_request
        def add(response: Response) -> Response:
            response.headers["Retry-After"] = str(max(waits_s))
            return response


def _result(outcome: Uploaded | Refused) -> dict[str, Any]:
    if isinstance(outcome, Uploaded):
        result = {"name": outcome.name, "id": outcome.photo_id, "error": None, "status": 201}
        if outcome.duplicate_of is not None:
            result["duplicate_of"] = outcome.duplicate_of
        return result
    return {
        "name": outcome.name,
        "id": None,
        "error": translated(outcome.reason or outcome.error),
        "status": outcome.status,
    }
