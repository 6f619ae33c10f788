"""The mails about accounts: links for a new password and to confirm the address, and notices of changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

from catloader.languages import ENGLISH, gettext_noop, translations
from catloader.mail.outbox import Mail, Outbox
from catloader.mail.smtp import SmtpServer
from catloader.settings import Settings
from catloader.store.db.accounts.one_time_links import OneTimeLinks
from catloader.store.db.accounts.users import Users, normal_email
from catloader.store.db.engine import utcnow

_RESET_SUBJECT = gettext_noop("New password")
_RESET = gettext_noop(
    """\
Somebody, probably you, asked for a new password for your account at
{site}

Set it here within {time}; the link works once:
{site}/new-password/{token}

If it was not you, ignore this mail: your password stays as it is.
"""
)
_CONFIRM_SUBJECT = gettext_noop("Confirm your e-mail address")
_CONFIRM = gettext_noop(
    """\
This address was given for an account at
{site}

If it was you, confirm it here within {time}, in a browser in which you are logged in:
{site}/confirm-email/{token}

If it was not you, ignore this mail.
"""
)
_KNOWN_SUBJECT = gettext_noop("You already have an account")
_KNOWN = gettext_noop(
    """\
Somebody, probably you, tried to create an account with this address at
{site}

You already have an account there. If you have forgotten its password:
{site}/forgotten-password

If it was not you, ignore this mail: nothing was changed.
"""
)
_REVIEWED_SUBJECT = gettext_noop("A reviewer has decided about your photo")
_REVIEWED = gettext_noop(
    """\
A reviewer has decided about a photo of yours at
{site}

The result, and what the reviewer wrote:
{site}/photos/{token}

You get this mail because you turned on notifications. To turn them off:
{site}/account#notices
"""
)
_SEVERAL_REVIEWED_SUBJECT = gettext_noop("A reviewer has decided about several of your photos")
_SEVERAL_REVIEWED = gettext_noop(
    """\
A reviewer has decided about several photos of yours at
{site}

The results, and what the reviewer wrote:
{token}

You get this mail because you turned on notifications. To turn them off:
{site}/account#notices
"""
)
_MOST_LINKS = 50
"""Maximum number of photos that one mail links to."""
PASSWORD_CHANGED = gettext_noop("The password of your account was changed")
EMAIL_CHANGED = gettext_noop("The e-mail address of your account was changed")
PASSKEY_ADDED = gettext_noop("A passkey was added to your account")
PASSKEY_REMOVED = gettext_noop("A passkey was removed from your account")
PROVIDER_LINKED = gettext_noop("Your account was linked with a log-in through another site")
PROVIDER_UNLINKED = gettext_noop("The log-in through another site was removed from your account")
TOKEN_CREATED = gettext_noop("An API token was created for your account")
FACTOR_ADDED = gettext_noop("A second factor was added to your account")
FACTOR_REMOVED = gettext_noop("The second factor of your account was removed")
"""Subjects of the mails about changes by which a stranger could take over an account."""
_CHANGED = gettext_noop(
    """\
{subject}:
{site}

If it was you, ignore this mail. If it was not you, set a new password:
{site}/forgotten-password

