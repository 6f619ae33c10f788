"""Sharing: publish a photo in the album, or make a link to one photo."""

from __future__ import annotations

import logging

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from catloader.errors import NotFound
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.kinds import ObjectKind
from catloader.web.accounts.sessions import current_user, without_login
from catloader.web.http.context import (
    MAX_PHOTO_ID,
    PHOTO_NOT_FOUND,
    full_address,
    own_photo,
    page_of_photo,
    services,
)
from catloader.web.http.forms import chosen
from catloader.web.languages import gettext
from catloader.web.photos.jpegs import jpeg_response
from catloader.web.uploads.admission import uses_object_store

logger = logging.getLogger(__name__)
blueprint = Blueprint("sharing", __name__)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/publish")
def publish(id: int) -> Response:
    """Put the user's own photo into the album, or take it out with ``public=no``."""
    public = chosen("public", "yes", "no", if_missing="yes") == "yes"
    own_photo(id)
    if public and services().takedowns.of_photo(id):
        flash(gettext("This photo was taken out of the public album, so it stays private."))
        return redirect(page_of_photo(id), 303)
    services().album.publish([id], current_user().id, public=public)
    logger.info("user %d %s photo %d", current_user().id, "published" if public else "unpublished", id)
    flash(gettext("Photo published.") if public else gettext("Photo is private again."))
    return redirect(page_of_photo(id), 303)


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/share")
def share(id: int) -> str:
    """Make a new link and show it. It can't be shown again, because only its digest is stored."""
    token = services().share_links.make(id, current_user().id, utcnow())
    if token is None:
        raise NotFound(PHOTO_NOT_FOUND)
    logger.info("user %d made a link to photo %d", current_user().id, id)
    return render_template("share_link.html", photo_id=id, link=full_address(".shared", token=token))


@blueprint.post(f"/photos/<int(max={MAX_PHOTO_ID}):id>/unshare")
def unshare(id: int) -> Response:
    own_photo(id)
    if services().share_links.revoke(id, current_user().id):
        logger.info("user %d revoked the link to photo %d", current_user().id, id)
        flash(gettext("The link no longer works."))
    return redirect(page_of_photo(id), 303)


@blueprint.get("/s/<token>")
@without_login
def shared(token: str) -> str:
    """Show the photo to anyone who has the link."""
    photo = _shared_photo(token)
    return render_template(
        "album_photo.html",
        photo=photo,
        shared=True,
        page_url=full_address(".shared", token=token),
        photo_url=url_for(".shared_jpeg", token=token),
        shared_photo_url=full_address(".shared_jpeg", token=token),
    )


@blueprint.get("/s/<token>/photo.jpg")
@without_login
@uses_object_store
def shared_jpeg(token: str) -> Response:
    photo = _shared_photo(token)
    return jpeg_response(ObjectKind.PHOTO, photo.photo_key, photo.sha256)


def _shared_photo(token: str) -> Photo:
    photo = services().share_links.photo(token)
    if photo is None:
        raise NotFound("This link has been revoked, or it is incomplete.")
    return photo
