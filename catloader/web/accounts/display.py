"""The display of pages: the language of the account, and the theme of this browser.

The server writes the theme into each page, so that they do not flash in the other one, and need no script.
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
    app.context_processor(lambda: {"theme": stored_theme()})


@blueprint.post("/display")
def change() -> Response:
    """Set the language of the account and the theme of this browser; empty: follow the browser or system."""
    language, theme = request.form.get("language", ""), request.form.get("theme", "")
    if language and language not in LANGUAGES:
        raise InvalidInput("Choose one of the languages of this site.")
    if theme and theme not in _THEMES:
        raise InvalidInput("Choose one of the three themes.")
    user = current_user()
    services().users.set_language(user.id, language or None)
    g.user = replace(user, language=language or None)  # so that the message is in the new language
    if theme:
        cookies.set_cookie(cookies.THEME, theme, _KEPT)
    else:
        cookies.delete_cookie(cookies.THEME)
    flash(gettext("Display saved."))
    return redirect(url_for("auth.account") + "#display", 303)


def stored_theme() -> str:
    """Return the theme in this browser's cookie; "" to follow the system."""
    theme = cookies.read(cookies.THEME) or ""
    return theme if theme in _THEMES else ""
