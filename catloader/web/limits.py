"""Rate limits for logging in, registering, and every form that asks for the password again."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from limits import parse_many
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

from catloader.errors import SettingError
from catloader.settings import Settings
from catloader.web.sessions import current_user


def init_app(app: Flask, settings: Settings) -> None:
    """Wrap the limited views; call it after the blueprints are registered.

    A request over the limit gets HTTP 429 with ``Retry-After``.

    Raises:
        SettingError: a rate that cannot be parsed (the library would silently not limit), or a
            storage whose package is not installed.
    """
    try:
        limiter = Limiter(
            _address,
            app=app,
            storage_uri=settings.rate_limit_storage_url.get_secret_value(),
            headers_enabled=True,
            in_memory_fallback_enabled=True,  # limits also hold while the shared storage is away
            strategy="moving-window",
        )
    except ConfigurationError as error:
        raise SettingError(f"CATLOADER_RATE_LIMIT_STORAGE_URL cannot be used: {_reason(error)}.") from error
    log_in = limiter.limit(_rate("CATLOADER_LOGIN_RATE", settings.login_rate))
    register = limiter.limit(_rate("CATLOADER_REGISTER_RATE", settings.register_rate))
    # The user is known here, so guesses count per account, from whatever address.
    password = limiter.shared_limit(settings.login_rate, "password", key_func=lambda: str(current_user().id))
    for endpoint, counted in (
        ("auth.do_login", log_in),
        ("auth.do_register", register),
        ("auth.change_password", password),
        ("auth.delete_account", password),
    ):
        view: Any = app.view_functions[endpoint]
        app.view_functions[endpoint] = counted(view)


def _rate(variable: str, rate: str) -> str:
    try:
        parse_many(rate)
    except ValueError as error:
        raise SettingError(
            f"{variable} is {rate!r}; it takes rates such as 10 per minute; 100 per hour."
        ) from error
    return rate


def check_limits(settings: Settings) -> None:
    """Refuse what ``init_app`` would refuse, before any process is forked.

    Raises:
        SettingError: as ``init_app`` does.
    """
    _rate("CATLOADER_LOGIN_RATE", settings.login_rate)
    _rate("CATLOADER_REGISTER_RATE", settings.register_rate)
    storage = settings.rate_limit_storage_url.get_secret_value()
    if not storage.startswith("memory:"):  # that one starts a thread
        try:
            storage_from_string(storage)
        except ConfigurationError as error:
            raise SettingError(
                f"CATLOADER_RATE_LIMIT_STORAGE_URL cannot be used: {_reason(error)}."
            ) from error


def _reason(error: ConfigurationError) -> str:
    """Return the library's reason without the URL, which may hold a password."""
    missing = re.match(r"'(\w+)' prerequisite not available", str(error))
    if missing is None:
        return str(error).partition(" : ")[0].rstrip(".")
    package = missing[1]
    command = "pip install 'catloader[redis]'" if package == "redis" else f"pip install {package}"
    return f"it needs the package {package}: {command}"


def _address() -> str:
    """Return the client's address; for IPv6 the /64 prefix, which usually belongs to one household."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return address.exploded[:19] if address.ipv4_mapped is None else str(address.ipv4_mapped)
    return str(address)
