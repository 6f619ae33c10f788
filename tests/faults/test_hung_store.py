"""An object store that hangs: pages are not affected, and photos and uploads are refused soon."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from tests.support.machine import busy_factor
from tests.support.serving import Serving, form_token, registered, serving
from tests.support.site import jpeg


def _upload(session: requests.Session, site: Serving, token: str) -> requests.Response:
    return session.post(
        site.url + "/upload",
        data={"csrf_token": token},
        files={"photos": ("a.jpg", jpeg())},
        timeout=60,
    )


def _until(session: requests.Session, site: Serving, token: str, status: int) -> float:
    """Upload until the response is ``status``; return the duration of the last upload in seconds."""
    for _ in range(300):
        begun_s = time.monotonic()
        answer = _upload(session, site, token)
        took_s = time.monotonic() - begun_s
        assert answer.status_code in (201, 503)
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert "does not answer" in answer.json()["files"][0]["error"]
        if answer.status_code == status:
            return took_s
        time.sleep(0.2)
    raise AssertionError(f"no {status}: {site.log}")


def _photo(session: requests.Session, site: Serving, id: int) -> bytes:
    for _ in range(100):
        answer = session.get(f"{site.url}/photos/{id}/photo.jpg", timeout=60)
        if answer.status_code == 200:
            return answer.content
        time.sleep(0.2)
    raise AssertionError(f"the photo was never sent: {site.log}")


def test_hanging_store_blocks_no_page_and_is_restarted(tmp_path: Path) -> None:
    busy = busy_factor()
    with serving(tmp_path) as site:
        session = registered(site.url)
        token = form_token(session, site.url + "/upload")
        id = _upload(session, site, token).json()["files"][0]["id"]
        sent = _photo(session, site, id)
        store, stop = site.object_store(), threading.Event()
        pages: list[float] = []
        photos: list[tuple[int, float]] = []

        def watch(path: str, results: list[tuple[int, float]]) -> None:
            while not stop.wait(0.1):
                begun_s = time.monotonic()
                answer = session.get(site.url + path, timeout=60)
                results.append((answer.status_code, time.monotonic() - begun_s))

        seen: list[tuple[int, float]] = []
        watchers = [threading.Thread(target=watch, args=("/photos", seen))]
        watchers += [
            threading.Thread(target=watch, args=(f"/photos/{id}/photo.jpg", photos)) for _ in range(8)
        ]
        store.suspend()
        try:
            for watcher in watchers:
                watcher.start()
            refused_s = _until(session, site, token, 503)
            again_s = _until(session, site, token, 503)
            restarted_s = _until(session, site, token, 201)
            assert site.object_store().pid != store.pid
            assert _photo(session, site, id) == sent
        finally:
            stop.set()
            for watcher in watchers:
                watcher.join()
            with suppress(psutil.NoSuchProcess):
                store.resume()
        assert site.stop() == 0
        assert "Traceback" not in site.log
        assert "the embedded S3 did not answer for 10 s; restarting it." in site.log
        complaints = [line for line in site.log.splitlines() if "timed out" in line]
        assert 1 <= len(complaints) <= 4, complaints
    busy = max(busy, busy_factor())
    assert refused_s < 15 * busy
    assert again_s < 5 * busy
    assert restarted_s < 15 * busy
    pages = sorted(took_s for _, took_s in seen)
    assert {status for status, _ in seen} == {200}
    assert pages[int(0.95 * len(pages))] < 0.5 * busy
    assert pages[-1] < 3 * busy, "pages were slow while the first photos waited for their timeout of 4 s"
    assert {status for status, _ in photos} <= {200, 503}
    waits = sorted(took_s for status, took_s in photos if status == 503)
    assert waits[len(waits) // 2] < busy
    assert waits[-1] < 10 * busy
