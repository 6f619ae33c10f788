"""The doctor's rows about the mail server and the OpenID provider."""

from __future__ import annotations

from typing import Any

import pytest

from catloader.demo.client import free_port
from catloader.doctor import log_in
from catloader.doctor.rows import Row
from catloader.settings import Settings
from tests.support import mail_server, provider


def _row(part: str, **settings: Any) -> Row:
    return {row.part: row for row in log_in.rows(Settings(**settings))}[part]


def test_a_site_without_mail_and_provider_is_in_order() -> None:
    assert [row.result for row in log_in.rows(Settings())] == ["ok", "ok"]


def test_a_mail_server_that_accepts_the_log_in_gets_no_mail() -> None:
    with mail_server.mail_server() as server:
        row = _row("mail server", **mail_server.settings_of(server.port))
        assert (row.result, "accepts the log-in" in row.sentence) == ("ok", True)
        assert server.mails == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"smtp_password": "another"}, "SMTP 535"),
        ({"smtp_tls": "starttls"}, "the server lacks what this mail needs"),
        ({"smtp_port": 1}, "no connection"),
    ],
)
def test_a_mail_server_that_refuses_mail_is_a_failed_row(changes: dict[str, Any], reason: str) -> None:
    with mail_server.mail_server() as server:
        row = _row("mail server", **{**mail_server.settings_of(server.port), **changes})
        assert (row.result, reason in row.sentence) == ("failed", True), row.sentence
        assert "secret" not in row.sentence and "another" not in row.sentence


def test_a_provider_is_examined_like_by_a_log_in() -> None:
    with provider.running_provider(free_port()) as running:
        port = int(running.issuer.rpartition(":")[2])
        assert _row("log-in provider", **provider.settings_of(port)).result == "ok"
        other = {**provider.settings_of(port), "oidc_issuer": f"http://localhost:{port}"}
        assert f"it calls itself {running.issuer}" in _row("log-in provider", **other).sentence
        missing = {**provider.settings_of(port), "oidc_issuer": f"{running.issuer}/realm"}
        assert "HTTP 404" in _row("log-in provider", **missing).sentence
        running.missing_metadata = {"authorization_endpoint"}
        row = _row("log-in provider", **provider.settings_of(port))
        assert (row.result, "lack 'authorization_endpoint'" in row.sentence) == ("failed", True)
    row = _row("log-in provider", **provider.settings_of(port))
    assert (row.result, "does not answer" in row.sentence) == ("failed", True)
