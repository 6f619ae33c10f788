"""How often an address may try: log-in, registration, and the places that ask for the password again."""

from __future__ import annotations

from contextlib import AbstractContextManager
from ipaddress import IPv6Address, ip_address
from typing import Any

from flask import Flask, current_app, request
from flask_limiter import Limiter

from catloader.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["catloader_limits"] = Limiter(
        _address,
        app=app,
        storage_uri=settings.rate_limit_storage_url,
        headers_enabled=True,  # Retry-After
        in_memory_fallback_enabled=True,  # a counter that is away must not let everybody try for ever
        strategy="moving-window",
    )


def attempt(rate: str, scope: str) -> AbstractContextManager[Any]:
    """Count one attempt of this address.

    Raises:
        RateLimitExceeded: HTTP 429 with ``Retry-After``.
    """
    limiter: Limiter = current_app.extensions["catloader_limits"]
    counted: AbstractContextManager[Any] = limiter.limit(rate, scope=scope)
    return counted


def _address() -> str:
    """The client's address; of IPv6 its /64, which one household has whole."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return address.exploded[:19] if address.ipv4_mapped is None else str(address.ipv4_mapped)
    return str(address)
