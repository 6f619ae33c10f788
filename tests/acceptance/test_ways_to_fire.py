"""Each way to dispatch a check: a photo is uploaded, and its verdict arrives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from catloader.demo.client import Visitor, free_port, until
from catloader.demo.photos import demo_photos
from catloader.store.db.testing import temporary_database
from catloader.store.s3.embedded import EmbeddedS3
from tests.support.environ import environ_without_settings

_NEVER_S = 3600  # no sweep during the test: only the wake-up can bring the verdict
_LOAD_S = 60


@contextmanager
def _running(arguments: list[str], folder: Path, settings: dict[str, object]) -> Iterator[None]:
    settings = {"CATLOADER_DATA_DIR": folder, "CATCHECK_MODEL": "efficientnet_lite0", **settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "catloader", *arguments],
        env=environ_without_settings(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        process_group=0,
    )
    with process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "photos"
    folder.mkdir()
    return {photo.name: photo.path.read_bytes() for photo in demo_photos(folder)}


@pytest.fixture
def empty_postgres(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    with temporary_database(postgres_url, tmp_path, "ways") as url:
        yield url


def _loaded(url: str) -> bool:
    try:
        return requests.get(url + "/readyz", timeout=10).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("dispatch", ["thread", "internal", "external"])
def test_wake_up_brings_the_verdict(dispatch: str, tmp_path: Path, photos: dict[str, bytes]) -> None:
    port, checker_port = free_port(), free_port()
    settings: dict[str, object] = {
        "CATLOADER_PORT": port,
        "CATCHECKER_PORT": checker_port,
        "CATCHECKER_URL": f"http://127.0.0.1:{checker_port}",
        "CATCHECK_DISPATCH": dispatch,
        "CATCHECK_SWEEP_S": _NEVER_S,
    }
    with ExitStack() as stack:
        stack.enter_context(_running(["serve"], tmp_path / "data", settings))
        visitor = Visitor(f"http://127.0.0.1:{port}")
        visitor.wait_until_ready()
        if dispatch == "external":
            stack.enter_context(_running(["checker", "serve"], tmp_path / "data", settings))
            for _ in until(_LOAD_S, "The Cat Checker was not ready"):
                if _loaded(f"http://127.0.0.1:{checker_port}"):
                    break
        visitor.register()
        for name, expected in {"chelsea.png": "cat", "coffee.png": "not_cat"}.items():
            photo = visitor.wait_for_verdict(visitor.upload(name, photos[name]))
            assert photo["status"] == expected


def test_a_worker_of_another_machine_is_woken_by_postgresql(
    tmp_path: Path, photos: dict[str, bytes], empty_postgres: str, s3_server: EmbeddedS3
) -> None:
    port = free_port()
    settings: dict[str, object] = {
        "CATLOADER_PORT": port,
        "CATCHECK_DISPATCH": "off",
        "CATCHECK_SWEEP_S": _NEVER_S,
        "DATABASE_URL": empty_postgres,
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
    }
    with (
        _running(["serve"], tmp_path / "site", settings),
        _running(["worker"], tmp_path / "worker", settings),
    ):
        visitor = Visitor(f"http://127.0.0.1:{port}")
        visitor.wait_until_ready()
        visitor.register()
        # The first one may be found by the sweep at the worker's start, the second only by its wake-up.
        for name, expected in {"chelsea.png": "cat", "coffee.png": "not_cat"}.items():
            photo = visitor.wait_for_verdict(visitor.upload(name, photos[name]))
            assert photo["status"] == expected


def test_photos_wait_while_the_checker_is_away(tmp_path: Path, photos: dict[str, bytes]) -> None:
    port, checker_port = free_port(), free_port()
    settings: dict[str, object] = {
        "CATLOADER_PORT": port,
        "CATCHECKER_PORT": checker_port,
        "CATCHECKER_URL": f"http://127.0.0.1:{checker_port}",
        "CATCHECK_DISPATCH": "external",
        "CATCHECK_SWEEP_S": 0.5,
    }
    with _running(["serve"], tmp_path / "data", settings):
        visitor = Visitor(f"http://127.0.0.1:{port}")
        visitor.wait_until_ready()
        visitor.register()
        photo_id = visitor.upload("chelsea.png", photos["chelsea.png"])
        assert visitor.status(photo_id)["status"] == "pending"
        with _running(["checker", "serve"], tmp_path / "data", settings):
            assert visitor.wait_for_verdict(photo_id)["status"] == "cat"


@pytest.mark.parametrize("order", [["serve", "worker"], ["worker", "serve"]])
def test_separate_worker_needs_no_wake_up(order: list[str], tmp_path: Path, photos: dict[str, bytes]) -> None:
    port = free_port()
    settings: dict[str, object] = {
        "CATLOADER_PORT": port,
        "CATCHECK_DISPATCH": "off",
        "CATCHECK_SWEEP_S": 0.5,
    }
    with ExitStack() as stack:
        for command in order:
            stack.enter_context(_running([command], tmp_path / "data", settings))
            for _ in until(_LOAD_S, f"{command} did not reach the data folder"):
                if (tmp_path / "data" / "lock").exists():
                    break
        visitor = Visitor(f"http://127.0.0.1:{port}")
        visitor.wait_until_ready()
        visitor.register()
        photo_id = visitor.upload("chelsea.png", photos["chelsea.png"])
        assert visitor.wait_for_verdict(photo_id)["status"] == "cat"
