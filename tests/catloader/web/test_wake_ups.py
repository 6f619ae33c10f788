"""The two addresses at which a GET request wakes the checker: off by default, rate-limited if on."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from catloader.errors import TooManyAttempts
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.wake_ups import BoundedWakeUps
from tests.support.databases import ON_SQLITE
from tests.support.site import Person, running_site, services_of, shown

PATHS = ("/checkcatimages", "/checkcatimages-api")


class Counted:
    """A dispatcher that counts its wake-ups."""

    def __init__(self) -> None:
        self.wakes = 0

    def wake(self) -> None:
        self.wakes += 1

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@ON_SQLITE
def test_without_the_setting_the_addresses_are_not_found(app: Flask) -> None:
    visitor, anna = Person(app), Person(app, "anna@example.org")
    for person in (visitor, anna):
        unknown = person.get("/no-such-page")
        assert unknown.status_code == 404
        for path in PATHS:
            answer = person.get(path)
            assert (answer.status_code, shown(answer)) == (404, shown(unknown))
            assert person.client.post(path).status_code == 404


@ON_SQLITE
def test_the_page_shows_the_number_of_waiting_photos(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, get_wake_ups="on") as app:
        visitor, anna = Person(app), Person(app, "anna@example.org")
        assert "No photo is waiting for it." in visitor.get("/checkcatimages").text
        anna.upload_one()
        page = visitor.get("/checkcatimages").text
        assert "A check was started" in page
        assert "1 photo is waiting for it." in page
        anna.upload_one()
        assert "2 photos are waiting for it." in visitor.get("/checkcatimages?photo=1&force=1").text
        assert "2 Fotos warten darauf." in visitor.get("/checkcatimages", Accept_Language="de").text


@ON_SQLITE
def test_the_api_answers_like_the_first_version_until_the_limit_is_reached(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    with running_site(engine, s3_server, objects, tmp_path, get_wake_ups="on") as app:
        visitor = Person(app)
        answers = [visitor.get("/checkcatimages-api") for _ in range(61)]
        assert {(answer.status_code, answer.data) for answer in answers[:60]} == {
            (200, b'{"data":"OK","error":0}\n')
        }
        last = answers[60]
        refused = services_of(app).metrics.refusals.labels("too_many_attempts")
        assert refused._value.get() == 1
        assert (last.status_code, last.json) == (429, {"data": "Too many requests", "error": 429})
        assert 0 < int(last.headers["Retry-After"]) <= 60
        page = visitor.get("/checkcatimages")
        assert page.status_code == 429
        assert 0 < int(page.headers["Retry-After"]) <= 60
        for path in PATHS:
            assert visitor.client.post(path).status_code == 405


def test_a_burst_wakes_once_and_later_ones_again() -> None:
    dispatcher, clock = Counted(), Clock()
    wake_ups = BoundedWakeUps(dispatcher, clock)
    for _ in range(60):
        wake_ups.ask()
    assert dispatcher.wakes == 1
    with pytest.raises(TooManyAttempts):
        wake_ups.ask()
    clock.s += 59
    for _ in range(60):  # refused requests must not count, or a persistent program would be refused forever
        with pytest.raises(TooManyAttempts) as refusal:
            wake_ups.ask()
        assert refusal.value.retry_after_s == 1
    clock.s += 1
    wake_ups.ask()
    assert dispatcher.wakes == 2


def test_the_checker_is_woken_every_five_seconds_at_most() -> None:
    dispatcher, clock = Counted(), Clock()
    wake_ups = BoundedWakeUps(dispatcher, clock)
    woken = []
    for passed_s in (0, 4, 1, 4, 1):
        clock.s += passed_s
        wake_ups.ask()
        woken.append(dispatcher.wakes)
    assert woken == [1, 1, 2, 2, 3]
