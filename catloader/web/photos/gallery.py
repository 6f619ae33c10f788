"""The home page, and My photos with actions on several photos at once."""

from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput
from catloader.store.db.photos.gallery import Shown
from catloader.web.accounts.sessions import current_user, without_login
from catloader.web.checking import waiting_note
from catloader.web.http.context import local_path, services
from catloader.web.languages import gettext, ngettext
from catloader.web.photos.nouns import noun
from catloader.web.photos.photo_list import PhotoList, restorable, say_gone, selected_ids
from catloader.web.zones import zone
from checker.plurals import counted

logger = logging.getLogger(__name__)
blueprint = Blueprint("gallery", __name__)


@blueprint.get("/")
@without_login
def landing() -> Any:
    return redirect(url_for(".photos"), 303) if g.user else render_template("landing.html")


@blueprint.get("/photos")
def photos() -> str:
    gallery = services().gallery
    photo_list = PhotoList.of_request(current_user().id, request.args)
    page = photo_list.page(gallery)
    counts = gallery.counts(current_user().id, photo_list.selection.words)
    return render_template(
        "photos.html",
        photo_list=photo_list,
        here=request.full_path.removesuffix("?"),
        page=page,
        by_month=page.by_month(zone()),
        appealed=gallery.appealed([photo.id for photo in page.photos]) if counts[Shown.APPEALED] else (),
        counts=counts,
        # Search results have no list of months: it would need another search for every month.
        months=[] if photo_list.selection.words else gallery.months(photo_list.selection, zone()),
        waiting_note=waiting_note(page.photos),
        in_bin=services().bin.count(current_user().id),
    )


@blueprint.post("/photos/selected")
def selected() -> Any:
    """Delete the selected photos (after a confirmation page), check them again, publish or unpublish them."""
    ids = selected_ids(request.form)
    back = local_path(request.form.get("next"))
    if not ids:
        flash(gettext("Select at least one photo first."))
        return redirect(back, 303)
    photos = services().photos.statuses(current_user().id, ids)
    if not photos:
        say_gone()
        return redirect(back, 303)
    ids = sorted(photo.id for photo in photos)
    match request.form.get("action"):
        case "delete":
            return render_template(
                "delete_selected.html",
                photos=photos,
                next=request.form.get("next"),
                back=back,
                at=url_for(".selected"),
                bin_days=services().bin.days,
            )
        case "confirm-delete":
            return _delete(ids, back)
        case "check":
            return _check_again(ids, back)
        case "publish" | "unpublish" as action:
            return _publish(ids, back, public=action == "publish")
    raise InvalidInput("Choose what to do with the selected photos.")


def _delete(ids: list[int], back: str) -> Response:
    user = current_user()
    number = services().bin.put(ids, user.id)
    services().deletion.wake()
    logger.info("user %d deleted %s", user.id, counted(number, "photo"))
    if services().bin.days:
        moved = ngettext("%(num)d photo moved to the bin.", "%(num)d photos moved to the bin.", number)
        flash(moved, restorable(ids))
    else:
        flash(ngettext("%(num)d photo deleted.", "%(num)d photos deleted.", number))
    return redirect(back, 303)


def _publish(ids: list[int], back: str, *, public: bool) -> Response:
    user = current_user()
    number = services().album.publish(ids, user.id, public=public)
    logger.info("user %d %s %s", user.id, "published" if public else "unpublished", counted(number, "photo"))
    if public:
        flash(
            ngettext(
                "%(num)d photo published. The album shows those with %(a_thing)s.",
                "%(num)d photos published. The album shows those with %(a_thing)s.",
                number,
                a_thing=noun(services().settings).a,
            )
        )
    else:
        flash(ngettext("%(num)d photo made private.", "%(num)d photos made private.", number))
    return redirect(back, 303)


def _check_again(ids: list[int], back: str) -> Response:
    number = services().rechecks.requeue_own(ids, current_user().id)
    services().dispatcher.wake()
    left = len(ids) - number
    sentence = ngettext(
        "%(num)d photo will be checked again.", "%(num)d photos will be checked again.", number
    )
    if left:
        unchanged = ngettext(
            "%(num)d photo unchanged: decided by a person, or already waiting.",
            "%(num)d photos unchanged: decided by a person, or already waiting.",
            left,
        )
        sentence = f"{sentence} {unchanged}"
    flash(sentence)
    return redirect(back, 303)
