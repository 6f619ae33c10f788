"""Step 1, upload: the form, plain or one request per file, and what became of each file."""

from __future__ import annotations

import logging
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
from catloader.web.context import for_log, now, services, wants_json
from catloader.web.sessions import current_user

logger = logging.getLogger(__name__)
blueprint = Blueprint("uploads", __name__)

Answer = Response | str | tuple[str | Response, int]


class AfterTheAnswer:
    """Fires when the answer is on its way: the check would else compete with it for the processor.

    A process that dies in between loses nothing: the sweep finds the photo.
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
    return render_template("upload.html", error=None)


@blueprint.post("/upload")
def upload() -> Answer:
    """201 (JSON) or 303 when every file is stored, else the worst status among the refused ones."""
    files = _chosen()
    if not files:
        return _nothing_chosen()
    captions = request.form.getlist("caption")
    if len(captions) == 1:
        captions *= len(files)
    user, found = current_user(), services()
    outcomes = store(
        [(file.filename or "(no name)", cast(BinaryIO, file.stream)) for file in files],
        captions,
        user.id,
        settings=found.settings,
        photos=found.photos,
        objects=found.objects,
        dispatcher=AfterTheAnswer(found.dispatcher),
        now=now,
    )
    _log(user.id, outcomes)
    return _answer(outcomes)


def _chosen() -> list[FileStorage]:
    """A field left empty comes as a file without name and content; a nameless photo is one nevertheless."""
    files = [file for _, file in request.files.items(multi=True)]
    return [file for file in files if file.filename or _has_content(file)]


def _has_content(file: FileStorage) -> bool:
    found = bool(file.stream.read(1))
    file.stream.seek(0)
    return found


def _nothing_chosen() -> Answer:
    sentence = "Choose at least one photo first."
    if wants_json():
        return jsonify(error=sentence, status=400, files=[]), 400
    return render_template("upload.html", error=sentence), 400


def _log(user_id: int, outcomes: Sequence[Uploaded | Refused]) -> None:
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    if len(refused) < len(outcomes):
        stored = len(outcomes) - len(refused)
        logger.info("user %d uploaded %d photo%s", user_id, stored, "" if stored == 1 else "s")
    for outcome in refused:
        logger.info(
            "user %d: refused %s: %s", user_id, for_log(outcome.name), for_log(outcome.error, most=200)
        )


def _answer(outcomes: Sequence[Uploaded | Refused]) -> Answer:
    results = [_result(outcome) for outcome in outcomes]
    refused = [result["status"] for result in results if result["id"] is None]
    stored = len(results) - len(refused)
    if wants_json():
        return jsonify(files=results), max(refused, default=201)
    if refused:
        return render_template("results.html", results=results, stored=stored), max(refused)
    flash("Your photo is stored." if stored == 1 else f"Your {stored} photos are stored.")
    return redirect(url_for("gallery.photos"), 303)


def _result(outcome: Uploaded | Refused) -> dict[str, Any]:
    if isinstance(outcome, Uploaded):
        return {"name": outcome.name, "id": outcome.photo_id, "error": None, "status": 201}
    return {"name": outcome.name, "id": None, "error": outcome.error, "status": outcome.status}
