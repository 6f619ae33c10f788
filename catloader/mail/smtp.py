"""The SMTP client: one connection for each mail."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from catloader.answer_time import limited

_TIMEOUT_S = 15.0
"""Timeout of the connection, and of each wait for the server."""
_ANSWERS = 4
"""The answers to one mail may take so many times as long together, before and after TLS begins."""

Tls = Literal["starttls", "tls", "off"]


class _Limited(smtplib.SMTP):
    """Limits the time of all answers: a server from which bytes only drip would hold up all mails."""

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = limited(self.sock.makefile("rb"), _ANSWERS * self.timeout)
        return super().getreply()


class _LimitedWithTls(_Limited, smtplib.SMTP_SSL):
    pass


@dataclass(frozen=True, slots=True)
class NotSent:
    """The reason why a mail was not accepted, for the log; without addresses and text of the server."""

    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server. Thread-safe: it keeps no connection."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = ""
    timeout_s: float = _TIMEOUT_S

    def send(self, message: EmailMessage, recipient: str) -> NotSent | None:
        """Send the mail; None: the server has accepted it.

        With ``starttls`` nothing is sent where the server offers no TLS, and with both kinds of TLS the
        certificate must be trusted (``SSL_CERT_FILE`` names another list of authorities).
        """
        return self._logged_in(lambda server: server.send_message(message, message["From"], [recipient]))

    def examine(self) -> NotSent | None:
        """Connect and log in as for a mail, without sending one; None: that worked."""
        return self._logged_in(lambda server: server.noop())

    def _logged_in(self, act: Callable[[smtplib.SMTP], object]) -> NotSent | None:
        done = list[bool]()

        def act_once(server: smtplib.SMTP) -> None:
            act(server)
            done.append(True)

        failure = self._tried(act_once)
        return None if done else failure  # accepted, whatever follows: a second attempt would send it again

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
        except smtplib.SMTPNotSupportedError:  # TLS, a log-in, or letters beyond ASCII in the address
            return NotSent("the server lacks what this mail needs", retryable=False)
        except smtplib.SMTPServerDisconnected:  # also after the time limit
            return NotSent("no answer", retryable=True)
        except (OSError, smtplib.SMTPException) as error:
            reason = getattr(error, "strerror", None)
            return NotSent(f"no connection ({reason})" if reason else "no connection", retryable=True)
        return None

    def _connection(self) -> smtplib.SMTP:
        if self.tls == "tls":
            context = ssl.create_default_context()
            return _LimitedWithTls(self.host, self.port, timeout=self.timeout_s, context=context)
        return _Limited(self.host, self.port, timeout=self.timeout_s)


def _refused(code: int) -> NotSent:
    if code < 0:
        return NotSent("the answer is not SMTP", retryable=True)
    return NotSent(f"SMTP {code}", retryable=400 <= code < 500)