If that is not possible any more, ask the administrator of the site.
"""
)


@dataclass(frozen=True, slots=True)
class AccountMails:
    """Mails to the address of an account.

    Each method only queues a mail. The account is looked up in the outbox's thread, so the time that a method
    takes does not reveal whether the address has an account. The argument ``language`` is the language of the
    request, which is used if the account has chosen none.
    """

    outbox: Outbox
    links: OneTimeLinks
    users: Users
    site: str
    """Address of the site, without a slash at the end."""
    sender: str
    minutes: float
    """Validity of a link, from the moment at which the mail is sent."""
    collected: dict[int, list[int]] = field(default_factory=dict)
    """Owner id -> ids of the photos in the mail that is queued for this owner."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def password_link(self, email: str, language: str) -> None:
        """Send a link for a new password, if an account that may log in has this address."""

        def write() -> Mail | None:
            token = self.links.mailed_reset(email, *self._times())
            return self._mail(email, language, _RESET_SUBJECT, _RESET, token) if token else None

        self.outbox.put(write)

    def confirmation(self, email: str, language: str) -> None:
        """Send a link that confirms the address, unless it is confirmed already."""

        def write() -> Mail | None:
            token = self.links.mailed_confirmation(email, *self._times())
            return self._mail(email, language, _CONFIRM_SUBJECT, _CONFIRM, token) if token else None

        self.outbox.put(write)

    def known(self, email: str, language: str) -> None:
        """Notify an address used in a sign-up that it has an account already."""

        def write() -> Mail | None:
            has_account = self.users.by_email(email) is not None
            return self._mail(email, language, _KNOWN_SUBJECT, _KNOWN, "") if has_account else None

        self.outbox.put(write)

    def changed(self, email: str, language: str, subject: str) -> None:
        """Notify an address of a change to its account; ``subject`` is one such as ``PASSWORD_CHANGED``."""
        self.outbox.put(lambda: self._mail(email, language, subject, _CHANGED, ""))

    def reviewed(self, owner_id: int, photo_id: int, after_s: float = 0.0) -> None:
        """Notify a photo's owner of a reviewer's decision, if they chose notifications.

        Args:
            after_s: delay before the mail is sent. Decisions on other photos of the owner that are made
                meanwhile are added to the same mail, which links to at most ``_MOST_LINKS`` photos.
        """
        with self._lock:
            collected = self.collected.get(owner_id)
            if collected is not None:
                if photo_id not in collected:
                    collected.append(photo_id)
                return
            photo_ids = self.collected[owner_id] = [photo_id]

        def write() -> Mail | None:
            with self._lock:  # on a retry, the entry may belong to the owner's next mail
                if self.collected.get(owner_id) is photo_ids:
                    del self.collected[owner_id]
            owner = self.users.by_id(owner_id)
            if owner is None or not owner.gets_notices:
                return None
            if len(photo_ids) == 1:
                return self._mail(owner.email, ENGLISH, _REVIEWED_SUBJECT, _REVIEWED, str(photo_id))
            links = "\n".join(f"{self.site}/photos/{id}" for id in photo_ids[:_MOST_LINKS])
            return self._mail(owner.email, ENGLISH, _SEVERAL_REVIEWED_SUBJECT, _SEVERAL_REVIEWED, links)

        if not self.outbox.put(write, after_s):
            with self._lock:
                del self.collected[owner_id]

    def _times(self) -> tuple[datetime, datetime]:
        now = utcnow()
        return now, now + timedelta(minutes=round(self.minutes))

    def _mail(self, email: str, language: str, subject: str, text: str, token: str) -> Mail:
        # Address quotes characters that would otherwise start a second recipient.
        local, _, domain = normal_email(email).partition("@")
        recipient = Address(username=local, domain=domain)
        message = EmailMessage()
        account = self.users.by_email(email)
        texts = translations((account.language if account else None) or language)
        subject = texts.gettext(subject)
        message["From"], message["To"], message["Subject"] = self.sender, recipient, subject
        message["Date"], message["Message-ID"] = (
            formatdate(),
            make_msgid(domain=self.sender.partition("@")[2]),
        )
        message["Auto-Submitted"] = "auto-generated"  # suppresses automatic replies
        minutes = round(self.minutes)
        time = texts.ngettext("%(num)d minute", "%(num)d minutes", minutes) % {"num": minutes}
        values = {"site": self.site, "token": token, "time": time, "subject": subject}
        message.set_content(texts.gettext(text).format(**values))
        return Mail(message, recipient.addr_spec)


def build_mails(settings: Settings, links: OneTimeLinks, users: Users) -> AccountMails | None:
    """Make the mails and their outbox; None if ``CATLOADER_SMTP_HOST`` is not set."""
    server = build_smtp_server(settings)
    if server is None:
        return None
    site, minutes = settings.public_url.rstrip("/"), settings.mail_link_minutes
    return AccountMails(Outbox(server.send), links, users, site, settings.smtp_sender, minutes)


def build_smtp_server(settings: Settings) -> SmtpServer | None:
    """Make the client of the mail server; None if ``CATLOADER_SMTP_HOST`` is not set."""
    if not settings.smtp_host:
        return None
    return SmtpServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_tls,
        settings.smtp_user,
        settings.smtp_password.get_secret_value(),
        greeting=_greeting(settings.public_url),
    )


def _greeting(public_url: str) -> str | None:
    """Return the site's host name; None if it has only an address, or a name of a local network.

    Some mail servers refuse a greeting with a name that does not exist outside, such as a container's.
    """
    host = (urlsplit(public_url).hostname or "").encode("idna").decode()
    is_public = "." in host and not host.rpartition(".")[2].isdecimal()
    return host if is_public else None
