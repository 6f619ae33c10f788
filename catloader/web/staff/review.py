"""The queue of reviewers, who decide photo after photo with single keys. Other users get 404."""

from __future__ import annotations

import logging
import re
from typing import Any, cast

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput, NotFound, TooManyAttempts
from catloader.store.db.accounts.users import User
from catloader.store.db.checks.check_log import turned_deg_of
from catloader.store.db.engine import utcnow
from catloader.store.db.staff.decisions import HumanVerdict
from catloader.store.db.staff.reviews import QueueItem
from catloader.texts import clean_text
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_ID, MAX_PHOTO_ID, services
from catloader.web.languages import gettext
from catloader.web.photos.gauge import gauge
from catloader.web.photos.labels import sentence

logger = logging.getLogger(__name__)
blueprint = Blueprint("review", __name__, url_prefix="/review")


@blueprint.before_request
def reviewers_only() -> None:
    if not current_user().may_review:
        abort(404)


@blueprint.get("")
def queue() -> str:
    """Show the first photo in the queue, or the first after a position (``?after=a7``, ``?after=u42``)."""
    after = request.args.get("after", "")
    items = services().reviews.queue(_place(after), 2)
    return _page(items[0] if items else None, after, following=items[1] if len(items) > 1 else None)


@blueprint.get(f"/<int(max={MAX_PHOTO_ID}):id>")
def photo(id: int) -> str:
    """Show a photo whose decision was just undone; the queue continues ``?after=`` a position."""
    item = services().reviews.item(id)
    if item is None:
        raise NotFound("This photo is not waiting for a reviewer.")
    return _page(item, request.args.get("after", ""))


@blueprint.post(f"/<int(max={MAX_PHOTO_ID}):id>/decide")
def decide(id: int) -> Response:
    reviewer, verdict = current_user(), human_verdict(request.form.get("verdict"))
    note = clean_text(request.form.get("note", ""), "note")
    seen = request.form.get("file") or None
    if services().reviews.decide(id, reviewer.id, verdict, note, utcnow(), seen_sha256=seen):
        logger.info("reviewer %d decided photo %d: %s", reviewer.id, id, verdict)
        notify_owner(id)
    elif services().reviews.item(id) is not None:
        flash(gettext("This photo has just changed. Nothing was decided: look at it again."))
    else:
        flash(gettext("This photo was no longer waiting for a reviewer. Nothing was changed."))
    return redirect(url_for(".queue", after=request.form.get("after") or None), 303)


@blueprint.post("/undo")
def undo() -> Response:
    reviewer = current_user()
    # Without a number, the last decision is undone; a text that is not a number names no decision.
    seen = request.form.get("decision", type=int, default=0) if request.form.get("decision") else None
    after = request.form.get("after") or None
    id = services().reviews.undo(reviewer.id, utcnow(), seen)
    if id is None:  # there is no such decision, or it has been undone in another window
        flash(gettext("This decision can't be undone any more. Nothing was changed."))
        return redirect(url_for(".queue", after=after), 303)
    logger.info("reviewer %d undid the decision on photo %d", reviewer.id, id)
    flash(gettext("Your last decision was undone."))
    waits = services().reviews.item(id) is not None
    return redirect(url_for(".photo", id=id, after=after) if waits else url_for(".queue", after=after), 303)


def notify_owner(photo_id: int) -> None:
    """Send a notice of the decision to the owner of a photo, if they chose notices.

    After many mails to one address, the next mail is delayed and lists all decisions made until then.
    """
    mails, photo = services().mails, services().photos.by_id(photo_id)
    if mails is None or photo is None or photo.owner_id == current_user().id:
        return
    owner = services().users.by_id(photo.owner_id)
    if owner is None or not owner.gets_notices:
        return
    after_s = 0
    try:
        services().attempts.begin_notice(owner.email, utcnow())
    except TooManyAttempts as error:
        after_s = error.retry_after_s or 0
    mails.reviewed(owner.id, photo_id, after_s)


def human_verdict(text: str | None) -> HumanVerdict:
    """Return the verdict in a form.

    Raises:
        InvalidInput: it is not a verdict that people give.
    """
    if text not in ("cat", "not_cat"):
        raise InvalidInput("Choose one of the two answers.")
    return cast(HumanVerdict, text)


def may_review(user: User, photo_id: int) -> bool:
    """Return True if the user is a reviewer and the photo is or was in the queue of reviewers."""
    return user.may_review and services().reviews.may_see(photo_id)


def _page(item: QueueItem | None, after: str, following: QueueItem | None = None) -> str:
    reviews, log = services().reviews, services().check_log
    record = log.latest_decision(item.photo.id) if item else None
    appeals, unsure = reviews.counts()
    details: dict[str, Any] = {}
    if item:
        details = {
            "gauge": gauge(record),
            "sentence": sentence(item.photo, record),
            "turned_deg": turned_deg_of(record, item.photo),
            # A photo whose decision was undone may be before photos that were skipped already.
            "skip": _text(max(item.place, _place(after) or item.place)),
            "note": _undone_note(item.photo.id),
        }
    return render_template(
        "review.html",
        item=item,
        following=following,
        record=record,
        appeals=appeals,
        unsure=unsure,
        last=reviews.last_of(current_user().id),
        after=after,
        **details,
    )


def _undone_note(photo_id: int) -> str:
    """Return the note of this reviewer's undone decision, so that they need not type it again."""
    rows = [row for row in services().reviews.of_photo(photo_id) if row.reviewer_id == current_user().id]
    is_undone = bool(rows) and rows[-1].verdict is None
    return next((row.note for row in reversed(rows) if row.verdict), "") if is_undone else ""


def _text(place: tuple[bool, int]) -> str:
    return f"{'u' if place[0] else 'a'}{place[1]}"


def _place(text: str) -> tuple[bool, int] | None:
    match = re.fullmatch(r"([au])([0-9]{1,19})", text)
    if match is None:
        return None
    is_photo = match[1] == "u"
    return is_photo, min(int(match[2]), MAX_PHOTO_ID if is_photo else MAX_ID)
