"""A person, as confirmed by the provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """One person at one provider. ``subject`` never changes; the e-mail address may."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
