"""How often one may try: to log in, to register, and where the password is asked for again."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from flask import Flask, request
from flask_limiter import Limiter
from limits import parse_many
from limits.errors import ConfigurationError

from catloader.errors import SettingError
from catloader.settings import Settings
from catloader.web.sessions import current_user


def init_app(app: Flask, settings: Settings) -> None:
    """After the blueprints: wraps the views that are counted. Too many: HTTP 429 with ``Retry-After``.

    Raises:
        SettingError: a rate that nobody can read (the library would just not limit), or a place to
            count in that needs a package which is not there.
    """
    try:
        limiter = Limiter(
            _address,
            app=app,
            storage_uri=settings.rate_limit_storage_url.get_secret_value(),
            headers_enabled=True,
            in_memory_fallback_enabled=True,  # a counter that is away must not let everybody try for ever
            strategy="moving-window",
        )
    except ConfigurationError as error:
        raise SettingError(f"CATLOADER_RATE_LIMIT_STORAGE_URL: {error}") from error
    log_in = limiter.limit(_rate("CATLOADER_LOGIN_RATE", settings.login_rate))
    register = limiter.limit(_rate("CATLOADER_REGISTER_RATE", settings.register_rate))
    # Here it is known who asks, and that is whose password may be guessed; from wherever.
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


def _address() -> str:
    """The client's address; of IPv6 its /64, which one household has whole."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return address.exploded[:19] if address.ipv4_mapped is None else str(address.ipv4_mapped)
    return str(address)
