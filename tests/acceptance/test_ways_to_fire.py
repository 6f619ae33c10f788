"""The contract of every way to dispatch a check, with real processes, a real broker and real databases.

The sweep finds a photo whose wake-up was lost; the wake-up of an upload starts its check; and a thousand
triggers lead to one drain of the queue.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from catloader.checks.broker import Broker, BrokerListener
from catloader.demo.client import Visitor, free_port, until
from catloader.demo.photos import demo_photos
from catloader.store.db.checks.switches import Switches
from catloader.store.db.engine import make_engine, reading, utcnow
from catloader.store.db.migrate import migrate
from catloader.store.db.notifications import Listener
from catloader.store.db.schema import check_log
from catloader.store.db.testing import temporary_database
from catloader.store.s3.embedded import EmbeddedS3
from tests.support import forked
from tests.support.broker import broker_server
from tests.support.environ import environ_without_settings
from tests.support.processes import end
from tests.support.rabbitmq import rabbitmq
from tests.support.wake_up_counter import WakeUpCounter

_NEVER_S = 3600
"""Interval of sweeps. After the sweep at the start, only a wake-up can lead to a verdict."""
_LOAD_S = 120
_TRIGGERS = 1000
_PHOTOS = 3


class Way(NamedTuple):
    """A way to dispatch, and the command that checks; if it is empty, the site itself checks."""

    dispatch: str
    command: tuple[str, ...] = ()


WAYS = (
    Way("off", ("worker",)),
    Way("celery", ("worker",)),
    Way("external", ("checker", "serve")),
    Way("internal"),
    Way("thread"),
)


@contextmanager
def _running(arguments: tuple[str, ...], log: Path, settings: dict[str, object]) -> Iterator[None]:
    process = forked.start("catloader", arguments, environ_without_settings(**settings), log)
    try:
        yield
    finally:
        end(process)


class Site:
    """The site's settings, its database, and a user who uploads photos."""

    def __init__(self, folder: Path, url: str, broker_url: str, store: EmbeddedS3) -> None:
        (folder / "photos").mkdir()
        self.folder, self.port = folder, free_port()
        photos = {photo.name: photo.path.read_bytes() for photo in demo_photos(folder / "photos")}
        self.photos = [photos["chelsea.png"], photos["coffee.png"]]
        checker_port = free_port()
        self.settings: dict[str, object] = {
            "CATLOADER_DATA_DIR": folder / "data",
            "CATLOADER_PORT": self.port,
            "DATABASE_URL": url,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url,
            "AWS_ACCESS_KEY_ID": store.access_key_id,
            "AWS_SECRET_ACCESS_KEY": store.secret_access_key,
            "CATCHECKER_PORT": checker_port,
            "CATCHECKER_URL": f"http://127.0.0.1:{checker_port}",
            "CATCHECK_BROKER_URL": broker_url,
            "CATCHECK_GET_WAKE_UPS": "on",
            "CATCHECK_MODEL": "efficientnet_lite0",
            "CATCHECK_WORKERS": 2,
        }
        self.engine = make_engine(url)
        migrate(self.engine)
        self.visitor = Visitor(f"http://127.0.0.1:{self.port}")
        self.uploaded: list[int] = []

    def upload(self) -> int:
        data = self.photos[len(self.uploaded) % len(self.photos)]
        self.uploaded.append(self.visitor.upload("photo.png", data))
        return self.uploaded[-1]

    def upload_without_a_check(self, number: int) -> list[int]:
        """Upload while checking is paused, so that the wake-ups have no effect."""
        switches = Switches(self.engine)
        switches.pause(1, utcnow())
        ids = [self.upload() for _ in range(number)]
        switches.resume(1, utcnow())
        return ids

    def checked(self) -> int:
        """Return the number of finished checks."""
        with reading(self.engine) as connection:
            return connection.execute(select(func.count()).select_from(check_log)).scalar_one()

    def wait_for_verdicts(self, ids: list[int]) -> None:
        for id in ids:
            assert self.visitor.wait_for_verdict(id)["status"] in ("cat", "not_cat", "unsure")


def _triggers(port: int) -> Counter[int]:
    """Request a check a thousand times; return the number of responses by status."""
    seen: Counter[int] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(_TRIGGERS):
        connection.request("GET", "/checkcatimages-api")
        answer = connection.getresponse()
        body = json.loads(answer.read())
        assert (body == {"data": "OK", "error": 0}) == (answer.status == 200), body
        seen[answer.status] += 1
    connection.close()
    return seen


