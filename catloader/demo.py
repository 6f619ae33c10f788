"""``catloader demo``: the main job from end to end, as a person with a browser would do it.

A site of its own on free ports and in a temporary folder; photos go up through the real form, one at
a time; the table tells what became of each.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from html import unescape
from pathlib import Path
from statistics import median
from typing import Any

import click
import requests

from catloader.demo_photos import DemoPhoto, demo_photos
from catloader.errors import CatLoaderError, StartupError
from catloader.processes import die_with_parent
from catloader.settings import Settings
from catloader.store.engine import make_engine
from catloader.store.images import CheckRecord, Images

_READY_S = 120.0
_VERDICT_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.02
_TOP = 3
# What a demo takes over from the caller's settings: how photos are taken and checked, nobody's data.
_KEPT_SECTIONS = ("Checking", "Uploads")


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one photo."""

    photo: DemoPhoto
    status: str
    score: float | None
    ms: float
    """From the first byte sent to the verdict seen."""
    record: CheckRecord | None

    @property
    def right(self) -> bool:
        return self.status == self.photo.expected


def demo() -> int:
    """Run it and print the table; the exit code: 0 when every verdict is right.

    Raises:
        CatLoaderError: it could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="catloader-demo-") as name, _site(Path(name)) as site:
        browser = _Browser(site)
        browser.wait_until_ready()
        browser.register()
        engine = make_engine(Settings(data_dir=Path(name)).sqlalchemy_url)
        images = Images(engine, "photos", "thumbnails")
        photos_folder = Path(name) / "photos"
        photos_folder.mkdir()
        click.echo(_HEAD)
        rows = []
        for photo in demo_photos(photos_folder):
            data = photo.path.read_bytes()
            started_s = time.monotonic()
            image_id = browser.upload(photo.name, data)
            found = browser.wait_for_verdict(image_id)
            ms = (time.monotonic() - started_s) * 1000
            rows.append(Row(photo, found["status"], found["score"], ms, images.latest_log(image_id)))
            click.echo(_line(rows[-1]))
        engine.dispose()
    return _summary(rows)


_COLUMNS = "{:<30} {:<10} {:>5} {:>5}  {:<57} {}"
_HEAD = _COLUMNS.format("photo", "verdict", "score", "ms", "photo: top 3 labels", "thumbnail: top 3 labels")


def _line(row: Row) -> str:
    labels = row.record.labels if row.record and row.record.labels else {}
    views = [_top(labels.get(view, ())) for view in ("photo", "thumbnail")]
    score = "" if row.score is None else f"{row.score:.3f}"
    wrong = "" if row.right else f"   <- expected {row.photo.expected}"
    return (
        f"{row.photo.name:<28} {row.status:<10} {score:>5} {row.ms:>5.0f}  {views[0]:<58} {views[1]}{wrong}"
    )


def _top(labels: Sequence[tuple[int, str, float]]) -> str:
    return ", ".join(f"{name[:14]} {100 * confidence:.0f}%" for _, name, confidence in labels[:_TOP])


def _summary(rows: Sequence[Row]) -> int:
    right = sum(row.right for row in rows)
    decided = {f"{r.model} ({r.runtime}, {r.precision}, {r.device})" for row in rows if (r := row.record)}
    click.echo(f"\nDecided by {', '.join(sorted(decided))}.")
    click.echo(f"{right} of {len(rows)} verdicts are right.")
    click.echo(f"Upload to verdict took {median(row.ms for row in rows):.0f} ms in the median.")
    return 0 if rows and right == len(rows) else 1


@contextmanager
def _site(folder: Path) -> Iterator[_Site]:
    """A site on a free port, stopped at the end; its own log comes out when it does not start."""
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if name not in _dropped()}
    environment |= {
        "CATLOADER_DATA_DIR": str(folder),
        "CATLOADER_HOST": "127.0.0.1",
        "CATLOADER_PORT": str(port),
    }
    with (folder / "site.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "catloader", "serve"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A group of its own: Ctrl-C comes to this process, which then stops the site.
            process_group=0,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads yet
        )
    try:
        yield _Site(f"http://127.0.0.1:{port}", process, folder / "site.log")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class _Site:
    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def must_run(self) -> None:
        if self.process.poll() is not None:
            raise StartupError(
                self.log_file.read_text(errors="replace").strip() or "The site ended without a word."
            )


def _dropped() -> set[str]:
    return {
        knob.metadata["env"] for knob in fields(Settings) if knob.metadata["section"] not in _KEPT_SECTIONS
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Browser:
    """Fills in the site's forms as they are served: fields, token and all."""

    def __init__(self, site: _Site) -> None:
        self._site = site
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the environment is not for loopback

    def wait_until_ready(self) -> None:
        """Until the network is loaded.

        Raises:
            StartupError: the site ended, or its network was refused.
        """
        for _ in _until(_READY_S, "The site was not ready"):
            self._site.must_run()
            try:
                checker = self._http.get(self._site.url + "/readyz", timeout=10).json()["checker"]
            except (requests.ConnectionError, requests.Timeout):
                continue
            if checker["state"] == "ready":
                return
            if checker["state"] == "refused":
                raise StartupError(checker["reason"])

    def register(self) -> None:
        form = self._form("/register")
        form |= {"email": "demo@example.org", "password": secrets.token_urlsafe(16)}
        self._post("/register", data=form)

    def upload(self, name: str, data: bytes) -> int:
        """The new photo's id."""
        answer = self._post("/upload", data=self._form("/upload"), files={"photos": (name, data)})
        return int(answer["files"][0]["id"])

    def wait_for_verdict(self, image_id: int) -> dict[str, Any]:
        for _ in _until(_VERDICT_S, f"Photo {image_id} got no verdict"):
            url = f"{self._site.url}/api/photos/status?ids={image_id}"
            (photo,) = self._http.get(url, timeout=10).json()["photos"]
            if photo["final"]:
                found: dict[str, Any] = photo
                return found
        raise AssertionError("unreachable: _until raises")

    def _form(self, path: str) -> dict[str, str]:
        page = self._http.get(self._site.url + path, timeout=10).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        if found is None:
            raise CatLoaderError(f"{path} shows no form.")
        return {"csrf_token": unescape(found[1])}

    def _post(self, path: str, **what: Any) -> dict[str, Any]:
        answer = self._http.post(
            self._site.url + path, headers={"Accept": "application/json"}, timeout=_VERDICT_S, **what
        )
        if not answer.ok:
            raise CatLoaderError(f"{path} answered HTTP {answer.status_code}: {answer.text[:300]}")
        is_json = answer.headers["content-type"].startswith("application/json")
        return dict(answer.json()) if is_json else {}


def _until(seconds: float, complaint: str) -> Iterator[None]:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        yield
        time.sleep(_POLL_S)
    raise CatLoaderError(f"{complaint} in {seconds:.0f} s.")
