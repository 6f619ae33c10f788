"""The random audit: reviewers judge randomly drawn photos that a model decided. Other users get 404."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_PHOTO_ID, services
from catloader.web.languages import gettext, ngettext
from catloader.web.staff.admin import number_of
from catloader.web.staff.review import human_verdict, notify_owner, reviewers_only
from checker.evaluation.intervals import wilson

logger = logging.getLogger(__name__)
blueprint = Blueprint("random_audit", __name__, url_prefix="/review/audit")
blueprint.before_request(reviewers_only)

MOST = 1000
"""Maximum number of photos in one draw."""


@blueprint.get("")
def page() -> str:
    """Show the next photo of the audit without the model's verdict, and the current estimates."""
    audits = services().random_audits
    return render_template(
        "random_audit.html", photo=audits.next(), waiting=audits.waiting(), estimates=estimates(), most=MOST
    )


@blueprint.post("/draw")
def draw() -> Response:
    number = number_of(request.form.get("number", "").strip())
    if not number or number > MOST:
        raise InvalidInput("Draw 1 to %(number)d photos at a time.", number=MOST)
    verdict = human_verdict(request.form.get("verdict"))
    drawn = services().random_audits.draw(verdict, number, current_user().id, utcnow())
    sentence = ngettext("%(num)d photo drawn.", "%(num)d photos drawn.", drawn)
    flash(sentence if drawn else gettext("No photo is left to draw."))
    return redirect(url_for(".page"), 303)


@blueprint.post(f"/<int(max={MAX_PHOTO_ID}):id>")
def answer(id: int) -> Response:
    reviewer, text = current_user(), request.form.get("answer")
    verdict = None if text == "cant_tell" else human_verdict(text)
    if services().random_audits.answer(id, reviewer.id, verdict, utcnow()):
        logger.info("reviewer %d answered on photo %d: %s", reviewer.id, id, text)
        if verdict is not None:
            notify_owner(id)
    else:
        flash(gettext("This photo is no longer waiting for an answer. Nothing was changed."))
    return redirect(url_for(".page"), 303)


def estimates() -> list[tuple[str, int, int, int, float, float]]:
    """Return the error estimates of the profile that made the latest decision.

    Each is (verdict, wrong, answered, can't tell, lower end and upper end of the 95 % interval of the rate).
    """
    record = services().check_log.latest_of_all()
    tallies = services().random_audits.tallies(str(record.profile_id)) if record else {}
    return [
        (verdict, tally.wrong, tally.answered, tally.cant_tell, *wilson(tally.wrong, tally.answered))
        for verdict, tally in tallies.items()
    ]
