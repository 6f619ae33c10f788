"""The tables of administration; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

one_time_links = Table(
    "one_time_links",
    metadata,
    # Of the token in the link. The row is deleted when the link is used.
    Column("token_sha256", String(64), primary_key=True),
    Column("purpose", String(10), nullable=False),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE")),  # NULL: an invitation
    Column("expires_at", UtcDateTime, nullable=False),
    Column("email", String(254)),  # to which it was sent; NULL: handed out by an administrator
    CheckConstraint("purpose IN ('reset','invitation','confirm')", name="purpose"),
    CheckConstraint("(purpose = 'invitation') = (user_id IS NULL)", name="user"),
    Index("ix_one_time_links_user_id", "user_id"),
    Index("ix_one_time_links_expires_at", "expires_at"),
)

# The record of what staff did: rows are added and never changed.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),  # e-mail at that time: the row outlives the account
    Column("act", String(100), nullable=False),
    Column("target", Text, nullable=False),
)

# Switches of the whole site; a switch is on while its row exists.
switches = Table(
    "switches",
    metadata,
    Column("name", String(20), primary_key=True),
    Column("set_at", UtcDateTime, nullable=False),
)
