"""Mails that notify the owner of an account of changes to it, in case a stranger has made them."""

from __future__ import annotations

from flask import g

from catloader.languages import ENGLISH
from catloader.store.db.accounts.users import User
from catloader.web.http.context import services
from catloader.web.languages import language


def notify_of(change: str, user: User) -> None:
    """Send a notice to the address that the account had before the change, if it was confirmed.

    The mail is in the language of the account. If it has none, the mail is in the language of this request,
    or in English if another person sent the request, such as an administrator.

    Args:
        change: a subject of ``account_mails``, such as ``PASSWORD_CHANGED``.
        user: the account as it was before the change.
    """
    mails = services().mails
    if mails is not None and user.email_confirmed_at is not None:
        is_by_other = g.user is not None and g.user.id != user.id
        mails.changed(user.email, user.language or (ENGLISH if is_by_other else language()), change)
