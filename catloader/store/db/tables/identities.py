"""The tables of identities at a provider; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

identities = Table(
    "identities",
    metadata,
    Column("issuer", String(300), primary_key=True),
    Column("subject", String(255), primary_key=True),  # the provider's id of the person
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("linked_at", UtcDateTime, nullable=False),
    Index("ix_identities_user_id", "user_id"),
)

unlinked_accounts = Table(
    "unlinked_accounts",
    metadata,
    # Only the owner can link the account with this provider again; a verified e-mail is not enough.
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("issuer", String(300), primary_key=True),
    Column("unlinked_at", UtcDateTime, nullable=False),
)
