"""The pages and the small JSON API: one blueprint per file, put together here."""

from __future__ import annotations

import atexit
from datetime import timedelta

from flask import Flask
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from catloader.settings import Settings
from catloader.web import api, auth, errors, gallery, health, labels, limits, security, sessions, uploads
from catloader.web.lingering_close import LingeringClose
from catloader.wiring import Services, build

SESSION_DAYS = 30
_FORM_BYTES = 64 * 1024
"""Limit of a form without files, and of the fields beside files, which get another 4 kB per file."""

_LINGERING_BYTES = 64 * 2**20


def make_app(services: Services) -> Flask:
    """Build the WSGI application around services that the caller starts and closes."""
    settings = services.settings
    upload_bytes = settings.max_files * (settings.max_file_bytes + 4096) + _FORM_BYTES
    app = Flask(__name__)
    app.extensions["catloader"] = services
    app.config.update(
        SECRET_KEY=services.secret_key,
        SESSION_COOKIE_NAME="catloader_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS),
        MAX_CONTENT_LENGTH=_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=_FORM_BYTES + settings.max_files * 4096,
        MAX_FORM_PARTS=2 * settings.max_files + 16,  # a file and a caption each
        # A form left open for hours must still work: the token lives as long as the session.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.session_interface = sessions.Sessions()
    app.json = security.HtmlSafeJson(app)
    labels.init_app(app)
    security.init_app(app)
    # The user is known before the form is read: without a log-in nothing of an upload is spooled.
    sessions.init_app(app)
    uploads.init_app(app, upload_bytes)
    csrf = CSRFProtect(app)
    errors.init_app(app)
    for module in (auth, uploads, gallery, api, health):
        app.register_blueprint(module.blueprint)
    limits.init_app(app, settings)
    health.mount_wake_up(app, csrf)
    app.wsgi_app = LingeringClose(app.wsgi_app, max_bytes=2 * upload_bytes + _LINGERING_BYTES)  # type: ignore[method-assign]
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_port=hops, x_prefix=hops
        )
    return app


def own_services(settings: Settings | None) -> Services:
    """Build and start services for this process; close them at exit."""
    services = build(settings or Settings.from_environment())
    services.start()
    atexit.register(services.close)
    return services
