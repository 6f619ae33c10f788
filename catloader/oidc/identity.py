"""A person, as confirmed by the provider."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as the provider vouches for."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
