"""The list of failed and unreadable photos, to check them again. Other users get 404."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput
from catloader.store.db.checks.failed_photos import STATUSES, FailedStatus
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_PHOTO_ID, services
from catloader.web.languages import gettext, ngettext
from catloader.web.staff.admin import administrators_only, number_of
from checker.plurals import counted

logger = logging.getLogger(__name__)
blueprint = Blueprint("failed", __name__, url_prefix="/admin/failed")
blueprint.before_request(administrators_only)

_PAGE = 50


@blueprint.get("")
def photos() -> str:
    """Show a page of the list. ``?status=`` and ``?error=`` select the photos, ``?before=`` the page."""
    status = failed_status(request.args.get("status", "failed"))
    error, before = request.args.get("error"), number_of(request.args.get("before", ""), MAX_PHOTO_ID)
    rows = services().failed_photos.page(status, error, before, _PAGE + 1)
    shown = rows[:_PAGE]
    return render_template(
        "admin_failed.html",
        photos=shown,
        status=status,
        error=error,
        kinds=services().failed_photos.kinds(status),
        counts=services().failed_photos.counts(),
        next=shown[-1].id if len(rows) > _PAGE else None,
    )


@blueprint.post("")
def requeue() -> Response:
    """Check the selected photos again, or the single photo whose button was pressed."""
    status = failed_status(request.form.get("status", "failed"))
    pressed = request.form.get("one")
    texts = [pressed] if pressed else request.form.getlist("photo")[:_PAGE]
    ids = [number_of(text, MAX_PHOTO_ID) for text in texts]
    back = url_for(".photos", status=status, error=request.form.get("error") or None)
    if not ids:
        flash(gettext("Select at least one photo first."))
        return redirect(back, 303)
    number = services().failed_photos.requeue([id for id in ids if id], current_user().id, utcnow())
    if number:
        services().dispatcher.wake()
        logger.info("administrator %d re-queued %s", current_user().id, counted(number, "photo"))
    flash(ngettext("%(num)d photo will be checked again.", "%(num)d photos will be checked again.", number))
    return redirect(back, 303)


def failed_status(text: str) -> FailedStatus:
    """Return the status in a request.

    Raises:
        InvalidInput: it is neither "failed" nor "unreadable".
    """
    if text not in STATUSES:
        raise InvalidInput("Choose the failed or the unreadable photos.")
    return text
