"""The site as an app on a phone: its manifest, and photos that other apps share with it.

The service worker keeps shared photos on the phone and opens the upload page with them, so nothing is
uploaded before a person presses the button, and the form's token protects the upload as usual.
"""

from __future__ import annotations

from flask import Blueprint, current_app, flash, jsonify, redirect, url_for
from werkzeug.wrappers import Response

from catloader.web.accounts.sessions import without_login
from catloader.web.http.forms import without_token
from catloader.web.languages import gettext

blueprint = Blueprint("phone_app", __name__)

_ICON_PX = (192, 512)
_COLOUR = "#c4561a"  # of the cat's head in the icon
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
    answer = jsonify(
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
    answer.mimetype = "application/manifest+json"
    answer.headers["Cache-Control"] = f"public, max-age={_CACHED_S}"
    return answer


@blueprint.get("/upload/share-worker.js")
@without_login
def worker() -> Response:
    """Serve the worker below /upload/, because its scope is limited to addresses below its own."""
    answer = current_app.send_static_file("share-worker.js")
    answer.cache_control.no_cache = True
    return answer


@blueprint.post("/upload/shared")
def share() -> Response:
    """Store nothing: normally the service worker handles this request on the phone, unless it was removed.

    The request brings no token, so whoever sends it could be any site.
    """
    flash(gettext("Your photos did not arrive. Please share them again."))
    return redirect(url_for("uploads.form"), 303)


without_token(share)
