"""The tables of likes and of shared links; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

share_links = Table(
    "share_links",
    metadata,
    # A photo has at most one link; a new link replaces it.
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", primary_key=True),
    Column("token_sha256", String(64), nullable=False, unique=True),  # of the token in the link
    Column("created_at", UtcDateTime, nullable=False),
)

likes = Table(
    "likes",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_likes_image_id", "photo_id"),
)
