"""Headers of reverse proxies, trusted as far as the settings allow, and host names of the site."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from catloader.errors import UnknownHost
from catloader.settings import Settings
from catloader.settings.kinds import split
from catloader.web.http.context import for_log, host_name

View = TypeVar("View", bound=Callable[..., Any])

_PREFIX = "HTTP_X_FORWARDED_PREFIX"
_SCHEME = "HTTP_X_FORWARDED_PROTO"
_HOST = "HTTP_X_FORWARDED_HOST"
_ADDRESS = "HTTP_X_FORWARDED_FOR"
_PLAIN_PATH = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9._~-]+)*/?")
"""Path segments of plain characters. A prefix ``//evil.example`` would send all links to that host."""
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names that health checks and the site's own wake-ups use."""


class PlainHeaders:
    """WSGI middleware that cleans the headers of proxies.

    It removes quotes, and prefixes that are not plain paths. It writes schemes in lower case, and ``wss`` as
    ``https``.
    """

    def __init__(self, app: Any, hops: int) -> None:
        self._app, self._hops = app, hops

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        for name in (_PREFIX, _SCHEME, _HOST, _ADDRESS):
            if name in environ:  # commas in quotes separate no entries, and would be miscounted
                environ[name] = environ[name].replace('"', "")
        prefixes = [part.strip() for part in environ.get(_PREFIX, "").split(",")]
        if all(_PLAIN_PATH.fullmatch(prefix) for prefix in prefixes):
            environ[_PREFIX] = ",".join(prefix.rstrip("/") for prefix in prefixes)
        else:
            del environ[_PREFIX]
        if scheme := environ.get(_SCHEME):
            environ[_SCHEME] = scheme.lower().replace("wss", "https")
        for name in (_PREFIX, _SCHEME, _HOST):
            self._fill(environ, name)
        return self._app(environ, start_response)

    def _fill(self, environ: dict[str, Any], name: str) -> None:
        """Repeat the first entry if there are fewer entries than proxies: most proxies replace the header."""
        entries = environ.get(name, "").split(",")
        if entries != [""] and len(entries) < self._hops:
            environ[name] = ",".join([entries[0]] * (self._hops - len(entries)) + entries)


def wrap(app: Flask, settings: Settings) -> None:
    """Trust the configured number of proxies. Ports are ignored: no link of the site contains one."""
    if hops := settings.trusted_proxies:
        fixed = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_port=0, x_prefix=hops)
        app.wsgi_app = PlainHeaders(fixed, hops)  # type: ignore[method-assign]


def under_any_name(view: View) -> View:
    """Mark a view for probes: it accepts any host name, because probes use the address of a machine."""
    view.under_any_name = True  # type: ignore[attr-defined]
    return view


def init_app(app: Flask, settings: Settings) -> None:
    trusted = [*split(settings.trusted_hosts.lower()), *_OWN_NAMES, settings.host]

    @app.before_request
    def refuse_unknown_hosts() -> None:
        if getattr(app.view_functions.get(request.endpoint or ""), "under_any_name", False):
            return
        name = host_name(f"//{request.host}")
        if settings.trusted_hosts and not any(_matches(name, pattern) for pattern in trusted):
            raise UnknownHost(
                "This site does not answer under the name %(name)s (CATLOADER_TRUSTED_HOSTS).",
                name=for_log(name),
            )


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or (pattern.startswith(".") and name.endswith(pattern))
