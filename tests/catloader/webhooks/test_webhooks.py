"""Outgoing webhooks, to a real receiver that fails, hangs and recovers."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import Engine, insert, select, text, update
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from catloader.checks.signatures import new_secret
from catloader.cli import main
from catloader.demo.client import free_port, until
from catloader.errors import SettingError
from catloader.settings import Settings
from catloader.store.db.engine import make_engine, reading, utcnow, writing
from catloader.store.db.schema import check_log, webhook_deliveries
from catloader.store.db.steady_clock import SteadyClock
from catloader.store.db.webhooks.deliveries import WebhookDeliveries
from catloader.webhooks.sender import WebhookSender
from catloader.webhooks.target import Target, is_public
from tests.support.environ import environ_without_settings
from tests.support.rows import add_photos
from tests.support.serving import form_token, registered, serving
from tests.support.site import jpeg

_SECRET = new_secret()
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


class Receiver(ThreadingHTTPServer):
    """Responds with the statuses of ``script``, then 204; 0 means no response before the end of the test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[int] = []
        self.ended = threading.Event()
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/hook?token=of-the-receiver"

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.messages]

    def verified(self, place: int, secret: str = _SECRET) -> dict[str, Any]:
        headers, body = self.messages[place]
        assert _signature(secret, headers, body) in headers["webhook-signature"].split()
        message: dict[str, Any] = Webhook(secret).verify(body, headers)
        return message


