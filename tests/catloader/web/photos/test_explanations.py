"""Explanations are made on request by a real child process with real weights.

The start of such a process takes 2.4 s of a core, so one process serves the tests of all else.
"""

from __future__ import annotations

import hashlib
import io
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pytest
import skimage
from flask import Flask
from PIL import Image
from sqlalchemy import Engine, update

from catloader.errors import ExplainerBusy, ExplanationFailed, ObjectAltered, StoreFull
from catloader.explanations.explainer import KEEP_S, LIMIT_S, PATIENCE_S, Explainer
from catloader.explanations.warm_child import WarmChild
from catloader.intake.upload import refuse_full_disk
from catloader.store.db.checks.explanations import Explanations
from catloader.store.db.photos.photo_rows import Photo as Row
from catloader.store.db.schema import photos
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.photos.jpegs import jpeg_response
from checker.decision.basis import DecisionBasis
from checker.decision.head import Head
from checker.decision.profile import load_profile
from checker.decision.subject import load_subject
from checker.pixels.explained_photo import ExplainedPhoto
from checker.values import Verdict
from models.catalogue import resolve
from models.digest import verify
from tests.support.object_stores import delete_object
from tests.support.processes import alive, command_of, kill
from tests.support.site import PASSWORD, Person, check, services_of

_ROOT = Path(__file__).resolve().parents[4]
_LITE0 = verify(*resolve("efficientnet_lite0", Path("models/weights")))
_PROFILE = load_profile(Path("models/profiles/efficientnet_lite0-torch-fp32-house_cat.json"))
_WEIGHTS = {"weights_sha256": _LITE0}
_MEASURED = {**_WEIGHTS, "profile_id": _PROFILE.profile_id}

_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
"""For tests of the process only. The first tests run the SQL of explanations on PostgreSQL too."""


@pytest.fixture(scope="module")
def chelsea() -> bytes:
    file = io.BytesIO()
    Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png").save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture
def stored(s3_server: EmbeddedS3, objects: ObjectStore) -> Any:
    """Return a function that lists the keys in the photos bucket."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        aws_access_key_id=s3_server.access_key_id,
        aws_secret_access_key=s3_server.secret_access_key,
        region_name="us-east-1",
    )
    yield lambda: {
        entry["Key"] for entry in client.list_objects_v2(Bucket=objects.photos_bucket).get("Contents", ())
    }
    client.close()


@pytest.fixture
def owner(own_app: Flask) -> Person:
    """A user of a separate site, whose explaining process is not running yet."""
    return Person(own_app, "anna@example.org")


def _judge(app: Flask, *, profile_id: str = "uncalibrated", **network: str) -> None:
    check(app, Verdict.CAT, profile_id=profile_id, network=network)


_made: list[Explainer] = []
_shared: list[psutil.Process] = []


class _SharedChild(WarmChild):
    """The process that explains for all tests whose subject is not the process."""

    def __init__(self) -> None:
        super().__init__(keep_s=3600)
        self._asked = threading.Event()
        self.ask(*_request(edge_px=8), LIMIT_S)
        (self.process,) = _children()
        _shared.append(self.process)

    def ask(self, basis: str, photo: ExplainedPhoto, limit_s: float) -> bytes:
        self._asked.set()
        return super().ask(basis, photo, limit_s)

    @contextmanager
    def stopped(self) -> Iterator[Callable[[], object]]:
        """Stop the process meanwhile; yield a function that waits until an explanation is requested."""
        self._asked.clear()
        self.process.suspend()
        try:
            yield lambda: self._asked.wait(60) or pytest.fail("nothing is being explained")
        finally:
            self.process.resume()


def _request(*, edge_px: int) -> tuple[str, ExplainedPhoto]:
    """Return a model and a black photo."""
    entry, weights = resolve("efficientnet_lite0", Path("models/weights"))
    basis = DecisionBasis(entry, weights, load_subject("house_cat"), Head()).to_json()
    side = entry.preprocessing.input_px
    squares = np.zeros((2, side, side, 3), np.uint8)
    return basis, ExplainedPhoto(np.zeros((edge_px, edge_px, 3), np.uint8), squares)


@pytest.fixture(scope="module")
def shared_child() -> Iterator[_SharedChild]:
    child = _SharedChild()
    yield child
    child.close()


@pytest.fixture
def explained_by_shared_child(
    app: Flask, shared_child: _SharedChild, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let the shared site use the shared process."""
    monkeypatch.setattr(services_of(app).explainer, "_child", shared_child)
    yield
    monkeypatch.undo()


