"""Pages and samples of many rows."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Engine

from catloader.store.db.paging import PAGE
from catloader.store.db.photos.photos import Photos
from tests.support.rows import add_photos


def test_pages_contain_every_row_once_and_a_sample_is_uniform(engine: Engine) -> None:
    count = 2 * PAGE + 1
    ids = add_photos(engine, count, status="cat")
    pages = list(Photos(engine).decided())
    assert [len(page) for page in pages] == [PAGE, PAGE, 1]
    assert [photo.photo_id for page in pages for photo in page] == ids
    drawn = Counter(
        photo.photo_id for _ in range(40) for page in Photos(engine).decided(PAGE) for photo in page
    )
    assert set(drawn) == set(ids)  # one that is never drawn: probability below 10**-9
    assert sum(drawn.values()) == 40 * PAGE
    # Each is expected 20 times, with a standard deviation of 3.2.
    assert min(drawn.values()) > 3 and max(drawn.values()) < 37
