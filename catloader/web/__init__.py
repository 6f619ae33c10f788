"""The Flask application: the pages and the JSON API, with one blueprint per module."""

from __future__ import annotations

import atexit

from flask import Flask

from catloader.settings import Settings
from catloader.settings.bounds import FORM_BYTES
from catloader.web import api, api_v1, health, languages, metrics, phone_app, wake_ups
from catloader.web.accounts import (
    account,
    auth,
    display,
    mailed_links,
    oidc,
    passkeys,
    password_link,
    receipts,
    second_factor_pages,
    second_step,
    sessions,
    tokens,
)
from catloader.web.http import (
    bearer,
    cookies,
    errors,
    forms,
    proxies,
    request_log,
    security,
    slashes,
    static_files,
)
from catloader.web.photos import album, bin, editing, gallery, jpegs, labels, photo, sharing
from catloader.web.staff import (
    admin,
    dashboard,
    failed,
    model_page,
    random_audit,
    review,
    storage,
    takedowns,
    thresholds,
)
from catloader.web.uploads import admission, form_parser, resumable, uploads
from catloader.wiring import Services, build


def make_app(services: Services) -> Flask:
    """Build the WSGI application around services that the caller starts and closes."""
    settings = services.settings
    upload_bytes = settings.max_files * (settings.max_file_bytes + 4096) + FORM_BYTES
    photo_bytes = settings.max_file_bytes + FORM_BYTES
    app = Flask(__name__)
    app.extensions["catloader"] = services
    app.config.update(
        DEBUG=False,  # whatever FLASK_DEBUG says: errors would not get the site's pages
        SECRET_KEY=services.secret_key,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES + settings.max_files * 4096,
        MAX_FORM_PARTS=2 * settings.max_files + 16,  # each photo has a file and a caption
    )
    app.request_class = form_parser.StrictRequest
    app.session_interface = cookies.Notes()
    app.json = security.HtmlSafeJson(app)
    request_log.init_app(app, settings)
    metrics.init_app(app)
    languages.init_app(app)
    display.init_app(app)
    labels.init_app(app)
    jpegs.init_app(app)
    security.init_app(app)
    static_files.init_app(app)
    proxies.init_app(app, settings)
    slashes.init_app(app)
    # Users are identified before forms are parsed, so that uploads without a log-in are not written to disk.
    sessions.init_app(app)
    bearer.init_app(app)
    uploads.init_app(app, upload_bytes)
    resumable.init_app(app, photo_bytes)
    api_v1.init_app(app, photo_bytes)
    editing.init_app(app, photo_bytes)
    admission.init_app(app, uploads_at_once=settings.max_uploads_at_once)
    forms.init_app(app)
    errors.init_app(app)
    account.init_app(app)
    oidc.init_app(app)
    for module in (
        auth,
        account,
        display,
        tokens,
        uploads,
        resumable,
        phone_app,
        gallery,
        photo,
        editing,
        receipts,
        bin,
        sharing,
        jpegs,
        album,
        review,
        takedowns,
        random_audit,
        admin,
        dashboard,
        failed,
        model_page,
        thresholds,
        storage,
        password_link,
        mailed_links,
        second_step,
        oidc,
        passkeys,
        second_factor_pages,
        api,
        health,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(metrics.metrics_blueprint(services))
    health.mount_wake_up(app)
    wake_ups.mount(app)
    app.extensions[admission.RULES] = admission.Rules(
        app, form_bytes=FORM_BYTES, upload_bytes=upload_bytes, photo_bytes=photo_bytes
    )
    proxies.wrap(app, settings)
    return app


def own_services(settings: Settings | None) -> Services:
    """Build and start the services of this process, and close them at exit."""
    services = build(settings or Settings.from_environment())
    services.start()
    atexit.register(services.close)
    return services