_SHARED = pytest.mark.usefixtures("explained_by_shared_child")


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """End the processes of each test, so that the next test sees only its own."""
    yield
    while _made:
        _made.pop().close()
    for child in _children():  # the shared site's explainer keeps its child
        kill(child)


def _row(app: Flask, photo: int) -> Row:
    row = services_of(app).photos.by_id(photo)
    assert row
    return row


def _explainer(
    app: Flask,
    *,
    limit_s: float = LIMIT_S,
    patience_s: float = PATIENCE_S,
    keep_s: float = KEEP_S,
    min_free_bytes: int = 0,
) -> Explainer:
    """Return an explainer like the site's, with the given limits and a process of its own."""
    services = services_of(app)
    explainer = Explainer(
        services.check_log,
        Explanations(services.engine),
        services.objects,
        decode=services.decoders.decode.explained_photo,
        weights_dir=services.settings.weights_dir,
        subject="house_cat",
        profile_folders=(),
        on_deletion_due=services.deletion.wake,
        refuse_full_disk=partial(
            refuse_full_disk, services.settings.with_changes(min_free_bytes=min_free_bytes)
        ),
        limit_s=limit_s,
        patience_s=patience_s,
        keep_s=keep_s,
    )
    _made.append(explainer)
    return explainer


def _children() -> list[psutil.Process]:
    """Return the running explaining processes, without the shared one."""
    return [
        child
        for child in psutil.Process().children()
        if child not in _shared and any("catloader.explanations.child" in word for word in command_of(child))
    ]


def _wait_for_a_child() -> psutil.Process:
    waiting = threading.Event()
    for _ in range(6000):
        if children := _children():
            return children[0]
        waiting.wait(0.01)
    raise AssertionError("nothing is being explained")


