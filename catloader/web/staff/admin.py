"""Pages of administrators: accounts, invitations, and the audit log. Other users get 404."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import cast

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from catloader.errors import InvalidInput, NotFound
from catloader.mail.account_mails import FACTOR_REMOVED
from catloader.store.db.engine import utcnow
from catloader.store.db.staff.administration import Account, AnyRole
from catloader.web.accounts.notices import notify_of
from catloader.web.accounts.sessions import current_user
from catloader.web.http.context import MAX_ID, full_address, services, whole_number
from catloader.web.http.forms import chosen
from catloader.web.languages import gettext
from catloader.web.photos.labels import shown_role
from catloader.web.staff.acts import shown_act, shown_actor, shown_target

logger = logging.getLogger(__name__)
blueprint = Blueprint("admin", __name__, url_prefix="/admin")
for text_filter in (shown_act, shown_actor, shown_target):
    blueprint.add_app_template_filter(text_filter)

_PAGE = 50
_MB = 2**20
_USER = f"/users/<int(max={MAX_ID}):id>"


@blueprint.before_request
def administrators_only() -> None:
    if not current_user().is_admin:
        abort(404)


@blueprint.get("/users")
def users() -> str:
    after, query = number_of(request.args.get("after", "")) or 0, request.args.get("q", "").strip()[:254]
    accounts = services().administration.page(after, _PAGE + 1, query)
    shown = accounts[:_PAGE]
    return render_template(
        "admin_users.html",
        accounts=shown,
        query=query,
        next=shown[-1].user.id if len(accounts) > _PAGE else None,
        registration=services().settings.registration,
    )


@blueprint.get(_USER)
def user(id: int) -> str:
    return render_template(
        "admin_user.html",
        account=_account(id),
        quota=services().quotas.of(id),
        has_second_factor=services().second_factors.of(id) is not None,
        mb=_MB,
    )


@blueprint.post(f"{_USER}/role")
def set_role(id: int) -> Response:
    role = request.form.get("role")
    if role not in ("user", "reviewer", "admin"):
        raise InvalidInput("Choose one of the three roles.")
    account = _other_account(id)
    services().administration.set_role(id, cast(AnyRole, role), current_user().id, utcnow())
    sentence = gettext(
        "%(email)s now has the role %(role)s.", email=account.user.email, role=shown_role(role)
    )
    return _changed(account, sentence)


@blueprint.post(f"{_USER}/access")
def set_access(id: int) -> Response:
    """Disable the account, which ends its sessions, or enable it."""
    account, admin = _other_account(id), current_user()
    if chosen("access", "enable", "disable") == "enable":
        services().administration.enable(id, admin.id, utcnow())
        return _changed(account, gettext("%(email)s can log in again.", email=account.user.email))
    services().administration.disable(id, admin.id, utcnow())
    return _changed(account, gettext("%(email)s is logged out and can't log in.", email=account.user.email))


@blueprint.post(f"{_USER}/quota")
def set_quota(id: int) -> Response:
    """Set the limits of an account. An empty field means the site's setting, 0 means no limit."""
    account = _account(id)
    photos, megabytes = (_limit(request.form.get(name, "")) for name in ("photos", "megabytes"))
    size_bytes = None if megabytes is None else megabytes * _MB
    services().administration.set_quota(id, photos, size_bytes, current_user().id, utcnow())
    return _changed(account, gettext("Quota saved."))


@blueprint.post(f"{_USER}/password-link")
def password_link(id: int) -> str:
    """Make a link to set a new password, and show it. It can't be shown again."""
    account, minutes = _account(id), services().settings.password_link_minutes
    if id == current_user().id:  # the account page asks for the old password, a link does not
        raise InvalidInput("Change your own password on the account page.")
    expires_at = utcnow() + timedelta(minutes=minutes)
    token = services().one_time_links.reset(id, current_user().id, utcnow(), expires_at)
    logger.info("administrator %d made a password link for user %d", current_user().id, id)
    return render_template(
        "one_time_link.html",
        title=gettext("New password for %(email)s", email=account.user.email),
        link=full_address("password_link.form", token=token),
        expires_at=expires_at,
        back=url_for(".user", id=id),
    )


@blueprint.post(f"{_USER}/second-factor/remove")
def reset_second_factor(id: int) -> Response:
    """Remove the second factor of a person who has lost both phone and recovery codes."""
    account = _other_account(id)
    if services().second_factors.reset(id, current_user().id, utcnow()):
        notify_of(FACTOR_REMOVED, account.user)
    return _changed(account, gettext("%(email)s logs in with the password alone.", email=account.user.email))


@blueprint.post("/invitations")
def invite() -> str:
    """Make an invitation, and show its link. It can't be shown again."""
    expires_at = utcnow() + timedelta(days=services().settings.invitation_days)
    token = services().one_time_links.invite(current_user().id, utcnow(), expires_at)
    logger.info("administrator %d made an invitation", current_user().id)
    return render_template(
        "one_time_link.html",
        title=gettext("Invitation"),
        link=full_address("auth.register", invitation=token),
        expires_at=expires_at,
        back=url_for(".users"),
    )


@blueprint.get("/audit")
def audit() -> str:
    before = number_of(request.args.get("before", ""))
    entries = services().audit_log.page(before, _PAGE + 1)
    shown = entries[:_PAGE]
    return render_template(
        "admin_audit.html", entries=shown, next=shown[-1].id if len(entries) > _PAGE else None
    )


def _account(id: int) -> Account:
    account = services().administration.account(id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


def _other_account(id: int) -> Account:
    """Return an account.

    Raises:
        InvalidInput: it is the administrator's own. So the last administrator can't lose access.
    """
    account = _account(id)
    if id == current_user().id:
        raise InvalidInput("You can't change your own role or access.")
    return account


def _changed(account: Account, sentence: str) -> Response:
    logger.info("administrator %d changed user %d", current_user().id, account.user.id)
    flash(sentence)
    return redirect(url_for(".user", id=account.user.id), 303)


def _limit(text: str) -> int | None:
    text = text.strip()
    number = whole_number(text)
    if text and number is None:
        raise InvalidInput("Enter a whole number, or leave the field empty for the site's setting.")
    if number is not None and number > MAX_ID:
        raise InvalidInput("A limit can be at most %(number)d; 0 removes it.", number=MAX_ID)
    return number


def number_of(text: str, highest: int = MAX_ID) -> int | None:
    """Return the number in a request, at most ``highest``; None if the text is not a number."""
    number = whole_number(text)
    return None if number is None else min(number, highest)
