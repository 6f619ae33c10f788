"""A real SMTP server on loopback that fails on demand and keeps the mails that it accepts."""

from __future__ import annotations

import email
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from catloader.demo.client import free_port

USER, PASSWORD = "site", "secret-of-the-mail-server"


class MailServer:
    """Answers mails with the lines of ``script``, one each, and accepts every mail after that."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.port = port
        self._log_in = user.encode(), password.encode()
        self.script: list[str] = []
        self.refused = 0
        self.goodbye = "221 Bye"
        self.mails: list[tuple[str, EmailMessage]] = []
        self.greeted_by = ""
        self._changed = threading.Condition()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if not session.authenticated:
            return "530 log in first"
        self.greeted_by = session.host_name or ""
        with self._changed:
            if self.script:
                self.refused += 1
                return self.script.pop(0)
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.mails.append((envelope.rcpt_tos[0], message))
            self._changed.notify_all()
        return "250 OK"

    def is_site(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == self._log_in, handled=False)

    async def auth_CRAM__MD5(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        challenge = b"<1@cats.example.org>"
        response = await server.challenge_auth(challenge)
        user, password = self._log_in
        good = response == user + b" " + hmac.digest(password, challenge, "md5").hex().encode()
        return AuthResult(success=good, handled=False, auth_data=LoginPassword(user, password))

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.goodbye

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        """Wait until ``count`` mails have arrived; return (recipient, text) of all mails."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.mails) >= count, timeout=60), self.mails
        return [(to, message.get_content().strip()) for to, message in self.mails]

    def link(self, number: int = -1) -> str:
        """Return the path of the link in a mail; the newest by default."""
        link = re.search(r"https://cats\.example\.org(/[\w-]+/[\w-]+)", self.mails[number][1].get_content())
        assert link, self.mails[number][1]
        return link[1]


@contextmanager
def mail_server(
    port: int = 0, user: str = USER, password: str = PASSWORD, **options: Any
) -> Iterator[MailServer]:
    """Run a server that accepts mails only from clients that have logged in."""
    server = MailServer(port or free_port(), user, password)
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        authenticator=server.is_site,
        auth_require_tls=False,
        **options,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def settings_of(port: int) -> dict[str, object]:
    """Return the settings of a site that uses the server at this port."""
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_tls": "off",
        "smtp_user": USER,
        "smtp_password": PASSWORD,
        "smtp_sender": "cats@example.org",
        "public_url": "https://cats.example.org/",
    }