@_SHARED
def test_explanation_is_made_once_and_deleted_with_the_photo(
    app: Flask, engine: Engine, anna: Person, chelsea: bytes, stored: Any
) -> None:
    photo = anna.upload_one(chelsea)
    assert "explanation.jpg" not in anna.get(f"/photos/{photo}").text
    assert anna.get(f"/photos/{photo}/explanation.jpg").status_code == 404
    _judge(app, **_MEASURED)
    assert f'href="/photos/{photo}/explanation.jpg"' in anna.get(f"/photos/{photo}").text

    answer = anna.get(f"/photos/{photo}/explanation.jpg")
    assert (answer.status_code, answer.content_type) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    with Image.open(io.BytesIO(answer.data)) as shown, Image.open(io.BytesIO(chelsea)) as plain:
        assert (shown.format, shown.size) == ("JPEG", (451, 300))
        warmth = [np.asarray(image).astype(int) @ (1, 0, -1) for image in (shown, plain)]
    assert (warmth[0] - warmth[1]).max() > 60, "the explanation shows no heat on the cat"
    key = _row(app, photo).explanation_key
    assert stored() == {_row(app, photo).photo_key, key}
    assert services_of(app).ledger.count() == 0

    # The object may be missing after a backup was restored.
    objects = services_of(app).objects
    delete_object(objects, ObjectKind.EXPLANATION, str(key))
    answer = anna.get(f"/photos/{photo}/explanation.jpg")
    assert answer.status_code == 200
    services_of(app).deletion.work_off()
    assert stored() == {_row(app, photo).photo_key, _row(app, photo).explanation_key}

    # The explainer can't make another one from here on.
    closed = WarmChild(keep_s=60)
    closed.close()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(services_of(app).explainer, "_child", closed)
        again = anna.get(f"/photos/{photo}/explanation.jpg")
    assert again.data == answer.data
    unchanged = anna.get(f"/photos/{photo}/explanation.jpg", **{"If-None-Match": again.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")

    with engine.begin() as connection:
        connection.execute(update(photos).values(on_air=True))
    eve = Person(app, "eve@example.org")
    assert eve.get(f"/photos/{photo}/photo.jpg").status_code == 200
    assert eve.get(f"/photos/{photo}/explanation.jpg").status_code == 404
    assert Person(app).get(f"/photos/{photo}/explanation.jpg").status_code == 404

    anna.post(f"/photos/{photo}/delete", page=f"/photos/{photo}")
    assert services_of(app).deletion.work_off() == 3
    assert stored() == set()


@_SHARED
def test_check_by_another_model_replaces_the_explanation_and_account_deletion_removes_it(
    app: Flask, engine: Engine, anna: Person, chelsea: bytes, stored: Any
) -> None:
    photo = anna.upload_one(chelsea)
    _judge(app, **_MEASURED)
    first = anna.get(f"/photos/{photo}/explanation.jpg")
    int8 = {"weights_sha256": "5" * 64, "precision": "int8", "runtime": "openvino"}
    # Decisions by the same model, by other weights, and by the first model with another profile.
    for model_info, stale, is_same in (
        (_MEASURED, False, True),
        (_MEASURED | int8, True, True),
        (int8, True, False),
    ):
        before = _row(app, photo).explanation_key
        with engine.begin() as connection:
            connection.execute(update(photos).values(status="pending"))
        _judge(app, **model_info)
        assert ("same model before rounding" in anna.get(f"/photos/{photo}").text) is stale
        answer = anna.get(f"/photos/{photo}/explanation.jpg")
        assert answer.status_code == 200
        assert (answer.data == first.data) is is_same
        assert (_row(app, photo).explanation_key != before) is stale
    after = _row(app, photo).explanation_key
    assert services_of(app).deletion.work_off() == 2
    assert stored() == {_row(app, photo).photo_key, after}
    anna.post("/account/delete", {"password": PASSWORD}, page="/account")
    assert services_of(app).deletion.work_off() == 3
    assert stored() == set()


@_SHARED
def test_explanation_shows_the_heat_of_the_orientation_that_was_judged(
    app: Flask, engine: Engine, anna: Person, chelsea: bytes
) -> None:
    with Image.open(io.BytesIO(chelsea)) as image:
        upright = image.convert("RGB")
    lies = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(lies, "JPEG", quality=92)
    photo, turned_photo = anna.upload_one(chelsea), anna.upload_one(lies.getvalue())

    def judge(turned_deg: int) -> None:
        check(app, Verdict.CAT, turned_deg=turned_deg, profile_id=_PROFILE.profile_id, network=_WEIGHTS)

    def heat(id: int) -> Any:
        with Image.open(io.BytesIO(anna.get(f"/photos/{id}/explanation.jpg").data)) as shown:
            pixels = np.asarray(shown).astype(float)
        with Image.open(io.BytesIO(anna.get(f"/photos/{id}/photo.jpg").data)) as plain:
            return np.abs(pixels - np.asarray(plain)).sum(axis=2)

    def correlation(first: Any, second: Any) -> float:
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])

    judge(0)
    judge(90)
    expected = heat(photo)
    assert correlation(heat(turned_photo), np.rot90(expected)) > 0.98

    # Another check judges the photo as it lies, as an earlier version did: the explanation is another one.
    assert services_of(app).rechecks.requeue_own([turned_photo], anna.id) == 1
    judge(0)
    assert correlation(heat(turned_photo), np.rot90(expected)) < 0.95

    # After a person's decision, a rotation is not followed by a check: the photo is explained as it lies now.
    assert services_of(app).rechecks.requeue_own([turned_photo], anna.id) == 1
    judge(90)
    with engine.begin() as connection:
        connection.execute(update(photos).where(photos.c.id == turned_photo).values(human_verdict="cat"))
    page = f"/photos/{turned_photo}"
    assert anna.post(f"{page}/rotate", {"to": "right"}, page=page).status_code == 303
    assert correlation(heat(turned_photo), expected) > 0.98


