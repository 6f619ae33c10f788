"""Step 1, upload: the form, sent as a whole or one request per file, and the outcome of each file."""

from __future__ import annotations

import logging
import time
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

from catloader.checks.dispatch import Dispatcher
from catloader.intake.upload import Refused, Uploaded
from catloader.intake.upload import upload as store
from catloader.web.admission import uses_object_store
from catloader.web.context import for_log, services, wants_json
from catloader.web.labels import shown_bytes
from catloader.web.request_log import tell_photos
from catloader.web.sessions import current_user

logger = logging.getLogger(__name__)
blueprint = Blueprint("uploads", __name__)

Page = Response | str | tuple[str | Response, int]


class WakeAfterResponse:
    """A dispatcher that fires after the response is sent, so the check does not delay it.

    Nothing is lost if the process dies in between: the sweep finds the photo.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def wake(self) -> None:
        @after_this_request
        def fire(response: Response) -> Response:
            response.call_on_close(self._dispatcher.wake)
            return response

    def close(self) -> None:
        pass


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
    """Respond 201 (JSON) or 303 if every file is stored, else with the highest status of the refused."""
    files = _chosen_files()
    if not files:
        return _no_files()
    captions = request.form.getlist("caption")
    if len(captions) == 1:
        captions *= len(files)
    user, app, started_s = current_user(), services(), time.monotonic()
    outcomes = store(
        [(file.filename or "(no name)", cast(BinaryIO, file.stream)) for file in files],
        captions,
        user.id,
        settings=app.settings,
        prepare=app.decoders.prepare,
        photos=app.photos,
        objects=app.objects,
        dispatcher=WakeAfterResponse(app.dispatcher),
    )
    log_outcomes(user.id, outcomes, time.monotonic() - started_s)
    return _response(outcomes)


def _form_page(error: str | None = None) -> str:
    user = current_user()
    return render_template(
        "upload.html",
        error=error,
        welcome="welcome" in request.args,
        used=services().usage.of(user.id),
        quota=services().quotas.of(user.id),
        max_edge_px=services().settings.max_edge_px,
    )


def _chosen_files() -> list[FileStorage]:
    """Return the files sent; browsers send an empty field as a file without name and content."""
    files = [file for _, file in request.files.items(multi=True)]
    return [file for file in files if file.filename or _has_content(file)]


def _has_content(file: FileStorage) -> bool:
    has_content = bool(file.stream.read(1))
    file.stream.seek(0)
    return has_content


def _no_files() -> Page:
    sentence = "Choose at least one photo first."
    if wants_json():
        return jsonify(error=sentence, status=400, files=[]), 400
    return _form_page(sentence), 400


def log_outcomes(user_id: int, outcomes: Sequence[Uploaded | Refused], seconds: float) -> None:
    """Log what was stored and what was refused, and count the refusals."""
    if ids := [outcome.photo_id for outcome in outcomes if isinstance(outcome, Uploaded)]:
        tell_photos(ids)
        sent = shown_bytes(request.content_length or 0)
        logger.info("user %d stored %s, %s in %.1f s", user_id, _id_ranges(ids), sent, seconds)
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            services().metrics.refused(outcome.kind)
            reason = for_log(outcome.error, max_chars=200)
            logger.info("user %d: refused %s: %s", user_id, for_log(outcome.name), reason)


def _id_ranges(ids: Sequence[int]) -> str:
    """Return "photo 81" or "photos 81-83, 90"; ids of one upload ascend."""
    ranges: list[list[int]] = []
    for id in ids:
        if ranges and id == ranges[-1][-1] + 1:
            ranges[-1][1:] = [id]
        else:
            ranges.append([id])
    return f"photo{'' if len(ids) == 1 else 's'} " + ", ".join("-".join(map(str, pair)) for pair in ranges)


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
    if stored == 1:
        return "Your photo is stored. You already had it." if doubles else "Your photo is stored."
    had = f" You already had {doubles} of them." if doubles else ""
    return f"Your {stored} photos are stored.{had}"


def _tell_when_to_retry(outcomes: Sequence[Uploaded | Refused]) -> None:
    waits_s = [one.retry_after_s for one in outcomes if isinstance(one, Refused) and one.retry_after_s]
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
    return {"name": outcome.name, "id": None, "error": outcome.error, "status": outcome.status}