def _signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """Compute a signature by the text of the specification, without the library that the sender uses."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append(({k.lower(): v for k, v in self.headers.items()}, body))
        status = self.server.script.pop(0) if self.server.script else 204
        if status == 0:
            self.server.ended.wait(60)
            return
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def _verdicts(engine: Engine, photo_id: int, *verdicts: str | None) -> None:
    with writing(engine) as connection:
        for verdict in verdicts:
            row = {
                "photo_id": photo_id,
                "attempt": 1,
                "finished_at": utcnow(),
                "verdict": verdict,
                "score": 0.75,
                "turned_deg": 90,
            }
            connection.execute(insert(check_log).values(row))


def _sender(
    engine: Engine,
    url: str,
    *,
    secrets: str = _SECRET,
    retries_s: tuple[float, ...] = (0.0, 0.0, 0.0),
    **target: Any,
) -> WebhookSender:
    options = {"allow_private": True, "read_s": 60.0, **target}
    clock = SteadyClock.of(engine)
    return WebhookSender(
        WebhookDeliveries(engine), Target(url, **options), secrets, clock=clock, retries_s=retries_s
    )


def test_each_new_verdict_is_sent_once_and_signed(engine: Engine, receiver: Receiver) -> None:
    ledger = WebhookDeliveries(engine)
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, "cat")
    ledger.begin()
    ledger.begin()
    sender = _sender(engine, receiver.url)
    sender.work_off()
    assert receiver.messages == [], "the verdicts before the first start were sent"
    _verdicts(engine, photo, None, "not_cat")
    for _ in range(3):
        sender.work_off()
    message = receiver.verified(0)
    assert (message["type"], message["data"]["photo_id"], message["data"]["verdict"]) == (
        "photo.checked",
        photo,
        "not_cat",
    )
    assert (message["data"]["score"], message["data"]["turned_deg"]) == (0.75, 90)
    assert len(receiver.messages) == 1
    headers, body = receiver.messages[0]
    with pytest.raises(WebhookVerificationError):
        Webhook(_SECRET).verify(body.replace(b"not_cat", b"cat"), headers)
    (delivery,) = ledger.latest(9)
    assert (delivery.state, delivery.attempts, delivery.last_error) == ("delivered", 1, None)


def test_receiver_that_fails_and_hangs_gets_the_message_after_its_recovery(
    engine: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = WebhookDeliveries(engine)
    ledger.begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, "cat")
    receiver.script = [500, 0, 302]
    sender = _sender(engine, receiver.url, read_s=2.0)
    errors = []
    for _ in range(4):
        sender.work_off()
        errors += [delivery.last_error for delivery in ledger.latest(9)]
    assert errors == ["HTTP 500", "no answer in time", "HTTP 302", None]
    assert len(set(receiver.ids())) == 1
    assert len({body for _, body in receiver.messages}) == 1
    assert [delivery.state for delivery in ledger.latest(9)] == ["delivered"]
    assert "of-the-receiver" not in caplog.text, "the token in the address is in the log"


def test_an_attempt_that_was_too_slow_does_not_affect_a_later_one(engine: Engine) -> None:
    ledger = WebhookDeliveries(engine)
    ledger.begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, "cat")
    assert ledger.collect() == 1
    slow = ledger.claim()
    with writing(engine) as connection:
        due = utcnow() - timedelta(
            seconds=1
        )  # in the past even for SQLite's clock, which counts milliseconds
        connection.execute(update(webhook_deliveries).values(next_attempt_at=due))
    later = ledger.claim()
    assert slow and later and (slow.attempts, later.attempts) == (1, 2)
    ledger.failed(slow, "timed out", None)
    assert [delivery.state for delivery in ledger.latest(9)] == ["waiting"]
    ledger.delivered(later)
    ledger.failed(later, "said twice", None)
    assert [(delivery.state, delivery.last_error) for delivery in ledger.latest(9)] == [("delivered", None)]


def test_message_is_dropped_after_its_attempts_and_sent_again_by_command(
    engine: Engine, receiver: Receiver, tmp_path: Path
) -> None:
    ledger = WebhookDeliveries(engine)
    ledger.begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, "cat")
    receiver.script = [503, 503, 503, 410]
    sender = _sender(engine, receiver.url, retries_s=(0.0, 0.0))
    for _ in range(5):
        sender.work_off()
    assert len(receiver.messages) == 3
    env = {
        "CATLOADER_DATA_DIR": str(tmp_path),
        "CATLOADER_MIN_FREE_BYTES": "0",
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
    }

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, ["webhooks", *words], env=env, catch_exceptions=False)
        return result.output

    listed = run("ls", "--given-up")
    assert "given_up" in listed
    assert listed.rstrip().endswith("3 attempts   HTTP 503")
    assert "is not the id of a message" in run("redeliver", "the last one")
    assert run("redeliver", "--given-up") == "1 message will be sent again.\n"
    sender.work_off()
    assert [delivery.state for delivery in ledger.latest(9)] == ["given_up"], "410 means: never again"
    assert run("redeliver", listed.split()[0]) == "1 message will be sent again.\n"
    sender.work_off()
    assert [delivery.state for delivery in ledger.latest(9)] == ["delivered"]
    assert len(set(receiver.ids())) == 1


def test_several_processes_send_each_message_once(engine: Engine, receiver: Receiver) -> None:
    WebhookDeliveries(engine).begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, *["cat"] * 40)
    threads = [threading.Thread(target=_sender(engine, receiver.url).work_off) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _sender(engine, receiver.url).work_off()
    assert len(receiver.messages) == 40
    assert len(set(receiver.ids())) == 40


def test_each_claim_is_of_one_message_whatever_plan_the_server_makes(engine: Engine) -> None:
    url = engine.url
    if (
        engine.dialect.name == "postgresql"
    ):  # forces the plan for a table that had one row when it was analysed
        off = ("hashjoin", "mergejoin", "hashagg", "sort", "material")
        url = url.update_query_dict({"options": " ".join(f"-c enable_{name}=off" for name in off)})
    planned = make_engine(url.render_as_string(hide_password=False))
    ledger = WebhookDeliveries(planned)
    ledger.begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, *["cat"] * 3)
    assert ledger.collect() == 3
    claims = [ledger.claim() for _ in range(4)]
    assert len({delivery.source_id for delivery in claims if delivery}) == 3
    assert claims[-1] is None
    planned.dispose()


def test_messages_are_signed_with_the_old_and_the_new_secret(engine: Engine, receiver: Receiver) -> None:
    new = new_secret()
    assert Settings(webhook_signing_secret=SecretStr(f"{new} {_SECRET}"))
    for wrong in (
        f"{new} whsec_*",
        " ",
    ):  # a file may hold only a space, and without a secret nothing would be signed
        with pytest.raises(ValueError, match="must be whsec_ followed by base64"):
            Settings(webhook_signing_secret=SecretStr(wrong))
    WebhookDeliveries(engine).begin()
    (photo,) = add_photos(engine, 1)
    _verdicts(engine, photo, "cat")
    _sender(engine, receiver.url, secrets=f"{new} {_SECRET}").work_off()
    assert receiver.verified(0, new) == receiver.verified(0, _SECRET)


def test_several_processes_begin_at_once(engine: Engine) -> None:
    ledger = WebhookDeliveries(engine)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            connection.execute(
                insert(webhook_deliveries).values(
                    source="check",
                    source_id=0,
                    payload="",
                    state="start",
                    next_attempt_at=utcnow(),
                    created_at=utcnow(),
                )
            )
            second = pool.submit(ledger.begin)
            for _ in until(60, "The second process did not wait for the first one"):
                if engine.dialect.name == "sqlite" or connection.execute(text(_WAITING)).scalar_one():
                    break
        second.result(60)
    with reading(engine) as connection:
        starts = connection.execute(select(webhook_deliveries.c.source)).scalars().all()
    assert sorted(starts) == ["check", "review"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_private_targets_are_refused_before_a_byte_is_sent(
    engine: Engine, receiver: Receiver, host: str
) -> None:
    target = Target(receiver.url.replace("127.0.0.1", host), allow_private=False)
    status, error = target.post("{}", {})
    assert status == 0
    assert error.endswith(
        "is an address of this machine or of a private network (CATLOADER_WEBHOOK_PRIVATE=on allows it)"
    )
    assert receiver.messages == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("172.20.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("::", False),
        ("::127.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::93.184.216.34", True),
        ("64:ff9b:1::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("192.0.0.8", False),
        ("3fff::1", False),
        ("5f00::1", False),
    ],
)
def test_addresses_of_private_networks_are_recognised(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.slow
def test_verdict_of_a_running_site_is_sent(receiver: Receiver, tmp_path: Path) -> None:
    settings = {
        "CATLOADER_WEBHOOK_URL": receiver.url,
        "CATLOADER_WEBHOOK_PRIVATE": "on",
        "CATCHECK_DISPATCH": "thread",
        "CATCHECK_MODEL": "efficientnet_lite0",
    }
    with serving(tmp_path, **settings) as site:
        session = registered(site.url)
        form = {"csrf_token": form_token(session, site.url + "/upload")}
        answer = session.post(
            site.url + "/upload", data=form, files={"photos": ("a.jpg", jpeg())}, timeout=60
        )
        for _ in until(60, "No message came"):
            if receiver.messages:
                break
        secret = (tmp_path / "outgoing-webhook-secret").read_text()
        message = receiver.verified(0, secret)
        assert message["data"]["photo_id"] == answer.json()["files"][0]["id"]
        assert message["data"]["verdict"] in ("cat", "unsure", "not_cat")
        assert json.loads(receiver.messages[0][1]) == message
        assert "of-the-receiver" not in site.log


@pytest.mark.parametrize(
    "url", ["hooks.example.org/x", "ftp://example.org/?token=t", "https://u:p@example.org/"]
)
def test_wrong_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment({"CATLOADER_WEBHOOK_URL": url})
    assert str(refused.value).startswith("CATLOADER_WEBHOOK_URL is (hidden); it must ")


def test_receiver_of_the_documentation_accepts_real_messages_and_no_forged_ones(
    engine: Engine, tmp_path: Path
) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/operations.md").read_text("utf-8")
    program = page.partition("(`pip install standardwebhooks`):\n\n```\n")[2].partition("```")[0]
    port = free_port()
    environment = environ_without_settings(WEBHOOK_SECRET=_SECRET, PORT=port)
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        ledger = WebhookDeliveries(engine)
        ledger.begin()
        (photo,) = add_photos(engine, 1)
        _verdicts(engine, photo, "cat")
        forger = Target(f"http://127.0.0.1:{port}/", allow_private=True)
        forged = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,eA=="}
        for _ in until(60, "The receiver did not start"):
            if (status := forger.post("{}", forged)[0]) != 0:
                break
        assert status == 401
        _sender(engine, f"http://127.0.0.1:{port}/").work_off()
        (delivery,) = ledger.latest(9)
        assert delivery.state == "delivered"
        assert process.stdout is not None
        assert process.stdout.readline() == f"{delivery.message_id} {photo} cat\n"
    finally:
        process.kill()
        process.communicate()
