"""The tables of API tokens and of uploads made with a key; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("name", String(60), nullable=False),  # given by the owner
    Column("scopes", String(100), nullable=False),  # separated by spaces
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),  # to within some minutes; NULL: never
    Column("expires_at", UtcDateTime),  # NULL: never
    Index("ix_api_tokens_user_id", "user_id"),
    sqlite_autoincrement=True,  # the address of a revoked token must not lead to another one
)

# A row is deleted with its photo, or once it is a day old by the account's next upload with a key.
upload_keys = Table(
    "upload_keys",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("key_sha256", String(64), primary_key=True),  # of the client's Idempotency-Key
    Column("body_sha256", String(64), nullable=False),  # of the file as it came
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_upload_keys_image_id", "photo_id"),
    Index("ix_upload_keys_user_id", "user_id", "created_at"),
)
