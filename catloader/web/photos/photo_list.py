"""The list of My photos as its address describes it: filter, search, order, and the position of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any, NamedTuple, cast

from flask import flash, url_for
from werkzeug.datastructures import MultiDict

from catloader.store.db.photos.gallery import Gallery, Position, Selection, Shown
from catloader.store.db.photos.months import month_of, next_month
from catloader.store.db.photos.photo_rows import Photo
from catloader.texts import search_words
from catloader.web.http.context import MAX_PHOTO_ID, whole_number
from catloader.web.languages import gettext

PAGE_PHOTOS = 60
MAX_QUERY_CHARS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Page:
    """Photos in the order shown, and the positions of the adjacent pages; None if there is no such page."""

    photos: list[Photo]
    newer: Position | None
    older: Position | None

    def by_month(self, zone: tzinfo) -> list[tuple[datetime, list[Photo]]]:
        """Group the photos by the month of their upload in a time zone."""
        months = groupby(self.photos, lambda photo: month_of(photo.created_at, zone))
        return [(month, list(photos)) for month, photos in months]


class Place(NamedTuple):
    """The ids of the photos before and after a photo, in the order shown; None if there is no such photo."""

    before: int | None
    after: int | None
    page: str
    """Address of a page that shows the photo: the first page, or a page that begins with the photo."""


@dataclass(frozen=True, slots=True)
class PhotoList:
    """Selection and order of an owner's photos. Invalid parts of an address are ignored."""

    selection: Selection
    query: str
    """The search as it was typed."""
    oldest_first: bool
    older: Position | None
    """If set, the page has the photos that follow this position (in the order newest first)."""
    newer: Position | None
    """If set, the page has the photos that precede this position (in the order newest first)."""

    @classmethod
    def of_request(cls, owner_id: int, arguments: Mapping[str, str]) -> PhotoList:
        shown, query = arguments.get("show", ""), arguments.get("q", "").strip()[:MAX_QUERY_CHARS]
        selection = Selection(
            owner_id, Shown(shown) if shown in set(Shown) else Shown.ALL, search_words(query)
        )
        older = position_of_text(arguments.get("older", ""))
        newer = None if older else position_of_text(arguments.get("newer", ""))
        return cls(selection, query, arguments.get("sort") == "oldest", older, newer)

    def page(self, gallery: Gallery) -> Page:
        """Read one page, and find out whether there are photos on both sides of it."""
        upwards = self.newer is not None or (self.oldest_first and self.older is None)
        read = gallery.newer if upwards else gallery.older
        rows = read(self.selection, self.newer if upwards else self.older, PAGE_PHOTOS + 1)
        photos, more = rows[:PAGE_PHOTOS], len(rows) > PAGE_PHOTOS
        if upwards:
            photos.reverse()
        begins_somewhere = self.older is not None or self.newer is not None
        behind = begins_somewhere and self._has_photos_behind(gallery, photos, upwards=upwards)
        is_newer, is_older = (more, behind) if upwards else (behind, more)
        newer = position_of(photos[0]) if photos and is_newer else None
        older = position_of(photos[-1]) if photos and is_older else None
        return Page(photos[::-1] if self.oldest_first else photos, newer, older)

    def _has_photos_behind(self, gallery: Gallery, photos: list[Photo], *, upwards: bool) -> bool:
        if not photos:
            return False
        if upwards:
            return bool(gallery.older(self.selection, position_of(photos[-1]), 1))
        return bool(gallery.newer(self.selection, position_of(photos[0]), 1))

    def address(self, **changes: str | Position | None) -> str:
        """Return the address of My photos with this filter, search and order, except for ``changes``."""
        return url_for("gallery.photos", **cast(Any, self.arguments(**changes)))

    def arguments(self, **changes: str | Position | None) -> dict[str, str]:
        """Return the arguments of an address. Defaults are left out."""
        values: dict[str, str | Position | None] = {
            "show": str(self.selection.shown),
            "q": self.query,
            "sort": "oldest" if self.oldest_first else "newest",
            **changes,
        }
        texts = {name: as_text(value) for name, value in values.items() if value}
        defaults = {"show": "all", "sort": "newest"}
        return {name: text for name, text in texts.items() if defaults.get(name) != text}

    def of_month(self, month: datetime) -> str:
        """Return the address of the page that begins with the month."""
        if self.oldest_first:
            return self.address(newer=Position(month, 0))
        return self.address(older=Position(next_month(month), 0))

    def place(self, gallery: Gallery, photo: Photo) -> Place:
        """Return the place of a photo in the list. If the filter hides the photo, it is where it would be."""
        position = position_of(photo)
        limits = (PAGE_PHOTOS, 1) if self.oldest_first else (1, PAGE_PHOTOS)
        older = gallery.ids(self.selection, position, limits[0], newest_first=True)
        newer = gallery.ids(self.selection, position, limits[1], newest_first=False)
        before, after = (older, newer) if self.oldest_first else (newer, older)
        if len(before) < PAGE_PHOTOS:
            page = self.address(_anchor=f"photo-{photo.id}")
        elif self.oldest_first:
            page = self.address(newer=Position(photo.created_at, photo.id - 1))
        else:
            page = self.address(older=Position(photo.created_at, min(photo.id + 1, MAX_PHOTO_ID)))
        return Place(before[0] if before else None, after[0] if after else None, page)


def selected_ids(form: MultiDict[str, str]) -> list[int]:
    """Return the ids of the selected photos, at most as many as a page shows."""
    texts = form.getlist("photo")[:PAGE_PHOTOS]
    ids = {whole_number(text) for text in texts}
    return sorted(id for id in ids if id is not None and id <= MAX_PHOTO_ID)


def say_gone() -> None:
    """Flash that no selected photo is in the list, for example because another tab has deleted them."""
    flash(gettext("The selected photos are no longer here. You may have moved or deleted them already."))


def restorable(ids: Sequence[int]) -> str:
    """Return the category of a flashed message whose "Undo" button restores these photos from the bin."""
    return " ".join(["restore", *map(str, ids)])


def position_of(photo: Photo) -> Position:
    return Position(photo.created_at, photo.id)


def as_text(value: str | Position) -> str:
    """Format an argument for an address."""
    if isinstance(value, str):
        return value
    return text_of_position(value)


def text_of_position(position: Position) -> str:
    """Format a position for an address, as microseconds and id."""
    return f"{(position.created_at - _EPOCH) // _MICROSECOND}-{position.id}"


def position_of_text(text: str) -> Position | None:
    """Parse the position in an address; None if it is missing or invalid."""
    match = re.fullmatch(r"([0-9]{1,17})-([0-9]{1,19})", text)
    if not match or int(match[2]) > MAX_PHOTO_ID:
        return None
    return Position(_EPOCH + int(match[1]) * _MICROSECOND, int(match[2]))
