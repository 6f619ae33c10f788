"""The dashboard of administrators: activity of the checkers, and switches. Other users get 404."""

from __future__ import annotations

import logging
from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.store.db.checks.rechecks import RecheckFilter
from catloader.store.db.engine import utcnow
from catloader.store.db.schema import Status
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import services
from catloader.web.http.forms import chosen
from catloader.web.languages import gettext, ngettext
from catloader.web.staff.admin import administrators_only
from catloader.web.staff.failed import failed_status
from catloader.web.staff.random_audit import estimates
from checker.plurals import counted

logger = logging.getLogger(__name__)

blueprint = Blueprint("dashboard", __name__, url_prefix="/admin")
blueprint.before_request(administrators_only)

_HOURS = 24


@blueprint.get("")
def page() -> str:
    now, parts = utcnow(), services()
    due_since = parts.photos.due_since()
    return render_template(
        "admin_dashboard.html",
        counts=parts.photos.count_by_status() | parts.failed_photos.counts(),
        waits_s=max(0.0, (now - due_since).total_seconds()) if due_since else None,
        recent=parts.statistics.recent(now - timedelta(hours=_HOURS)),
        hours=parts.statistics.per_hour(now, _HOURS),
        paused_at=parts.switches.paused_at(),
        estimates=estimates(),
        seen=parts.activity.seen_since(now - timedelta(minutes=1), now),
    )


@blueprint.post("/checking")
def switch() -> Response:
    """Pause checking in every process, or resume it."""
    admin = current_user()
    if chosen("checking", "resume", "pause") == "resume":
        services().switches.resume(admin.id, utcnow())
        services().dispatcher.wake()
        logger.info("administrator %d resumed checking", admin.id)
        flash(gettext("Checking has been resumed."))
    else:
        services().switches.pause(admin.id, utcnow())
        logger.info("administrator %d paused checking", admin.id)
        flash(gettext("Checking is paused. Uploaded photos wait."))
    return redirect(url_for(".page"), 303)


@blueprint.post("/requeue")
def requeue() -> Response:
    """Check all failed photos again, or all unreadable photos."""
    status = failed_status(request.form.get("status", ""))
    number = services().rechecks.requeue(RecheckFilter(status=Status(status)), actor_id=current_user().id)
    services().dispatcher.wake()
    logger.info("administrator %d re-queued %s", current_user().id, counted(number, f"{status} photo"))
    flash(ngettext("%(num)d photo will be checked again.", "%(num)d photos will be checked again.", number))
    return redirect(url_for(".page"), 303)
