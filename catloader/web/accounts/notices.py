"""Notices by mail of changes to an account, so that its owner learns of those that a stranger makes."""

from __future__ import annotations

from flask import g

from catloader.languages import ENGLISH
from catloader.store.db.accounts.users import User
from catloader.web.http.context import services
from catloader.web.languages import language


def notify_of(change: str, user: User) -> None:
    """Mail a change to the address that the account had before, if that was confirmed.

    The language is that of the account; if it has none, that of this request, or English if another person
    sent it, such as an administrator.

    Args:
        change: a subject of ``account_mails``, such as ``PASSWORD_CHANGED``.
    """
    mails = services().mails
    if mails is not None and user.email_confirmed_at is not None:
        is_by_other = g.user is not None and g.user.id != user.id
        mails.changed(user.email, user.language or (ENGLISH if is_by_other else language()), change)
