"""The site as an app on a phone: its manifest, and photos that other apps share with it.

The service worker keeps shared photos on the phone and opens the upload page with them. So nothing is
uploaded before a person presses the button, and the token of the form protects the upload as usual.
"""

from __future__ import annotations

from flask import Blueprint, current_app, flash, jsonify, redirect, url_for
from werkzeug.wrappers import Response

from catloader.web.accounts.sessions import without_login
from catloader.web.http.forms import without_token
from catloader.web.languages import gettext

blueprint = Blueprint("phone_app", __name__)

_ICON_PX = (192, 512)
_COLOUR = "#c4561a"  # the cat's head in the icon
_BACKGROUND = "#faf8f5"
_CACHED_S = 3600


@blueprint.get("/site.webmanifest")
@without_login
def manifest() -> Response:
    icons = [
        {
            "src": url_for("static", filename=f"icon-{size}.png"),
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": purpose,
        }
        for size in _ICON_PX
        for purpose in ("any", "maskable")
    ]
    start = url_for("gallery.landing")
    response = jsonify(
        id=start,
        name="CatLoader",
        short_name="CatLoader",
        start_url=start,
        scope=start,
        display="standalone",
        theme_color=_COLOUR,
        background_color=_BACKGROUND,
        icons=icons,
        share_target={
            "action": url_for(".share"),
            "method": "POST",
            "enctype": "multipart/form-data",
            "params": {"files": [{"name": "photos", "accept": ["image/*", ".heic", ".heif", ".avif"]}]},
        },
    )
    response.mimetype = "application/manifest+json"
    response.headers["Cache-Control"] = f"public, max-age={_CACHED_S}"
    return response


@blueprint.get("/upload/share-worker.js")
@without_login
def worker() -> Response:
    """Serve the service worker below /upload/: it can handle only requests to addresses below its own."""
    response = current_app.send_static_file("share-worker.js")
    response.cache_control.no_cache = True
    return response


@blueprint.post("/upload/shared")
def share() -> Response:
    """Tell the person to share the photos again; store nothing.

    Normally the service worker handles this request on the phone, and it arrives here only if the browser has
    removed the worker. It carries no token, so it could come from any site.
    """
    flash(gettext("Your photos did not arrive. Please share them again."))
    return redirect(url_for("uploads.form"), 303)


without_token(share)
