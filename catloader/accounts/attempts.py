"""Limits on attempts to log in and to register: per account and per network, counted in the database."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from limits import parse_many

from catloader.errors import TooManyAttempts
from catloader.store.db.accounts.attempts import Attempts, Rate
from catloader.store.db.accounts.users import normal_email

_IPV4_PREFIX = 24
_IPV6_PREFIX = 48
"""Sizes of the network that one person may control. Providers assign a customer up to a /48 of IPv6 (65 536
household networks). A /24 is the smallest IPv4 network that is routed separately, so it can be rented.
Neighbours share the limit of a network, so it is higher than the limit of an account.
"""


@dataclass(frozen=True, slots=True)
class PasswordAttempt:
    """A counted attempt, cancelled for the account when the password is right."""

    key: str
    at: datetime


class AttemptLimits:
    """Limits on the number of evaluated attempts, shared by all processes.

    Args:
        secret: key of the HMACs under which attempts are counted. E-mails are not stored in plain text,
            because people type passwords into the field for the e-mail.
        account_rate: wrong passwords for one account, existing or not, from anywhere.
        network_rate: attempts from one network, right or wrong.
        register_rate: sign-ups from one network, and mails requested from it.
        mail_rate: mails to one address, requested from anywhere.
    """

    def __init__(
        self,
        attempts: Attempts,
        secret: str,
        *,
        account_rate: str,
        network_rate: str,
        register_rate: str,
        mail_rate: str,
    ) -> None:
        self._attempts, self._secret = attempts, secret.encode()
        self._account, self._network, self._register, self._mail = map(
            _rates, (account_rate, network_rate, register_rate, mail_rate)
        )
        rates = (*self._account, *self._network, *self._register, *self._mail)
        self._longest_s = max(rate.window_s for rate in rates)

    def begin_password(self, email: str, address: str, now: datetime) -> PasswordAttempt:
        """Count an attempt before the password is compared.

        Raises:
            TooManyAttempts: the password must not be evaluated, right or wrong.
        """
        return self._begin("account", email, address, now)

    def begin_confirmation(self, user_id: int, address: str, now: datetime) -> PasswordAttempt:
        """Count a password with which a logged-in person confirms an action.

        It is counted separately from log-ins, because strangers can use up the limit of log-ins.

        Raises:
            TooManyAttempts: the password must not be evaluated, right or wrong.
        """
        return self._begin("confirm", str(user_id), address, now)

    def begin_code(self, email: str, address: str, now: datetime) -> PasswordAttempt:
        """Count a code of the second step, with the limit of passwords but separately from them.

        Raises:
            TooManyAttempts: the code must not be evaluated, right or wrong.
        """
        return self._begin("code", email, address, now)

    def _begin(self, kind: str, name: str, address: str, now: datetime) -> PasswordAttempt:
        attempt = PasswordAttempt(self._key(kind, normal_email(name)), now)
        self._reserve(
            {attempt.key: self._account, self._key("network", network(address)): self._network}, now
        )
        return attempt

    def begin_network(self, address: str, now: datetime) -> None:
        """Count an attempt whose account is not known yet.

        Raises:
            TooManyAttempts: too many from this network.
        """
        self._reserve({self._key("network", network(address)): self._network}, now)

    def succeeded(self, attempt: PasswordAttempt) -> None:
        """Cancel the account's count of an attempt whose password was right.

        The network's count stays, because it limits the load.
        """
        self._attempts.cancel(attempt.key, attempt.at)

    def begin_sign_up(self, address: str, now: datetime) -> None:
        """Count a sign-up.

        Raises:
            TooManyAttempts: too many from this network.
        """
        self._reserve({self._key("sign-up", network(address)): self._register}, now)

    def begin_mail(self, email: str, address: str, now: datetime) -> None:
        """Count a requested mail, to an address with or without an account.

        Raises:
            TooManyAttempts: too many to this address, or from this network.
        """
        rates = {
            self._key("mail", normal_email(email)): self._mail,
            self._key("mails", network(address)): self._register,
        }
        self._reserve(rates, now)

    def begin_notice(self, email: str, now: datetime) -> None:
        """Count a notification that an account has chosen to receive, separately from requested mails.

        Raises:
            TooManyAttempts: too many to this address.
        """
        self._reserve({self._key("notice", normal_email(email)): self._mail}, now)

    def wrong_token(self, address: str, now: datetime) -> None:
        """Count an API token that does not exist; an existing token is never counted.

        Raises:
            TooManyAttempts: too many from this network.
        """
        self._reserve({self._key("token", network(address)): self._network}, now)

    def _reserve(self, rates: dict[str, list[Rate]], now: datetime) -> None:
        wait_s = self._attempts.reserve(rates, now, self._longest_s)
        if wait_s is not None:
            raise TooManyAttempts(wait_s)

    def _key(self, kind: str, name: str) -> str:
        digest = hmac.new(self._secret, f"{kind}:{name}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{kind}:{digest.hexdigest()}"


def network(address: str) -> str:
    """Return the network of an IP address (IPv4 /24, IPv6 /48); "unknown" if the address is invalid."""
    try:
        parsed = ip_address(_without_port(address))
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = _IPV4_PREFIX if parsed.version == 4 else _IPV6_PREFIX
    return str(ip_network(f"{parsed.compressed.partition('%')[0]}/{prefix}", strict=False))


def _without_port(address: str) -> str:
    """Return the address alone: some proxies write ``203.0.113.7:51322`` or ``[2001:db8::7]:443``."""
    match = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*)(?::\d+)?", address)
    return (match[1] or match[2] or "") if match else address


def _rates(text: str) -> list[Rate]:
    return [Rate(item.amount, item.get_expiry()) for item in parse_many(text)]
