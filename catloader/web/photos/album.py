"""The public album. Everybody can see its pages; likes need a log-in."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import NotFound
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.gallery import Position
from catloader.store.db.photos.photo_rows import Photo
from catloader.web.accounts.sessions import current_user, without_login
from catloader.web.http.context import MAX_PHOTO_ID, PHOTO_NOT_FOUND, full_address, services
from catloader.web.http.forms import chosen
from catloader.web.photos.photo_list import PAGE_PHOTOS, position_of, position_of_text, text_of_position

blueprint = Blueprint("album", __name__, url_prefix="/album")


@blueprint.get("")
@without_login
def photos() -> str:
    """Show a page of the album, newest photos first. ``?older=`` and ``?newer=`` select the page."""
    older = position_of_text(request.args.get("older", ""))
    newer = None if older else position_of_text(request.args.get("newer", ""))
    album = services().album
    rows = album.newer(newer, PAGE_PHOTOS + 1) if newer else album.older(older, PAGE_PHOTOS + 1)
    photos, more = rows[:PAGE_PHOTOS], len(rows) > PAGE_PHOTOS
    if newer:
        photos.reverse()
    has_newer = more if newer else bool(older and photos and album.newer(position_of(photos[0]), 1))
    has_older = bool(newer and photos and album.older(position_of(photos[-1]), 1)) if newer else more
    return render_template(
        "album.html",
        photos=photos,
        likes=album.likes([photo.id for photo in photos]),
        newer=text_of_position(position_of(photos[0])) if has_newer else None,
        older=text_of_position(position_of(photos[-1])) if has_older else None,
        is_first=older is None and newer is None,
    )


@blueprint.get(f"/<int(max={MAX_PHOTO_ID}):id>")
@without_login
def photo(id: int) -> str:
    photo, album = _public_photo(id), services().album
    place = position_of(photo)
    newer = album.newer_ids(place, PAGE_PHOTOS)
    return render_template(
        "album_photo.html",
        photo=photo,
        page_url=full_address(".photo", id=id),
        photo_url=url_for("jpegs.photo", id=id),
        shared_photo_url=full_address("jpegs.photo", id=id),
        back=_page_of(photo, is_first=len(newer) < PAGE_PHOTOS),
        before=newer[0] if newer else None,
        after=next((older.id for older in album.older(place, 1)), None),
        likes=album.likes([id]).get(id, 0),
        liked=g.user is not None and album.is_liked_by(id, g.user.id),
    )


@blueprint.post(f"/<int(max={MAX_PHOTO_ID}):id>/like")
def like(id: int) -> Response:
    """Add the user's like, or remove it with ``like=no``."""
    user = current_user()
    if chosen("like", "yes", "no", if_missing="yes") == "no":
        _public_photo(id)
        services().album.unlike(id, user.id)
    elif not services().album.like(id, user.id, utcnow()):
        raise NotFound(PHOTO_NOT_FOUND)
    return redirect(url_for(".photo", id=id), 303)


def _page_of(photo: Photo, *, is_first: bool) -> str:
    """Return the address of a page with the photo: the first page, or a page that begins with the photo."""
    if is_first:
        return url_for(".photos", _anchor=f"photo-{photo.id}")
    before = Position(photo.created_at, min(photo.id + 1, MAX_PHOTO_ID))
    return url_for(".photos", older=text_of_position(before))


def _public_photo(id: int) -> Photo:
    photo = services().album.photo(id)
    if photo is None:
        raise NotFound(PHOTO_NOT_FOUND)
    return photo
