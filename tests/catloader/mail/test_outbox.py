"""Mails to a real SMTP server that is unavailable, refuses, and becomes available again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from catloader.demo.client import free_port, until
from catloader.errors import SettingError, StoreUnavailable
from catloader.mail.account_mails import build_smtp_server
from catloader.mail.outbox import Mail, Outbox
from catloader.mail.smtp import NotSent, SmtpServer
from catloader.settings import Settings
from tests.support.mail_server import PASSWORD, USER, mail_server, settings_of


def _mail(text: str) -> Mail:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "cats@example.org", "anna@example.org", "Hello"
    message.set_content(text)
    return Mail(message, "anna@example.org")


@pytest.fixture
def outboxes() -> Iterator[list[Outbox]]:
    made: list[Outbox] = []
    yield made
    for outbox in made:
        outbox.close()


def _outbox(outboxes: list[Outbox], port: int) -> Outbox:
    server = SmtpServer("127.0.0.1", port, "off", USER, PASSWORD, timeout_s=5)
    outboxes.append(Outbox(server.send, retries_s=(0.05,) * 100, most=3))
    outboxes[-1].start()
    return outboxes[-1]


def test_a_mail_waits_for_an_unavailable_server(
    outboxes: list[Outbox], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    outbox = _outbox(outboxes, port)
    outbox.put(lambda: _mail("first"))
    for _ in until(20, "No attempt was made"):
        if "retried later" in caplog.text:
            break
    with mail_server(port) as server:
        assert [text for _, text in server.wait_for(1)] == ["first"]


def test_a_temporary_refusal_is_retried_and_a_permanent_one_is_not(
    outboxes: list[Outbox], caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as server:
        outbox = _outbox(outboxes, server.port)
        server.script = ["451 try later", "451 try later"]
        outbox.put(lambda: _mail("later"))
        server.wait_for(1)
        assert server.refused == 2
        server.script = ["hello, this is not SMTP"]
        outbox.put(lambda: _mail("on"))
        server.wait_for(2)
        assert "the answer is not SMTP" in caplog.text
        server.script = ["550 no anna@example.org here"]
        outbox.put(lambda: _mail("never"))
        for _ in until(20, "The refusal was not logged"):
            if "SMTP 550" in caplog.text:
                break
        outbox.put(lambda: _mail("after it"))
        assert [text for _, text in server.wait_for(3)] == ["later", "on", "after it"]
    assert "anna@example.org" not in caplog.text


def test_an_accepted_mail_is_not_sent_again_after_an_odd_goodbye() -> None:
    with mail_server() as server:
        server.goodbye = "421 too busy to close"
        sender = SmtpServer("127.0.0.1", server.port, "off", USER, PASSWORD, timeout_s=5)
        assert sender.send(_mail("once").message, "anna@example.org") is None
        assert [text for _, text in server.wait_for(1)] == ["once"]


def test_a_mail_is_given_up_after_its_attempts(
    outboxes: list[Outbox], caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[str] = []

    def send(_message: EmailMessage, to: str) -> NotSent:
        attempts.append(to)
        return NotSent(f"attempt {len(attempts)}", retryable=True)

    outboxes.append(Outbox(send, retries_s=(0.01, 0.01)))
    outboxes[0].start()
    outboxes[0].put(lambda: _mail("never"))
    for _ in until(20, "The mail was not given up"):
        if "A mail is given up: attempt 3" in caplog.messages:
            break
    assert caplog.messages[:2] == ["A mail is retried later: attempt 1", "A mail is retried later: attempt 2"]
    assert len(attempts) == 3


def test_a_mail_that_needs_the_database_waits_for_it(outboxes: list[Outbox]) -> None:
    """A link in a mail is made just before the mail is sent."""
    tries: list[str] = []

    def write() -> Mail:
        tries.append("x")
        if len(tries) < 3:
            raise StoreUnavailable("The database does not answer.")
        return _mail("here")

    with mail_server() as server:
        _outbox(outboxes, server.port).put(write)
        assert [text for _, text in server.wait_for(1)] == ["here"]


def test_a_mail_that_cannot_be_composed_does_not_stop_the_others(outboxes: list[Outbox]) -> None:
    def broken() -> Mail:
        raise RuntimeError("no text")

    with mail_server() as server:
        outbox = _outbox(outboxes, server.port)
        outbox.put(broken)
        outbox.put(lambda: None)
        outbox.put(lambda: _mail("the third"))
        assert [text for _, text in server.wait_for(1)] == ["the third"]


def test_a_full_queue_drops_mails_without_blocking(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(lambda message, to: None, most=3)  # not started, so all mails wait
    for _ in range(5):
        outbox.put(lambda: _mail("x"))
    assert "3 mails wait; one more was dropped" in caplog.text
    outbox.close()
    assert "not sent, and lost: 3 mails" in caplog.text


def test_without_tls_a_server_gets_neither_mail_nor_password() -> None:
    with mail_server() as server:
        sender = SmtpServer("127.0.0.1", server.port, "starttls", USER, PASSWORD)
        assert sender.send(_mail("x").message, "anna@example.org") == NotSent(
            "the server lacks what this mail needs", retryable=False
        )
        wrong = SmtpServer("127.0.0.1", server.port, "off", USER, "wrong")
        assert wrong.send(_mail("x").message, "anna@example.org") == NotSent("SMTP 535", retryable=False)
        assert server.mails == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("user", ["site", "münchen"])
def test_a_log_in_may_have_any_characters(mechanism: str, user: str) -> None:
    others = {"PLAIN", "LOGIN", "CRAM-MD5"} - {mechanism}
    with mail_server(user=user, password="geheim-ß-猫", auth_exclude_mechanism=others) as server:
        for password, refusal in (("geheim-ß-猫", None), ("geheim-ü", NotSent("SMTP 535", retryable=False))):
            sender = SmtpServer("127.0.0.1", server.port, "off", user, password)
            assert sender.send(_mail("x").message, "a@example.org") == refusal
        assert len(server.mails) == 1


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = SmtpServer("127.0.0.1", silent.getsockname()[1], "off", timeout_s=0.2)
        assert sender.send(_mail("x").message, "a@example.org") == NotSent("no answer", retryable=True)


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://cats.example.org/", "cats.example.org"),
        ("https://bücher.example:8443/cats", "xn--bcher-kva.example"),
        ("http://192.0.2.1:8000", "of-machine.test"),
        ("http://[2001:db8::1]:8000", "of-machine.test"),
        ("http://cats:8000", "of-machine.test"),
    ],
)
def test_a_mail_server_is_greeted_with_the_name_of_the_site(
    public_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: "of-machine.test")
    with mail_server() as server:
        values = {**settings_of(server.port), "public_url": public_url}
        sender = build_smtp_server(Settings(data_dir=tmp_path, **values))  # type: ignore[arg-type]
        assert sender is not None
        assert sender.send(_mail("x").message, "anna@example.org") is None
        assert server.greeted_by == name


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ("public_url", "CATLOADER_SMTP_HOST is set, so CATLOADER_PUBLIC_URL and CATLOADER_SMTP_SENDER must"),
        ("smtp_sender", "CATLOADER_SMTP_HOST is set, so CATLOADER_PUBLIC_URL and CATLOADER_SMTP_SENDER must"),
        ("smtp_password", "CATLOADER_SMTP_USER is set, so CATLOADER_SMTP_PASSWORD must"),
    ],
)
def test_settings_that_require_each_other_are_named(left_out: str, sentence: str, tmp_path: Path) -> None:
    values = {name: value for name, value in settings_of(25).items() if name != left_out}
    with pytest.raises(SettingError, match=sentence):
        Settings(data_dir=tmp_path, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CATLOADER_SMTP_HOST", "mail.example.org:25"),
        ("CATLOADER_SMTP_SENDER", "Cats <cats@example.org>"),
        ("CATLOADER_SMTP_TLS", "ssl"),
    ],
)
def test_wrong_settings_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is "):
        Settings.from_environment({name: value})