@_SHARED
def test_explanations_are_made_one_at_a_time_and_a_deleted_photo_leaves_none(
    app: Flask, anna: Person, chelsea: bytes, stored: Any, shared_child: _SharedChild
) -> None:
    photo, other = anna.upload_one(chelsea), anna.upload_one(chelsea)
    for _ in range(2):
        _judge(app, weights_sha256=_LITE0)
    second_device = Person(app)
    second_device.email = anna.email
    second_device.log_in()
    with ThreadPoolExecutor(1) as pool:
        with shared_child.stopped() as wait_for_a_request:
            request = pool.submit(second_device.get, f"/photos/{photo}/explanation.jpg")
            wait_for_a_request()
            busy = anna.get(f"/photos/{other}/explanation.jpg", Accept="application/json")
            assert (busy.status_code, busy.headers["Retry-After"]) == (503, "3")
            assert "Another photo is being explained" in (busy.json or {})["error"]
            assert anna.post(f"/photos/{photo}/delete", page=f"/photos/{photo}").status_code == 303
        assert request.result(60).status_code == 404
    services_of(app).deletion.work_off()
    assert services_of(app).ledger.count() == 0
    assert stored() == {_row(app, other).photo_key}
    assert not services_of(app).explainer.busy
    assert anna.get(f"/photos/{other}/explanation.jpg").status_code == 200


@pytest.mark.parametrize(
    ("model_info", "words"),
    [
        ({"weights_sha256": "0" * 64}, "efficientnet_lite0, is not on this machine any more"),
        ({"model": "resnet18", "weights_sha256": "0" * 64}, "resnet18, is not on this machine any more"),
        ({"model": "vgg", "weights_sha256": "0" * 64}, "vgg, is not on this machine any more"),
        ({"weights_sha256": _LITE0, "profile_id": "of-last-year"}, "after its next check"),
    ],
)
def test_decision_whose_model_is_missing_is_not_explained(
    app: Flask, anna: Person, tmp_path: Path, model_info: dict[str, str], words: str
) -> None:
    photo = anna.upload_one()
    _judge(app, **model_info)
    answer = anna.get(f"/photos/{photo}/explanation.jpg", Accept="application/json")
    assert (answer.status_code, words in (answer.json or {})["error"]) == (409, True)
    page = anna.get(f"/photos/{photo}/explanation.jpg")
    assert (page.status_code, words in page.text) == (409, True)
    assert (_row(app, photo).explanation_key, services_of(app).ledger.count()) == (None, 0)
    assert not services_of(app).explainer.busy
    assert anna.get(f"/photos/{photo}/photo.jpg").status_code == 200


@_ON_SQLITE
def test_stopping_does_not_wait_for_an_explanation(own_app: Flask, owner: Person, chelsea: bytes) -> None:
    photo = owner.upload_one(chelsea)
    _judge(own_app, weights_sha256=_LITE0)
    explainer = services_of(own_app).explainer
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(explainer.explain, _row(own_app, photo))
        child = _wait_for_a_child()
        explainer.close()
        with pytest.raises(ExplanationFailed):
            request.result(60)
    assert alive([child]) == []
    assert services_of(own_app).ledger.count() == 0
    with pytest.raises(ExplanationFailed):
        explainer.explain(_row(own_app, photo))


@_ON_SQLITE
def test_explanation_over_its_time_limit_is_abandoned(app: Flask, anna: Person, chelsea: bytes) -> None:
    photo, services = anna.upload_one(chelsea), services_of(app)
    _judge(app, weights_sha256=_LITE0)
    impatient = _explainer(app, limit_s=0.2)
    with pytest.raises(ExplanationFailed, match=r"more than 0\.2 s"):
        impatient.explain(_row(app, photo))
    assert not impatient.busy
    assert _children() == []
    assert services.ledger.count() == 0


