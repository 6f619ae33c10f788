"""The OpenAPI document, and the page that shows it. Both are open to everybody."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, render_template

from catloader.web.accounts.sessions import without_login
from catloader.web.api_v1.spec import document

blueprint = Blueprint("api_docs", __name__)


@blueprint.get("/openapi.json")
@without_login
def openapi() -> Response:
    response = jsonify(document())
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/docs/api")
@without_login
def page() -> str:
    return render_template("api.html", api=document())
