"""Duplicates: identical bytes of the same owner are stored again and reported."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.support.site import Person, jpeg


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"bin_days": 30}


def test_the_same_file_of_the_same_owner_is_reported(app: Flask) -> None:
    anna, eve = Person(app, "anna@example.org"), Person(app, "eve@example.org")
    red, blue = jpeg((200, 0, 0)), jpeg((0, 0, 200))
    eve.upload_one(red)
    first = anna.upload_one(red)
    files = [("again.jpg", red), ("other.jpg", blue), ("thrice.jpg", red)]
    answer = anna.upload(*files, Accept="application/json")
    assert [file.get("duplicate_of") for file in answer.json["files"]] == [first, None, first]  # type: ignore[index]
    assert len(anna.photos) == 4

    anna.upload(*files)
    copies = "3 of the stored photos are further copies of photos that you already had."
    assert f"Your 3 photos are stored. {copies}" in anna.get("/photos").text
    anna.upload(("a.jpg", red))
    copy = "The stored photo is another copy of a photo that you already had."
    assert f"Your photo is stored. {copy}" in anna.get("/photos").text
    mixed = anna.upload(("a.jpg", red), ("b.jpg", b"no photo")).text
    assert f'Stored again. <a href="/photos/{first}">You already had this photo.</a>' in mixed

    for photo in anna.photos:
        anna.post(f"/photos/{photo.id}/delete", page=f"/photos/{photo.id}")
    anna.upload(("a.jpg", red))  # all other copies are in the bin
    assert "Your photo is stored.<" in anna.get("/photos").text


def test_the_upload_page_says_that_copies_are_reduced_and_without_location(app: Flask) -> None:
    page = Person(app, "anna@example.org").get("/upload").text
    assert "We keep a copy of at most 2560 pixels, without location" in page
