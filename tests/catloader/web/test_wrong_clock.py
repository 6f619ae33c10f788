"""A site whose clock was wrong and has been corrected."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask

from catloader.demo.client import until
from tests.support.rows import add_photos
from tests.support.site import services_of


def test_photos_that_a_wrong_clock_postponed_for_years_are_checked(own_app: Flask) -> None:
    services = services_of(own_app)
    (id,) = add_photos(services.engine, 1, datetime(2038, 1, 20, tzinfo=UTC), attempts=1)
    assert services.queue.claim(1) == []
    services.deletion.start()
    for _ in until(60, "The photo is still not due"):
        if claims := services.queue.claim(1):
            break
    assert [claim.photo_id for claim in claims] == [id]
