"""The Python client and ``catloader upload`` with a site in separate processes and a real model."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

import pytest
import skimage
from PIL import Image
from sqlalchemy import Engine, func, select

from catloader.api_models import Check
from catloader.cli.upload import _upload
from catloader.client import Client, RequestFailed, Show
from catloader.demo.client import free_port, until
from catloader.settings import Settings
from catloader.store.db.engine import reading
from catloader.store.db.photos.gallery import Shown
from catloader.store.db.schema import check_log, deletions, photos
from catloader.store.s3.embedded import EmbeddedS3
from catloader.wiring import build_engine
from tests.support.cut_line import cut_line
from tests.support.environ import environ_without_settings
from tests.support.left_open import close_left_open
from tests.support.object_stores import settings_of, store_of
from tests.support.photo_managers import IMMICH_KEY, manager
from tests.support.photo_sets import OWN_PHOTOS
from tests.support.serving import Serving, serving
from tests.support.site import PASSWORD, jpeg

_ROOT = Path(__file__).resolve().parents[2]
_PHOTOS = Path(skimage.__file__).parent / "data"
_CAT = _PHOTOS / "chelsea.png"
_VERDICT_S = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, s3_server: EmbeddedS3) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("site")
    store = store_of(s3_server, ("photos-of-client", "thumbnails-of-client"))
    settings = {
        **settings_of(s3_server, store),
        "CATCHECK_DISPATCH": "thread",
        "CATCHECK_MODEL": "efficientnet_lite0",
        "CATCHECK_RUNTIME": "openvino",
    }
    with serving(folder, **settings) as site:
        yield site


def _catloader(folder: Path, *words: object, text: str = "") -> subprocess.CompletedProcess[str]:
    environ = environ_without_settings(CATLOADER_DATA_DIR=folder, CATLOADER_MIN_FREE_BYTES=0)
    command = [sys.executable, "-m", "catloader", *map(str, words)]
    return subprocess.run(
        command, env=environ, input=text, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def token(site: Serving) -> str:
    created = _catloader(
        site.folder, "user", "create", "ann@example.org", "--password-stdin", text=PASSWORD + "\n"
    )
    assert created.returncode == 0, created.stderr
    scopes = [word for scope in ("photos:read", "photos:write", "check") for word in ("--scope", scope)]
    return _catloader(site.folder, "tokens", "create", "ann@example.org", "test", *scopes).stdout.strip()


@pytest.fixture
def client(site: Serving, token: str) -> Iterator[Client]:
    client = Client(site.url, token)
    yield client
    client.close()


@pytest.fixture
def database(site: Serving) -> Iterator[Engine]:
    engine = build_engine(Settings(data_dir=site.folder))
    yield engine
    engine.dispose()


def test_the_client_knows_all_filters_of_the_site() -> None:
    assert set(get_args(Show)) == set(Shown)


def test_a_file_whose_photo_was_deleted_is_uploaded_again_once(client: Client, tmp_path: Path) -> None:
    (file := tmp_path / "again.jpg").write_bytes(jpeg((7, 77, 7)))
    known = {photo.id for photo in client.photos()}
    for _ in range(2):
        for _ in range(2):  # a repeated command stores nothing
            assert _upload(client, file, "") == ""
        (stored,) = {photo.id for photo in client.photos()} - known
        client.delete(stored)


def test_a_photo_is_uploaded_checked_read_and_deleted(client: Client) -> None:
    photo = client.upload(_CAT.read_bytes(), caption="Chelsea")
    deadline_s = time.monotonic() + _VERDICT_S
    while (photo := client.photo(photo.id)).status in ("pending", "checking"):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    verdict = client.verdict(photo.id)
    assert (photo.status, photo.caption) == ("cat", "Chelsea")
    assert verdict.model
    assert verdict.model.name == "efficientnet_lite0"
    assert next(client.photos(show="cat")).id == photo.id
    assert client.jpeg(photo.id, thumbnail=True).startswith(b"\xff\xd8\xff")
    assert client.appeal(photo.id, "not_cat", "A test.").closed_at is None
    client.delete(photo.id)
    with pytest.raises(RequestFailed, match="deleted, or it belongs to someone else") as refused:
        client.photo(photo.id)
    assert refused.value.status == 404


def test_the_verdict_on_a_turned_photo_says_by_how_many_degrees_it_was_rotated(client: Client) -> None:
    with Image.open(OWN_PHOTOS.folder / "cat" / "ginger_kitten.jpg") as image:
        upright = image.convert("RGB")
    recorded = []
    for photo in (upright.transpose(Image.Transpose.ROTATE_90), upright):
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=92)
        uploaded = client.upload(file.getvalue())
        deadline_s = time.monotonic() + _VERDICT_S
        while client.photo(uploaded.id).status in ("pending", "checking"):
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        verdict, check = client.verdict(uploaded.id), client.check(file.getvalue())
        recorded.append((verdict.status, verdict.turned_deg, check.turned_deg))
        client.delete(uploaded.id)
    assert recorded == [("cat", 90, 90), ("cat", 0, 0)]


def test_a_checked_photo_gets_the_verdict_of_an_upload_and_is_not_stored(
    client: Client, database: Engine
) -> None:
    def rows() -> list[int]:
        with reading(database) as connection:
            tables = (photos, check_log, deletions)
            return [
                connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
            ]

    photo = client.upload(_CAT.read_bytes())
    deadline_s = time.monotonic() + _VERDICT_S
    while client.photo(photo.id).status in ("pending", "checking"):
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    for _ in until(60, "Objects of another test's photo were not deleted"):
        if rows()[-1] == 0:
            break
    before = rows()
    check = client.check(_CAT.read_bytes())
    assert rows() == before
    verdict = client.verdict(photo.id)
    assert (check.verdict, check.subject) == ("cat", "house_cat")
    assert check.score == pytest.approx(verdict.score, abs=1e-6)
    assert check.labels == verdict.labels
    assert check.model == verdict.model
    assert check.turned_deg == verdict.turned_deg == 0
    of_earlier_site = check.model_dump_json(exclude={"turned_deg"})
    assert Check.model_validate_json(of_earlier_site).turned_deg is None
    assert set(check.ms) == {"prepare", "decode", "classify", "total"}
    with pytest.raises(RequestFailed) as refused:
        client.check(b"no photo")
    assert refused.value.status == 415


def test_a_repeated_upload_after_a_lost_response_makes_one_photo(
    site: Serving, client: Client, token: str
) -> None:
    before = len(list(client.photos()))
    waits: list[float] = []
    with cut_line(site.url, answers_lost=2) as (url, keys):
        through_line = Client(url, token, sleep=waits.append)
        photo = through_line.upload(jpeg((9, 9, 9)))
        through_line.close()
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert waits == [1.0, 2.0]
    assert len(list(client.photos())) == before + 1
    assert client.photo(photo.id).id == photo.id


def test_a_deletion_and_an_appeal_work_if_their_responses_are_lost(
    site: Serving, client: Client, token: str
) -> None:
    photo = client.upload(jpeg((9, 19, 9)))
    for _ in until(_VERDICT_S, "no verdict"):
        if (status := client.photo(photo.id).status) not in ("pending", "checking"):
            break
    with cut_line(site.url, answers_lost=1) as (url, _):
        through_line = Client(url, token, sleep=lambda _: None)
        wish: Literal["cat", "not_cat"] = "not_cat" if status == "cat" else "cat"
        assert through_line.appeal(photo.id, wish, "Look again.").reason == "Look again."
        with pytest.raises(RequestFailed) as open_already:
            through_line.appeal(photo.id, wish)
        assert (open_already.value.status, open_already.value.may_have_acted) == (409, False)
        through_line.close()
    with cut_line(site.url, answers_lost=1) as (url, keys):
        through_line = Client(url, token, sleep=lambda _: None)
        through_line.delete(photo.id)
        assert len(keys) == 2
        with pytest.raises(RequestFailed) as gone:
            through_line.delete(photo.id)
        assert (gone.value.status, gone.value.may_have_acted) == (404, False)
        through_line.close()


def test_a_deletion_or_an_appeal_that_fails_after_refusals_of_a_busy_site_is_reported(
    site: Serving, client: Client, token: str
) -> None:
    photo = client.upload(jpeg((9, 29, 9)))
    for _ in until(_VERDICT_S, "no verdict"):
        if (status := client.photo(photo.id).status) not in ("pending", "checking"):
            break
    wish: Literal["cat", "not_cat"] = "not_cat" if status == "cat" else "cat"
    client.appeal(photo.id, wish)
    statuses = []
    actions: list[Callable[[Client], object]] = [
        lambda one: one.appeal(photo.id, wish),
        lambda one: one.delete(10**9),
    ]
    for act in actions:
        with cut_line(site.url, refusals=(429, 503)) as (url, keys):
            through_line = Client(url, token, sleep=lambda _: None)
            with pytest.raises(RequestFailed) as failed:
                act(through_line)
            through_line.close()
        assert len(keys) == 1
        statuses.append(failed.value.status)
    assert statuses == [409, 404]
    client.delete(photo.id)
    with cut_line(site.url, refusals=(502,)) as (url, _):  # of a proxy, after which the photo may be deleted
        through_line = Client(url, token, sleep=lambda _: None)
        through_line.delete(photo.id)
        through_line.close()


def test_an_unavailable_site_is_reported_in_one_sentence(token: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    client = Client(url, token, tries=2, sleep=lambda _: None)
    with pytest.raises(RequestFailed) as refused:
        client.photo(1)
    assert (refused.value.status, str(refused.value)) == (0, f"{url} does not answer: no connection.")


@pytest.mark.parametrize(
    "url",
    [
        "photos.example.org",
        "http://",
        "ftp://photos.example.org",
        "http://x:99999",
        "http://x:0",
        "http://[::1",
    ],
)
def test_a_wrong_address_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(
        RequestFailed, match=r"is not the address of a site, such as https://photos[.]example[.]org[.]$"
    ):
        Client(url, "token", tries=1).photo(1)


def test_an_address_with_a_password_is_refused_without_printing_it() -> None:
    with pytest.raises(RequestFailed) as refused:
        Client("http://user:secret@127.0.0.1:1", "token")
    assert str(refused.value) == "The address of the site must not contain a user name or a password."


def test_a_wrong_address_of_a_proxy_is_not_blamed_on_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "nonsense://proxy")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(RequestFailed, match="The address of a proxy"):
        Client("http://photos.example.org", "token", tries=1).photo(1)


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"307 Moved\r\nLocation: http://[::1/", "or an address the site redirects to, is not valid"),
        (b"307 Moved\r\nLocation: http://\xff/", "or an address the site redirects to, is not valid"),
        (
            b"307 Moved\r\nLocation: http://%s.x/" % (b"a" * 300),
            "or an address the site redirects to, is not",
        ),
        (b"200 OK\r\nContent-Encoding: gzip", "its response is compressed, which was not requested"),
        (b"429 Later\r\nRetry-After: " + 5000 * b"9", "The site answered with HTTP 429"),
    ],
)
def test_odd_heads_of_responses_are_reported_in_one_sentence(head: bytes, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "token", tries=1)
        request = pool.submit(client.photo, 1)
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 " + head + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            with pytest.raises(RequestFailed, match=sentence):
                request.result(60)
        client.close()
    del request
    close_left_open()


@pytest.mark.parametrize("method", ["upload", "delete"])
def test_a_redirect_that_turns_a_request_into_a_get_is_not_taken_for_success(method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = Client(url, "token")
        request = pool.submit(lambda: client.upload(b"photo") if method == "upload" else client.delete(1))
        moved = f"302 Found\r\nLocation: {url}/cats/api/v1/photos?page=1"
        for head in (moved, "200 OK"):
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode())
        with pytest.raises(RequestFailed) as refused:
            request.result(60)
        client.close()
    assert str(refused.value) == f"{url} redirects to {url}/cats. If that is the site, use that address."
    del request
    close_left_open()


def _slow_line(seconds: float) -> tuple[socket.socket, bytes]:
    """Return a server that takes ``seconds`` to receive the photo, and a photo larger than the buffers."""
    listener, photo = socket.socket(), bytes(6_000_000)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def receive() -> None:
        left, pause = len(photo), threading.Event()
        with listener.accept()[0] as connection:
            while left > 0 and (received := connection.recv(100_000)):
                left -= len(received)
                pause.wait(seconds * len(received) / len(photo))
            connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=receive, daemon=True).start()
    return listener, photo


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [(1.5, "HTTP 413"), (3000, "does not answer: the connection is dead, or too slow.")],
)
def test_the_time_limit_holds_for_each_block_of_an_upload_and_not_for_the_whole_photo(
    seconds: float, sentence: str
) -> None:
    listener, photo = _slow_line(seconds)
    with listener:
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "token", tries=1, connect_s=0.5)
        with pytest.raises(RequestFailed, match=re.escape(sentence)):
            client.upload(photo)
        client.close()


def test_a_pipe_is_not_uploaded(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token")
    os.mkfifo(tmp_path / "pipe.jpg")
    words = (
        "upload",
        tmp_path / "pipe.jpg",
        "--server",
        "http://127.0.0.1:1",
        "--token-file",
        tmp_path / "token",
    )
    done = _catloader(tmp_path, *words)
    assert "pipe.jpg: it is not a regular file." in done.stdout
    assert done.returncode == 1


def test_files_are_uploaded_from_the_command_line(
    site: Serving, token: str, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "token").write_text(token + "\n")
    (tmp_path / "a.jpg").write_bytes(jpeg((1, 2, 3)))
    (tmp_path / "b.txt").write_text("no photo")
    before = len(list(client.photos()))
    files = [tmp_path / name for name in ("a.jpg", "b.txt", "c.jpg")]
    words = ("upload", *files, "--server", site.url, "--token-file", tmp_path / "token")
    for _ in range(2):  # the second run must not store the photo again
        done = _catloader(tmp_path, *words)
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1] == "1 photo stored, 2 refused."
        refused = [line for line in done.stdout.splitlines() if line.startswith(str(tmp_path))]
        assert [line.partition(": ")[0] for line in refused] == [str(files[1]), str(files[2])]
        assert len(list(client.photos())) == before + 1
    again = _catloader(tmp_path, "upload", files[0], "--caption", "Tom", *words[4:])
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "1 photo stored, 0 refused.")
    assert f"{files[0]}: it was stored before, and keeps its other caption." in again.stdout
    assert "keeps" not in _catloader(tmp_path, "upload", files[0], *words[4:]).stdout
    (tmp_path / "token").write_text("wrong")
    refused_token = _catloader(tmp_path, *words)
    assert refused_token.returncode == 1
    assert refused_token.stderr == "Error: This API token is unknown, revoked or expired.\n"


def _example(name: str, site: Serving, folder: Path, token: str, *, frigate: str = "") -> list[str]:
    """Write an example of docs/api.md to a file, with the addresses of this test; return its command."""
    text = (_ROOT / "docs/api.md").read_text("utf-8")
    code = re.search(rf"^\*\*{name}\*\*.*?```\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert code
    script = code[1].replace("http://127.0.0.1:8000", site.url).replace("http://frigate:5000", frigate)
    (folder / "script.py").write_text(script)
    (folder / "token.txt").write_text(token + "\n")
    return [sys.executable, str(folder / "script.py")]


def test_the_example_for_immich_tags_each_cat_once(site: Serving, token: str, tmp_path: Path) -> None:
    photos = {name: (_PHOTOS / f"{name}.png").read_bytes() for name in ("astronaut", "coffee", "chelsea")}
    command = _example("Immich", site, tmp_path, token)
    with manager("immich", photos) as immich:
        variables = {"IMMICH_URL": immich.url, "IMMICH_KEY": IMMICH_KEY, "PYTHONPATH": str(_ROOT)}
        for tags in ({"chelsea": "cat"}, {}):  # the second run finds no new photos
            immich.labels.clear()
            subprocess.run(
                command, cwd=tmp_path, env=environ_without_settings(**variables), timeout=120, check=True
            )
            assert immich.labels == tags
    assert (tmp_path / "seen.txt").read_text().split() == [*photos]


def test_the_example_for_frigate_labels_finished_events(site: Serving, token: str, tmp_path: Path) -> None:
    photos = {name: (_PHOTOS / f"{name}.png").read_bytes() for name in ("astronaut", "coffee", "chelsea")}
    with manager("frigate", photos) as frigate:
        command = _example("Frigate", site, tmp_path, token, frigate=frigate.url)
        environ = environ_without_settings(PYTHONPATH=_ROOT)
        with subprocess.Popen(command, cwd=tmp_path, env=environ) as script:
            labelled = frigate.all_labelled.wait(120)
            script.kill()
        assert labelled
        assert frigate.labels == {"chelsea": "cat confirmed", "coffee": "no cat"}
