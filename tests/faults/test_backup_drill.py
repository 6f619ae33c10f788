"""Back up a site under load, kill one backup, destroy the site, and restore it to another folder."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from sqlalchemy import Engine, select

from catloader.demo.client import free_port
from catloader.store.db.engine import make_engine, reading
from catloader.store.db.schema import check_log, photos
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.serving import Serving, form_token, registered, serving
from tests.support.site import jpeg

_BEFORE = 25
"""Photos on the site before the first backup: far more than it can copy before it is killed."""
_KILLED_AFTER = 10
"""Number of objects that the first backup copies before it is killed."""
_PAUSE_S = 0.1
"""Pause between two uploads, so that backups get processor time."""


def _upload(site: str, session: requests.Session, number: int, token: str) -> int:
    form = {"csrf_token": token}
    colour = (number % 256, number // 256, 99)
    files = {"photos": ("photo.jpg", jpeg(colour, (320, 240)))}
    answer = session.post(site + "/upload", data=form, files=files, timeout=60)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["files"][0]["id"])


@contextmanager
def _uploading(site: Serving, session: requests.Session, token: str) -> Iterator[list[int]]:
    """Upload during the block; yield the growing list of acknowledged photos."""
    ids: list[int] = []
    stop = threading.Event()

    def upload() -> None:
        while not stop.wait(_PAUSE_S):
            ids.append(_upload(site.url, session, 1000 + len(ids), token))

    thread = threading.Thread(target=upload)
    thread.start()
    yield ids
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


@dataclass(frozen=True)
class _Running:
    """A command that writes its output to ``log``."""

    process: forked.Command
    log: Path

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the output."""
        return self.process.wait(120), self.log.read_text()

    def output(self) -> str:
        code, output = self.ended()
        assert code == 0, output
        return output


def _start(log: Path, *words: object, **settings: object) -> _Running:
    environ = environ_without_settings(CATLOADER_MIN_FREE_BYTES=0, CATLOADER_PORT=free_port(), **settings)
    return _Running(forked.start("catloader", [str(word) for word in words], environ, log), log)


def _photo(site: str, session: requests.Session, id: int) -> tuple[bytes, bytes]:
    answers = [
        session.get(f"{site}/photos/{id}{end}", timeout=60) for end in ("/photo.jpg", "/thumbnail.jpg")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    return answers[0].content, answers[1].content


def test_site_is_restored_from_a_backup_made_under_load(
    engine: Engine, empty_url: str, tmp_path: Path
) -> None:
    """SQLite is restored as SQLite; PostgreSQL is moved into SQLite."""
    old, new, backup = tmp_path / "old", tmp_path / "new", tmp_path / "backup"
    old.mkdir()
    database = {"DATABASE_URL": empty_url} if engine.dialect.name == "postgresql" else {}
    with serving(old, CATCHECK_DISPATCH="thread", **database) as site:
        session = registered(site.url)
        token = form_token(session, site.url + "/upload")
        early = [_upload(site.url, session, number, token) for number in range(_BEFORE)]
        with _uploading(site, session, token) as during:
            killed = _start(tmp_path / "1", "backup", backup, CATLOADER_DATA_DIR=old, **database)
            _wait_for_objects(backup, _KILLED_AFTER, killed)
            killed.process.kill()
            assert killed.ended()[0] == -signal.SIGKILL
            code, refusal = _start(tmp_path / "2", "restore", backup, CATLOADER_DATA_DIR=new).ended()
            assert code != 0
            assert "never finished: run `catloader backup` again" in refusal
            while len(during) < 10:
                time.sleep(0.05)
            output = _start(tmp_path / "3", "backup", backup, CATLOADER_DATA_DIR=old, **database).output()
        summary = re.search(
            r"(\d+) photos of 1 account are in .*: \d+ objects copied, (\d+) already there", output
        )
        assert summary, output
        assert int(summary[1]) >= _BEFORE + 10
        assert int(summary[2]) >= _KILLED_AFTER, "objects that the killed backup had copied were copied again"
        sent = {id: _photo(site.url, session, id) for id in (*early, *during)}
        site.process.kill()
    shutil.rmtree(old)

    restored_from = _start(tmp_path / "4", "restore", backup, CATLOADER_DATA_DIR=new).output()
    assert "objects), as of 20" in restored_from
    (state,) = backup.glob("state-*")
    assert not list(state.glob("*-wal"))
    saved, restored = (
        _verdicts(path / "catloader.sqlite3", copy=tmp_path / name)
        for path, name in ((state, "a"), (new, "b"))
    )
    assert restored == saved
    assert len(saved) == int(summary[1])
    assert set(early) <= set(saved)
    assert any(photo[-1] for photo in saved.values()), "no verdict was in the backup"
    with serving(new) as again:
        for id in saved:  # the cookie of the old site's session is still valid
            assert _photo(again.url, session, id) == sent[id]
        token = form_token(session, again.url + "/upload")
        assert _upload(again.url, session, 1, token) > max(saved)


def _wait_for_objects(backup: Path, number: int, command: _Running) -> None:
    while len(list(backup.glob("objects/*/*/*.jpg"))) < number:
        assert command.process.poll() is None, command.log.read_text()
        time.sleep(0.002)


def _verdicts(database: Path, copy: Path) -> dict[int, tuple[object, ...]]:
    """Return row and check log of each photo. They are read from a copy, so the backup is not changed."""
    shutil.copyfile(database, copy)
    engine = make_engine(copy)
    with reading(engine) as connection:
        logs: dict[int, list[object]] = {}
        for row in connection.execute(select(check_log).order_by(check_log.c.id)):
            logs.setdefault(row.image_id, []).append(tuple(row))
        rows = connection.execute(select(photos)).all()
    engine.dispose()
    return {row.id: (*row, logs.get(row.id)) for row in rows}
