"""Rows for the servers that log-ins depend on: the mail server and the OpenID provider."""

from __future__ import annotations

from collections.abc import Iterator

from catloader.doctor.rows import Row, examined
from catloader.errors import ProviderUnavailable
from catloader.mail.account_mails import build_smtp_server
from catloader.oidc.faults import fault_of
from catloader.oidc.provider import build_provider
from catloader.settings import Settings


def rows(settings: Settings) -> Iterator[Row]:
    yield examined("mail server", lambda: _mail(settings))
    yield examined("log-in provider", lambda: _provider(settings))


def _mail(settings: Settings) -> Row | str:
    server = build_smtp_server(settings)
    if server is None:
        return "The site sends no mail; administrators hand out links (CATLOADER_SMTP_HOST)."
    address = f"{settings.smtp_host}:{settings.smtp_port}"
    if failure := server.examine():
        return Row("mail server", "failed", f"{address} accepts no mail: {failure.reason}.")
    return f"{address} answers{' and accepts the log-in' if settings.smtp_user else ''}; no mail was sent."


def _provider(settings: Settings) -> Row | str:
    provider = build_provider(settings)
    if provider is None:
        return "People log in with passwords and passkeys only (CATLOADER_OIDC_ISSUER)."
    try:
        provider.examine()
    except ProviderUnavailable as error:
        return Row("log-in provider", "failed", fault_of(provider.issuer, error.__cause__))
    return f"{provider.issuer} answers, and its keys can be read."
