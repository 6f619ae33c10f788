"""The display of pages: the language of the account, and the theme of this browser.

The server writes the theme into the page, so that it never flashes and needs no script.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flask import Blueprint, Flask, flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput
from catloader.languages import LANGUAGES
from catloader.web.accounts.sessions import current_user
from catloader.web.http import cookies
from catloader.web.http.context import services
from catloader.web.languages import gettext

blueprint = Blueprint("display", __name__, url_prefix="/account")

_THEMES = ("light", "dark")
_KEPT = timedelta(days=365)


def init_app(app: Flask) -> None:
    app.context_processor(lambda: {"theme": theme()})


@blueprint.post("/display")
def change() -> Response:
    """Set the language of the account and the theme of this browser; empty: follow the browser or system."""
    language, chosen = request.form.get("language", ""), request.form.get("theme", "")
    if language and language not in LANGUAGES:
        raise InvalidInput("Choose one of the languages of this site.")
    if chosen and chosen not in _THEMES:
        raise InvalidInput("Choose one of the three themes.")
    user = current_user()
    services().users.set_language(user.id, language or None)
    g.user = replace(user, language=language or None)  # the message is in the new language
    if chosen:
        cookies.set_cookie(cookies.THEME, chosen, _KEPT)
    else:
        cookies.delete_cookie(cookies.THEME)
    flash(gettext("Display saved."))
    return redirect(url_for("auth.account") + "#display", 303)


def theme() -> str:
    """Return the theme that this browser keeps; "" for that of the system."""
    kept = cookies.read(cookies.THEME) or ""
    return kept if kept in _THEMES else ""
