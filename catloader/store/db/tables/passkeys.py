"""The table of passkeys; ``schema`` re-exports it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", String(1400), nullable=False, unique=True),  # base64url, of 1023 bytes at most
    Column("public_key", LargeBinary, nullable=False),  # a COSE key
    Column("sign_count", BigInteger, nullable=False),  # 0: the authenticator does not count
    Column("name", String(60), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Index("ix_passkeys_user_id", "user_id"),
    sqlite_autoincrement=True,  # the address of a removed passkey must not lead to another one
)
