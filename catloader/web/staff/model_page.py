"""The page of models: the model in use, its measured error rates, and the choice of another model.

Users who are not administrators get 404.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.checks import promotion
from catloader.checks.runtime_request import profile_folders
from catloader.errors import InvalidInput
from catloader.languages import gettext_noop
from catloader.settings import Settings
from catloader.store.db.checks.check_log import CheckRecord
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import current_user
from catloader.web.formats import shown_seconds
from catloader.web.http.context import services
from catloader.web.languages import gettext
from catloader.web.profiles import profile_of
from catloader.web.staff.admin import administrators_only
from checker.decision.operating_point import Thresholds, thresholds_for
from checker.decision.profile import Profile, load_profile
from checker.decision.rates import MeasuredRates, rates_within
from checker.decision.subject import load_subject
from checker.errors import ModelRefused
from checker.runtimes.selection.auto import AUTO
from models.catalogue import Entry, all_entries, weights_path
from models.errors import ModelsError

logger = logging.getLogger(__name__)
blueprint = Blueprint("models", __name__, url_prefix="/admin/models")
blueprint.before_request(administrators_only)

_HISTORY = 20
_COMPARED = 500
"""Photos in a comparison that the page starts. It takes some minutes on a small machine."""
_NOTHING_BEFORE = gettext_noop("No model was promoted here, so there is none to return to.")


@dataclass(frozen=True, slots=True)
class Serving:
    """The model, variant and thresholds of the latest decision, by any checker."""

    record: CheckRecord
    profile: Profile | None
    """None: the decision was uncalibrated, or the profile is not on this machine."""
    thresholds: Thresholds | None
    rates: MeasuredRates | None
    """The measured rates at the false positive rate that the settings allow."""


@blueprint.get("")
def page() -> str:
    settings, choices = services().settings, services().model_choices
    state = services().checker.state() if services().checker else None  # type: ignore[union-attr]
    serving, current = _serving(settings), promotion.current_name(settings, choices)
    return render_template(
        "admin_models.html",
        state=state,
        serving=serving,
        settings=settings,
        models=_on_disk(settings),
        unmeasured=_unmeasured(settings),
        current=current,
        in_use=_in_use(current, state, serving),
        target=_rollback_target(settings),
        overruled=settings.model != AUTO,
        history=choices.history(_HISTORY),
        report=choices.latest_report(),
        run=services().shadow_runs.latest(),
        most=_COMPARED,
    )


@blueprint.post("/promote")
def promote() -> Response:
    """Choose the model that all checkers will load."""
    settings, name = _unless_overruled(), request.form.get("model", "")
    if name not in {AUTO, *(entry.name for entry in _on_disk(settings))}:
        raise InvalidInput("Choose a model whose weights are on this machine.")
    promotion.promote(settings, services().model_choices, name, current_user().id, utcnow())
    return _chosen(name)


@blueprint.post("/rollback")
def roll_back() -> Response:
    settings = _unless_overruled()
    try:
        choice = promotion.roll_back(settings, services().model_choices, current_user().id, utcnow())
    except ModelsError as error:
        raise InvalidInput(_NOTHING_BEFORE) from error
    return _chosen(choice.current)


@blueprint.post("/shadow")
def shadow() -> Response:
    """Start to compare a model with the model in use, in the background."""
    settings, name, now = services().settings, request.form.get("model", ""), utcnow()
    if name not in {entry.name for entry in _on_disk(settings)}:
        raise InvalidInput("Choose a model whose weights are on this machine.")
    if services().shadow_runs.start(name, _COMPARED, now):
        services().audit_log.add(current_user().id, "compared model", name, now)
        logger.info("administrator %d compares the model %s", current_user().id, name)
    else:
        flash(gettext("A comparison is already running."))
    return redirect(url_for(".page"), 303)


def _chosen(name: str) -> Response:
    logger.info("administrator %d chose the model %s", current_user().id, name)
    sentence = gettext(
        "Checkers load %(name)s within %(time)s, and test it before it checks.",
        name=name,
        time=shown_seconds(services().settings.sweep_s),
    )
    flash(sentence)
    return redirect(url_for(".page"), 303)


def _unless_overruled() -> Settings:
    settings = services().settings
    if settings.model != AUTO:
        raise InvalidInput(
            "CATCHECK_MODEL=%(name)s is set, so no other model can be chosen here.", name=settings.model
        )
    return settings


def _in_use(current: str, state: Mapping[str, object] | None, serving: Serving | None) -> object:
    """Return the name of the model in use; None if it is automatic and no checker has reported it."""
    if current != AUTO:
        return current
    if state and state["state"] == "ready":
        return state["model"]
    return serving.record.model if serving else None


def _on_disk(settings: Settings) -> list[Entry]:
    entries = all_entries(settings.weights_dir).values()
    return [entry for entry in entries if weights_path(entry, settings.weights_dir)]


def _unmeasured(settings: Settings) -> list[str]:
    """Return the models on disk without a profile for the subject. Their verdicts are uncalibrated."""
    subject, measured = load_subject(settings.subject), set[str]()
    for path in (path for folder in profile_folders(settings) for path in folder.glob("*.json")):
        with contextlib.suppress(ModelRefused):  # a broken profile is reported in the log of the checkers
            profile = load_profile(path)
            if profile.key.subject == subject:
                measured.add(profile.model)
    return [entry.name for entry in _on_disk(settings) if entry.name not in measured]


def _rollback_target(settings: Settings) -> str | None:
    try:
        return promotion.rollback_target(settings, services().model_choices)
    except ModelsError:
        return None


def _serving(settings: Settings) -> Serving | None:
    record = services().check_log.latest_of_all()
    if record is None:
        return None
    profile = profile_of(record)
    if profile is None:
        return Serving(record, None, None, None)
    max_fpr = settings.max_false_positive_rate
    try:
        thresholds = thresholds_for(profile, max_fpr, settings.max_false_negative_rate)
        return Serving(record, profile, thresholds, rates_within(profile, max_fpr))
    except ModelRefused:  # no measured point meets the rates in the settings
        return Serving(record, profile, None, None)
