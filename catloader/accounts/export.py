"""Export an account: a zip file of its photos and a JSON file of their verdicts, written while it is sent.

Memory: one photo at a time, and about 500 bytes for each photo's entry in the directory at the end of the
zip file.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
from typing import Any

from catloader.errors import NotFound, ObjectAltered
from catloader.errors.stores import check_error_for_owners
from catloader.store.db.checks.check_log import CheckRecord
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.staff.reviews import Appeal, Review

logger = logging.getLogger(__name__)

Read = Callable[[Photo], bytes]
"""Reads the large rendition of a photo; raises ``NotFound`` and ``ObjectAltered``. An object that the
store refuses while it serves others counts as not found."""
_NOT_COMPRESSED = 0
"""Level of compression of photos: JPEGs do not become smaller. They are deflated all the same, which marks
their end, without which programs that read a zip file while it arrives, such as Java's, refuse it."""

Records = Callable[[int], Sequence[CheckRecord]]
"""Reads the finished attempts of a photo."""

ByPeople = Callable[[int], tuple[Sequence[Appeal], Sequence[Review]]]
"""Reads the appeals of a photo's owner and the decisions of reviewers."""


@dataclass(frozen=True, slots=True)
class ExportedAccount:
    email: str
    created_at: str


def zip_of(
    account: ExportedAccount,
    pages: Callable[[], Iterable[Sequence[Photo]]],
    read: Read,
    records: Records,
    by_people: ByPeople,
) -> Iterator[bytes]:
    """Yield the zip file piece by piece.

    A photo whose object is missing or altered is left out, and ``verdicts.json`` says so: an altered object
    may be a photo of another account. Photos that are uploaded meanwhile are listed without a file.

    Raises:
        StoreUnavailable: the store stopped answering. The file ends early, so zip programs call it damaged.
    """
    out, altered = _Pieces(), set[int]()
    with zipfile.ZipFile(out, "w") as archive:
        for photo in _photos_of(pages):
            try:
                data = read(photo)
            except NotFound:
                continue
            except ObjectAltered as error:
                altered.add(photo.id)
                logger.error("an export lacks photo %d: %s", photo.id, error)
                continue
            info = zipfile.ZipInfo(_name(photo), _time(photo.created_at))
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, _NOT_COMPRESSED)
            yield from out.take()
        info = zipfile.ZipInfo("verdicts.json", _time(utcnow()))
        info.compress_type = zipfile.ZIP_DEFLATED
        is_large = len(archive.filelist) > zipfile.ZIP_FILECOUNT_LIMIT
        with archive.open(info, "w", force_zip64=is_large) as file:
            head = {"email": account.email, "member_since": account.created_at}
            file.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b', "photos": [')
            for index, photo in enumerate(_photos_of(pages)):
                is_missing = _name(photo) not in archive.NameToInfo
                row = _row(photo, records(photo.id), *by_people(photo.id), is_missing=is_missing)
                row["file_is_damaged"] = photo.id in altered
                file.write((b"," if index else b"") + b"\n" + json.dumps(row, ensure_ascii=False).encode())
                yield from out.take()
            file.write(b"\n]}\n")
    yield from out.take()


def _photos_of(pages: Callable[[], Iterable[Sequence[Photo]]]) -> Iterator[Photo]:
    for page in pages():
        yield from page


def _name(photo: Photo) -> str:
    return f"photos/{photo.id}.jpg"


def _time(moment: datetime) -> tuple[int, int, int, int, int, int]:
    """Return the nearest time that a zip file can express: the clock of the machine may have been wrong."""
    time = moment.timetuple()[:6]
    return min(max(time, (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58))


def _row(
    photo: Photo,
    records: Sequence[CheckRecord],
    appeals: Sequence[Appeal],
    reviews: Sequence[Review],
    *,
    is_missing: bool,
) -> dict[str, Any]:
    return {
        "id": photo.id,
        "file": None if is_missing else _name(photo),
        "caption": photo.caption,
        "taken_at": photo.captured_at,
        "uploaded_at": photo.created_at.isoformat(),
        "width_px": photo.width_px,
        "height_px": photo.height_px,
        "public": photo.on_air,
        "status": photo.status,
        "score": photo.score,
        "decided_by_a_person": photo.human_verdict,
        "checks": [
            {
                "finished_at": record.finished_at.isoformat(),
                "verdict": record.verdict,
                "score": record.score,
                "cat_at": record.cat_at,
                "not_cat_below": record.not_cat_below,
                "reason": record.reason,
                "turned_deg": record.turned_deg,
                "model": record.model,
                "error": record.error and check_error_for_owners(record.error),
            }
            for record in records
        ],
        "appeals": [
            {
                "opened_at": appeal.opened_at.isoformat(),
                "wish": appeal.wish,
                "reason": appeal.reason,
                "closed_at": appeal.closed_at and appeal.closed_at.isoformat(),
            }
            for appeal in appeals
        ],
        "decisions": [  # without a verdict: the previous decision was undone
            {"made_at": review.made_at.isoformat(), "verdict": review.verdict, "note": review.note}
            for review in reviews
        ],
    }


class _Pieces(RawIOBase):
    """A write-only file whose content is removed piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces
