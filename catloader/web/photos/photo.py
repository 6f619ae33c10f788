"""A photo's page, and the actions of its owner."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from catloader.errors import NotFound
from catloader.store.db.checks.check_log import turned_deg_of
from catloader.store.db.engine import utcnow
from catloader.texts import clean_text
from catloader.web.accounts.sessions import current_user
from catloader.web.checking import waiting_note
from catloader.web.http.context import (
    MAX_PHOTO_ID,
    PHOTO_NOT_FOUND,
    local_path,
    own_photo,
    page_of_photo,
    services,
)
from catloader.web.languages import gettext
from catloader.web.photos.appeals import refusal_of_appeal
from catloader.web.photos.gauge import gauge
from catloader.web.photos.history import history
from catloader.web.photos.labels import reason, sentence
from catloader.web.photos.nouns import noun, noun_of
from catloader.web.photos.photo_list import PhotoList, restorable
from catloader.web.profiles import measured_rates
from catloader.web.staff.review import human_verdict

logger = logging.getLogger(__name__)
blueprint = Blueprint("photo", __name__)

_MOST_ATTEMPTS = 20
"""Maximum number of attempts in the history of a photo."""


@blueprint.get(f"/photos/<int(max={MAX_PHOTO_ID}):id>")
def page(id: int) -> str:
    photo = own_photo(id)
    photo_list = PhotoList.of_request(current_user().id, request.args)
    record = services().check_log.latest(id)
    explained = services().check_log.latest_decision(id)
    appeals, reviews = services().reviews.appeals_of(id), services().reviews.of_photo(id)
    return render_template(
        "photo.html",
        photo=photo,
        photo_list=photo_list,
        place=photo_list.place(services().gallery, photo),
        waiting_note=waiting_note([photo]),
        record=record,
        turned_deg=turned_deg_of(record, photo),
        gauge=gauge(record),
        rates=measured_rates(record),
        sentence=sentence(photo, record),
        reason=reason(photo),
        open_appeal=next((appeal for appeal in appeals if appeal.closed_at is None), None),
        review=reviews[-1] if reviews and photo.human_verdict else None,
        history=history(
            services().check_log.of_photo(id, _MOST_ATTEMPTS),
            appeals,
            reviews,
            services().replacements.of_photo(id),
            noun(services().settings),
        ),
        takedown=services().takedowns.of_photo(id),
        shared_at=services().share_links.made_at(id),
        likes=services().album.likes([id]).get(id, 0),
        bin_days=services().bin.days,
        explained=explained,
        explained_noun=noun_of(explained.subject or "") if explained else None,
    )


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/caption")
def caption(id: int) -> Response:
    text = clean_text(request.form.get("caption", ""), "caption")
    if not services().photos.set_caption(id, current_user().id, text):
        raise NotFound(PHOTO_NOT_FOUND)
    flash(gettext("Caption saved.") if text else gettext("Caption removed."))
    return _back_to(id)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/check")
def check(id: int) -> Response:
    own_photo(id)
    if services().rechecks.requeue_own([id], current_user().id):
        services().dispatcher.wake()
        flash(gettext("The photo will be checked again."))
    else:
        flash(gettext("The photo is unchanged: a person has decided, or it is already waiting."))
    return _back_to(id)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/appeal")
def appeal(id: int) -> Response:
    """Ask a reviewer to change the verdict."""
    own_photo(id)
    wish = human_verdict(request.form.get("wish"))
    reason = clean_text(request.form.get("reason", ""), "reason")
    if services().reviews.appeal(id, current_user().id, wish, reason, utcnow()):
        logger.info("user %d asked for a review of photo %d", current_user().id, id)
        flash(gettext("Thank you. A reviewer will look at this photo."))
    else:
        flash(gettext(refusal_of_appeal(id, wish)))
    return _back_to(id)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/withdraw")
def withdraw(id: int) -> Response:
    own_photo(id)
    if services().reviews.withdraw(id, current_user().id, utcnow()):
        flash(gettext("Your request was withdrawn."))
    return _back_to(id)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/delete")
def delete(id: int) -> Response:
    user = current_user()
    if not services().bin.put([id], user.id):
        raise NotFound(PHOTO_NOT_FOUND)
    services().deletion.wake()
    logger.info("user %d deleted photo %d", user.id, id)
    if services().bin.days:
        flash(gettext("Photo moved to the bin."), restorable([id]))
    else:
        flash(gettext("Photo deleted."))
    return redirect(local_path(request.form.get("next")), 303)


def _back_to(id: int) -> Response:
    return redirect(page_of_photo(id), 303)
