"""The tables of second factors; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

second_factors = Table(
    "second_factors",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("secret", String(32), nullable=False),  # base32; codes are computed from it
    Column("last_step", BigInteger, nullable=False),  # the time step of the last accepted code
    Column("set_up_at", UtcDateTime, nullable=False),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_sha256", String(64), primary_key=True),  # the row is deleted when the code is used
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Index("ix_recovery_codes_user_id", "user_id"),
)
