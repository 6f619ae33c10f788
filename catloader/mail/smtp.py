"""The SMTP client. It opens a new connection for each mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Literal

from catloader.answer_time import limited

_TIMEOUT_S = 15.0
"""Timeout to connect, and for each read from the server."""
_TIMEOUTS_IN_ALL = 4
"""The responses to one mail may take this many timeouts in all: once before TLS begins, and again after."""

Tls = Literal["starttls", "tls", "off"]


class _Utf8(str):
    """Text that is UTF-8 in every encoding."""

    __slots__ = ()

    def encode(self, _encoding: str = "utf-8", _errors: str = "strict") -> bytes:
        return super().encode("utf-8", "surrogateescape")  # the bytes of a setting, whatever they are


class _Limited(smtplib.SMTP):
    """Limits the total time of all responses: a server that sends single bytes would hold up all mails.

    Log-ins are sent in UTF-8, as RFC 4616 prescribes. The library encodes them in ASCII.
    """

    def login(self, user: str, password: str, **options: Any) -> tuple[int, bytes]:
        return super().login(user, _Utf8(password), **options)

    def auth(self, mechanism: str, authobject: Any, **options: Any) -> tuple[int, bytes]:
        def in_utf8(challenge: bytes | None = None) -> Any:
            text = authobject(challenge)
            return None if text is None else _Utf8(text)

        return super().auth(mechanism, in_utf8, **options)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = limited(self.sock.makefile("rb"), _TIMEOUTS_IN_ALL * self.timeout)
        return super().getreply()


class _LimitedWithTls(_Limited, smtplib.SMTP_SSL):
    pass


@dataclass(frozen=True, slots=True)
class NotSent:
    """The reason why a mail was not accepted, for the log. No addresses, and no text of the server."""

    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server. Thread-safe, because each mail has its own connection."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = ""
    timeout_s: float = _TIMEOUT_S
    greeting: str | None = None
    """Host name of this client, for EHLO; None: what this machine calls itself."""

    def send(self, message: EmailMessage, recipient: str) -> NotSent | None:
        """Send the mail; return None once the server has accepted it.

        With ``starttls``, nothing is sent if the server does not offer TLS. With both kinds of TLS, the
        server's certificate must be trusted (``SSL_CERT_FILE`` names another list of authorities).
        """
        return self._logged_in(lambda server: server.send_message(message, message["From"], [recipient]))

    def examine(self) -> NotSent | None:
        """Connect and log in as for a mail, but send none; return None if this works."""
        return self._logged_in(lambda server: server.noop())

    def _logged_in(self, act: Callable[[smtplib.SMTP], object]) -> NotSent | None:
        done = list[bool]()

        def act_once(server: smtplib.SMTP) -> None:
            act(server)
            done.append(True)

        failure = self._tried(act_once)
        # An accepted mail is done even if closing the connection fails: a retry would send it twice.
        return None if done else failure

    def _tried(self, act: Callable[[smtplib.SMTP], object]) -> NotSent | None:
        try:
            with self._connection() as connection:
                if self.tls == "starttls":
                    connection.starttls(context=ssl.create_default_context())
                if self.user:
                    connection.login(self.user, self.password)
                act(connection)
        except smtplib.SMTPRecipientsRefused as error:
            return _refused(next(iter(error.recipients.values()))[0])
        except smtplib.SMTPResponseException as error:  # also a refused log-in
            return _refused(error.smtp_code)
        except ssl.SSLCertVerificationError:
            return NotSent("no trusted certificate", retryable=False)
        except smtplib.SMTPNotSupportedError:  # TLS, log-in, or non-ASCII addresses
            return NotSent("the server lacks what this mail needs", retryable=False)
        except smtplib.SMTPServerDisconnected:  # also when the time limit has passed
            return NotSent("no answer", retryable=True)
        except (OSError, smtplib.SMTPException) as error:
            reason = getattr(error, "strerror", None)
            return NotSent(f"no connection ({reason})" if reason else "no connection", retryable=True)
        return None

    def _connection(self) -> smtplib.SMTP:
        if self.tls == "tls":
            context = ssl.create_default_context()
            return _LimitedWithTls(
                self.host, self.port, self.greeting, timeout=self.timeout_s, context=context
            )
        return _Limited(self.host, self.port, self.greeting, timeout=self.timeout_s)


def _refused(code: int) -> NotSent:
    if code < 0:
        return NotSent("the answer is not SMTP", retryable=True)
    return NotSent(f"SMTP {code}", retryable=400 <= code < 500)
