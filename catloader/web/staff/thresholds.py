"""Thresholds measured on people's decisions: measure them, preview their effect, apply them, roll back.

Users who are not administrators get 404.
"""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.checks import remeasure
from catloader.checks.runtime_request import profile_folders
from catloader.errors import InvalidInput, NotFound
from catloader.store.db.checks.measured_profiles import MeasuredProfile
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import current_user
from catloader.web.formats import shown_seconds
from catloader.web.http.context import MAX_ID, services
from catloader.web.languages import gettext, ngettext
from catloader.web.staff.admin import administrators_only
from checker.decision.operating_point import UNCALIBRATED, Thresholds, cat_point, thresholds_for
from checker.decision.profile import OperatingPoint, Profile, profile_from_json, profile_of_id
from checker.errors import ModelRefused

logger = logging.getLogger(__name__)
blueprint = Blueprint("thresholds", __name__, url_prefix="/admin/thresholds")
blueprint.before_request(administrators_only)

_SHOWN = 200
_HISTORY = 20


@blueprint.get("")
def page() -> str:
    store, record = services().measured_profiles, services().check_log.latest_of_all()
    job = store.latest()
    choices = store.choices(_HISTORY)
    return render_template(
        "admin_thresholds.html",
        record=record,
        job=job,
        running=job is not None and job.is_running(utcnow()),
        new=_in_force(job) if job and job.profile else None,
        shown=(job.photos or ())[:_SHOWN] if job else (),
        requeueable=remeasure.MOST_PHOTOS,
        choices=choices,
        held=choices[0].measured_id if choices else None,
    )


@blueprint.post("/measure")
def measure() -> Response:
    """Start a measurement in the background."""
    base, store = _base(), services().measured_profiles
    id = store.begin(base.profile_id, current_user().id, utcnow())
    if id is None:
        flash(gettext("A measurement is already running."))
    else:
        logger.info("administrator %d measures the thresholds of %s", current_user().id, base.profile_id)
        remeasure.start(store, id, base, services().settings)
    return redirect(url_for(".page"), 303)


@blueprint.post(f"/<int(max={MAX_ID}):id>/apply")
def apply(id: int) -> Response:
    """Apply measured thresholds. With ``again``, also check the photos again whose verdict would change."""
    store, settings = services().measured_profiles, services().settings
    job = store.by_id(id)
    if job is None or job.profile_id is None:
        raise NotFound("There is no such measurement.")
    again = [photo[0] for photo in job.photos or ()] if request.form.get("again") else []
    # Checkers look for new thresholds every sweep_s and then load the model. Photos become due after that.
    number = store.choose(
        id, "applied thresholds", current_user().id, utcnow(), requeued=again, delay_s=4 * settings.sweep_s
    )
    flash(gettext("Checkers load the thresholds within %(time)s.", time=shown_seconds(settings.sweep_s)))
    if number:
        flash(
            ngettext("%(num)d photo will be checked again.", "%(num)d photos will be checked again.", number)
        )
    return redirect(url_for(".page"), 303)


@blueprint.post("/rollback")
def roll_back() -> Response:
    """Return to the previous thresholds. A second rollback undoes the first."""
    store = services().measured_profiles
    choices = store.choices(2)
    if not choices:
        raise InvalidInput("No thresholds were applied, so there are none to return to.")
    before = choices[1].measured_id if len(choices) == 2 else None
    store.choose(before, "rolled back thresholds to", current_user().id, utcnow())
    time = shown_seconds(services().settings.sweep_s)
    flash(gettext("Checkers return to the previous thresholds within %(time)s.", time=time))
    return redirect(url_for(".page"), 303)


def _base() -> Profile:
    """Return the fully measured profile whose head the checkers use."""
    record = services().check_log.latest_of_all()
    if record is None or record.profile_id in (None, UNCALIBRATED):
        raise InvalidInput("The current model has no profile: run `catloader models calibrate` first.")
    measured = services().measured_profiles.by_profile_id(str(record.profile_id))
    base_id = measured.base_id if measured else str(record.profile_id)
    base = profile_of_id(base_id, profile_folders(services().settings))
    if base is None:
        raise InvalidInput(
            "The profile %(id)s is not on this machine, so nothing can be measured here.", id=base_id
        )
    return base


def _in_force(job: MeasuredProfile) -> tuple[Thresholds, OperatingPoint] | None:
    """Return the thresholds for the rates in the settings, and their rates; None if no point meets them."""
    settings = services().settings
    profile = profile_from_json(job.profile or {})
    max_fpr, max_fnr = settings.max_false_positive_rate, settings.max_false_negative_rate
    try:
        return thresholds_for(profile, max_fpr, max_fnr), cat_point(profile, max_fpr)
    except ModelRefused:  # the settings have become stricter since the measurement
        return None