@_SHARED
@_ON_SQLITE
def test_full_disk_refuses_new_explanations_only(app: Flask, anna: Person, chelsea: bytes) -> None:
    photo, services = anna.upload_one(chelsea), services_of(app)
    _judge(app, weights_sha256=_LITE0)
    full = _explainer(app, min_free_bytes=2**60)
    with pytest.raises(StoreFull, match="nearly full"):
        full.explain(_row(app, photo))
    assert services.ledger.count() == 0
    made = services.explainer.explain(_row(app, photo))
    assert full.explain(_row(app, photo)) == made


@_ON_SQLITE
def test_a_photo_that_the_store_has_altered_is_not_explained(
    app: Flask, anna: Person, chelsea: bytes, objects: ObjectStore
) -> None:
    photo = anna.upload_one(chelsea)
    _judge(app, weights_sha256=_LITE0)
    objects.put(
        ObjectKind.PHOTO, _row(app, photo).photo_key, chelsea
    )  # a valid photo, but not the stored bytes
    assert anna.get(f"/photos/{photo}/explanation.jpg").status_code == 502
    assert _children() == []


@_SHARED
@_ON_SQLITE
def test_an_explanation_that_the_store_has_altered_is_made_again_and_never_shown(
    app: Flask, anna: Person, chelsea: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    photo, path = anna.upload_one(chelsea), "/photos/{}/explanation.jpg"
    _judge(app, **_MEASURED)
    made = anna.get(path.format(photo))
    assert made.status_code == 200
    key, objects = str(_row(app, photo).explanation_key), services_of(app).objects
    objects.put(ObjectKind.EXPLANATION, key, chelsea)
    again = anna.get(path.format(photo))
    assert (again.status_code, again.data) == (200, made.data)
    assert f"other bytes under the key {key}" in caplog.text
    # The object is altered after it was verified, or only in the response.
    key = str(_row(app, photo).explanation_key)
    objects.put(ObjectKind.EXPLANATION, key, chelsea)
    with app.test_request_context(), pytest.raises(ObjectAltered):
        jpeg_response(ObjectKind.EXPLANATION, key, None)
    services_of(app).deletion.work_off()


@_SHARED
@_ON_SQLITE
def test_explanations_of_older_versions_are_shown(app: Flask, engine: Engine, anna: Person) -> None:
    """Their keys contain no digest."""
    photo = anna.upload_one()
    _judge(app, **_MEASURED)
    assert anna.get(f"/photos/{photo}/explanation.jpg").status_code == 200
    old, objects = "0" * 32 + ".jpg", services_of(app).objects
    objects.put(ObjectKind.EXPLANATION, old, b"an explanation")
    with engine.begin() as connection:
        connection.execute(update(photos).values(explanation_key=old))
    assert anna.get(f"/photos/{photo}/explanation.jpg").data == b"an explanation"


@_ON_SQLITE
def test_explaining_process_decodes_nothing(
    app: Flask, anna: Person, chelsea: bytes, objects: ObjectStore
) -> None:
    """The pool with limits refuses undecodable bytes; the explaining process never gets them."""
    photo = anna.upload_one(chelsea)
    _judge(app, weights_sha256=_LITE0)
    cut = chelsea[:2000]
    row, explainer = replace(_row(app, photo), sha256=hashlib.sha256(cut).hexdigest()), _explainer(app)
    objects.put(ObjectKind.PHOTO, row.photo_key, cut)
    with pytest.raises(ExplanationFailed):
        explainer.explain(row)
    assert _children() == []
    assert not explainer.busy


@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
def test_explanation_beyond_the_memory_limit_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    child = WarmChild(keep_s=60)
    try:
        with pytest.raises(ExplanationFailed, match="could not be made"):
            child.ask(*_request(edge_px=12_000), 10 * LIMIT_S)
        assert _children() == []
        assert "allocate" in caplog.text  # numpy's or torch's sentence
    finally:
        child.close()


@_ON_SQLITE
def test_user_with_many_requests_does_not_lock_out_others(
    app: Flask,
    anna: Person,
    chelsea: bytes,
    shared_child: _SharedChild,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ben = Person(app, "ben@example.org")
    ids = [anna.upload_one(chelsea), anna.upload_one(chelsea), ben.upload_one(chelsea)]
    for _ in ids:
        _judge(app, weights_sha256=_LITE0)
    annas_first, annas_second, bens = (_row(app, id) for id in ids)
    explainer = _explainer(app, patience_s=3600)  # long, because the machine may be slow
    monkeypatch.setattr(explainer, "_child", shared_child)
    _made.remove(explainer)  # it must not end the shared process
    with ThreadPoolExecutor(1) as pool:
        with shared_child.stopped() as wait_for_a_request:
            request = pool.submit(explainer.explain, annas_first)
            wait_for_a_request()
            with pytest.raises(ExplainerBusy):
                explainer.explain(bens)
        assert request.result(60)
    with pytest.raises(ExplainerBusy):
        explainer.explain(annas_second)
    assert explainer.explain(bens)
    assert explainer.explain(annas_second)


@_ON_SQLITE
def test_killed_child_is_an_error_and_the_next_ends_after_a_time_without_work(
    app: Flask,
    anna: Person,
    chelsea: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    photo, explainer = anna.upload_one(chelsea), _explainer(app, keep_s=0.2)
    monkeypatch.setattr(services_of(app).explainer, "explain", explainer.explain)
    _judge(app, weights_sha256=_LITE0)
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(anna.get, f"/photos/{photo}/explanation.jpg")
        child = _wait_for_a_child()
        assert child.environ()["OMP_NUM_THREADS"] == "1"
        child.kill()
        assert request.result(60).status_code == 503
    assert all(record.exc_info is None for record in caplog.records)
    assert "The explaining process ended: by SIGKILL; perhaps memory is short" in caplog.messages
    assert anna.get(f"/photos/{photo}/explanation.jpg").status_code == 200
    waiting, deadline_s = threading.Event(), time.monotonic() + 60
    while _children() and time.monotonic() < deadline_s:
        waiting.wait(0.05)
    assert _children() == []


@_ON_SQLITE
def test_child_imports_nothing_from_the_working_directory_and_explains_a_second_photo_in_two_seconds(
    app: Flask, anna: Person, chelsea: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [anna.upload_one(chelsea), anna.upload_one(chelsea)]
    for _ in ids:
        _judge(app, weights_sha256=_LITE0)
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    explainer = _explainer(app)
    explainer.explain(_row(app, ids[0]))
    (first,) = _children()
    before_s = time.process_time() + sum(first.cpu_times()[:2])
    explainer.explain(_row(app, ids[1]))
    # Processor time, because wall time depends on what else runs on this machine.
    took_s = time.process_time() + sum(first.cpu_times()[:2]) - before_s
    assert _children() == [first]
    explainer.close()
    assert 0 < took_s <= 2
    assert alive([first]) == []


_PARENT = """
import os, signal, socket, sys
from catloader.processes import start_child
ours, its = socket.socketpair()
command = [sys.executable, "-m", "catloader.explanations.child", str(its.fileno())]
child = start_child(command, env=os.environ, stdout=1, keep_open=[its.fileno()])
print(child.pid, flush=True)
signal.pause()
"""


def test_child_dies_with_a_killed_site() -> None:
    site = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
    )
    with site:
        assert site.stdout
        child = psutil.Process(int(site.stdout.readline()))
        waiting = threading.Event()
        while not any("libtorch" in library.path for library in child.memory_maps()):
            waiting.wait(0.01)
        site.kill()
        assert select.select([site.stdout], [], [], 60)[0], "the child still holds its end of the pipe"
        assert site.stdout.read() == b""
