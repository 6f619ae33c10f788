"""Log-in, sign-up and the request for a mailed link take the same processor time for every e-mail."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from catloader.accounts.passwords import hash_password
from catloader.demo.client import free_port
from catloader.oidc.identity import Identity
from catloader.oidc.log_in import new_user
from catloader.store.db.engine import utcnow
from catloader.web.http import cookies
from tests.support.accounts_site import accounts_site
from tests.support.mail_server import mail_server, settings_of
from tests.support.site import PASSWORD, Person, services_of, shipped_hashes
from tests.support.work_time import assert_same_work

_MUCH = "100000 per minute"
_WITHIN_MS = 5


@pytest.mark.slow
def test_wrong_passwords_cost_the_same_work_for_every_kind_of_account(tmp_path: Path) -> None:
    with accounts_site(tmp_path, password_rate=_MUCH, login_rate=_MUCH) as app, shipped_hashes():
        services, now = services_of(app), utcnow()
        kinds = ["known", "disabled", "two-steps"]
        made = {
            kind: services.users.create(f"{kind}@example.org", hash_password(PASSWORD), now) for kind in kinds
        }
        services.administration.disable(made["disabled"].id, made["known"].id, now)
        services.second_factors.set_up(made["two-steps"].id, "A" * 32, 0, ["0" * 64], now)
        new_user(services.identities, Identity("https://id", "1", "provider@example.org", True), None, now)
        services.users.create("locked@example.org", "!", now)  # an administrator may set such a hash by SQL
        visitor = Person(app)
        token = visitor.token("/login")
        numbers = itertools.count()

        def log_in(kind: str) -> None:
            email, password = f"{kind}@example.org", f"wrong {next(numbers)}"
            form = {"csrf_token": token, "email": email, "password": password}
            assert visitor.client.post("/login", data=form).status_code == 401

        spent_ms = assert_same_work(
            {kind: partial(log_in, kind) for kind in [*kinds, "provider", "locked", "unknown"]},
            within_ms=_WITHIN_MS,
        )
        assert spent_ms["unknown"] > _WITHIN_MS, "no password was hashed for an unknown e-mail"


@pytest.mark.slow
def test_sign_ups_cost_the_same_work_for_registered_e_mails_and_new_ones(tmp_path: Path) -> None:
    with accounts_site(tmp_path, register_rate=_MUCH) as app, shipped_hashes():
        Person.sign_up(app, "known@example.org")
        visitor = Person(app)
        numbers = itertools.count()

        def sign_up(email: str) -> None:
            form = {"csrf_token": token, "email": email, "password": PASSWORD}
            assert visitor.client.post("/register", data=form).status_code == 303
            visitor.client.delete_cookie(cookies.SESSION)

        token = visitor.token("/register")
        assert_same_work(
            {
                "known": partial(sign_up, "known@example.org"),
                "new": lambda: sign_up(f"new-{next(numbers)}@example.org"),
            },
            within_ms=_WITHIN_MS,
        )


@pytest.mark.slow
def test_the_request_for_a_mailed_link_does_the_same_for_every_address(tmp_path: Path) -> None:
    """Another thread looks up the account and sends the mail; this test holds it back during the requests."""
    port = free_port()
    with (
        mail_server(port) as server,
        accounts_site(tmp_path, mail_rate=_MUCH, register_rate=_MUCH, **settings_of(port)) as app,
    ):
        services, answered = services_of(app), threading.Event()
        services.users.create("known@example.org", hash_password(PASSWORD), utcnow())
        assert services.mails

        def wait() -> None:
            assert answered.wait(60)

        services.mails.outbox.put(wait)
        services.mails.outbox.start()
        visitor = Person(app)
        token = visitor.token("/forgotten-password")
        statements: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                statements.append(statement)

        def ask(kind: str) -> list[str]:
            statements.clear()
            form = {"csrf_token": token, "email": f"{kind}@example.org"}
            assert visitor.client.post("/forgotten-password", data=form).status_code == 200
            return statements.copy()

        event.listen(services.engine, "before_cursor_execute", note)
        try:
            ask("somebody")  # the first request of a network inserts a row; later ones update it
            for _ in ("in a new row of the address", "in the same row"):
                assert ask("known") == ask("unknown") != []
            assert_same_work(
                {"known": partial(ask, "known"), "unknown": partial(ask, "unknown")}, within_ms=_WITHIN_MS
            )
        finally:
            event.remove(services.engine, "before_cursor_execute", note)
            answered.set()
        assert server.wait_for(1)[0][0] == "known@example.org"