def _drains(log: Path) -> list[int]:
    """Return the number of photos that each drain of the queue checked."""
    return [int(number) for number in re.findall(r"checked (\d+) photos? in ", log.read_text())]


def _wait_for_drains(log: Path, photos: int, *, after: int) -> list[int]:
    """Skip the first ``after`` drains; wait until the later ones have checked ``photos``, and return them."""
    for _ in until(60, f"The drains of {photos} photos were not logged"):
        if sum(drains := _drains(log)[after:]) >= photos:
            break
    return drains


def _holds(site: Site, way: Way, heard: WakeUpCounter, *, wakes: bool) -> None:
    """Test the contract of one way to dispatch; one photo is left over from the previous way."""
    settings = site.settings | {
        "CATCHECK_DISPATCH": way.dispatch,
        "CATCHECK_SWEEP_S": _NEVER_S if wakes else 0.5,
    }
    log = site.folder / f"{way.dispatch}.log"
    checked_before = site.checked()  # the previous way may have checked the photo that was left over
    with ExitStack() as stack:
        stack.enter_context(_running(("serve",), log, settings))
        site.visitor.wait_until_ready()
        if not site.uploaded:
            site.visitor.register()
            site.upload()
        if way.command:
            log = site.folder / f"{way.dispatch}-checker.log"
            stack.enter_context(_running(way.command, log, settings))
            for _ in until(_LOAD_S, "The checker was not ready"):
                if "Checking with" in log.read_text():
                    break
        site.wait_for_verdicts(site.uploaded[-1:])  # its wake-up was lost
        site.wait_for_verdicts([site.upload()])
        _wait_for_drains(log, site.checked() - checked_before, after=0)
        before = len(_drains(log))

        waiting = site.upload_without_a_check(_PHOTOS)
        heard.count = 0
        begun_s = time.monotonic()
        seen = _triggers(site.port)
        seconds = time.monotonic() - begun_s
        assert seen[200] >= 1
        assert set(seen) <= {200, 429}
        site.wait_for_verdicts(waiting)
        assert len(_wait_for_drains(log, _PHOTOS, after=before)) <= 2
        # One wake-up at once and one every few seconds; and wake-ups of the earlier uploads may be late.
        assert heard.count <= 4 + seconds / 5
        site.upload_without_a_check(1)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_way_to_dispatch_keeps_the_contract(
    database: str, tmp_path: Path, s3_server: EmbeddedS3, request: pytest.FixtureRequest
) -> None:
    server_url = request.getfixturevalue("postgres_url") if database == "postgresql" else ""
    with temporary_database(server_url, tmp_path, "ways") as url, broker_server() as broker:
        site, heard = Site(tmp_path, url, broker.url, s3_server), WakeUpCounter()
        listener: Listener | BrokerListener = (
            Listener(site.engine, heard, retry_s=0.1)
            if server_url
            else BrokerListener(Broker(broker.url), heard, retry_s=0.1)
        )
        listener.start()
        for way in WAYS:
            try:
                _holds(site, way, heard, wakes=bool(server_url) or way.dispatch != "off")
            except Exception as error:
                logs = "\n".join(path.read_text() for path in sorted(tmp_path.glob(f"{way.dispatch}*.log")))
                raise AssertionError(f"{way.dispatch} with {database}: {error}\n{logs}") from error
        listener.close()
        with reading(site.engine) as connection:
            rows = Counter(connection.execute(select(check_log.c.photo_id)).scalars())
        assert set(rows.values()) == {1}
        # The last photo was left over, but a late wake-up may have started its check.
        assert set(site.uploaded[:-1]) <= set(rows) <= set(site.uploaded)
        site.engine.dispose()


def test_celery_keeps_the_contract_with_rabbitmq(tmp_path: Path, s3_server: EmbeddedS3) -> None:
    with temporary_database("", tmp_path, "rabbitmq") as url, rabbitmq() as broker:
        site, heard, celery = Site(tmp_path, url, broker.url, s3_server), WakeUpCounter(), WAYS[1]
        listener = BrokerListener(Broker(broker.url), heard, retry_s=0.1)
        listener.start()
        _holds(site, celery, heard, wakes=True)
        settings = {**site.settings, "CATCHECK_DISPATCH": "celery", "CATCHECK_SWEEP_S": 0.5}
        with (
            _running(("serve",), tmp_path / "serve.log", settings),
            _running(celery.command, tmp_path / "worker.log", settings),
        ):
            site.visitor.wait_until_ready()
            broker.kill()
            site.wait_for_verdicts([site.upload()])
            broker.start()
            site.wait_for_verdicts([site.upload()])
        listener.close()
        site.engine.dispose()
