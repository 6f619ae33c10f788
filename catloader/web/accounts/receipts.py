"""The receipt of a deleted account: a page that shows what is left of it in the object store."""

from __future__ import annotations

from flask import Blueprint, render_template

from catloader.errors import NotFound
from catloader.store.db.engine import utcnow
from catloader.web.accounts.sessions import without_login
from catloader.web.http.context import full_address, services

blueprint = Blueprint("receipts", __name__)


@blueprint.get("/deleted/<token>")
@without_login
def receipt(token: str) -> str:
    return receipt_page(token)


def receipt_page(token: str, email: str | None = None) -> str:
    """Return the page of a receipt.

    Args:
        email: address of the account, shown only this once and not stored.
    Raises:
        NotFound: there is no such receipt.
    """
    stored = services().receipts.of(token)
    if stored is None:
        raise NotFound("There is no such receipt, or it is older than a year.")
    link = full_address("receipts.receipt", token=token)
    return render_template("receipt.html", receipt=stored, token=token, email=email, link=link, now=utcnow())
