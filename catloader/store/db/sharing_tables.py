"""The table of links that show one photo to whoever has them; ``schema`` has it with all others."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from catloader.store.db.metadata import metadata
from catloader.store.db.utc_datetime import UtcDateTime

share_links = Table(
    "share_links",
    metadata,
    # One link for a photo; a new one replaces it.
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", primary_key=True),
    Column("token_sha256", String(64), nullable=False, unique=True),  # of the token in the link
    Column("created_at", UtcDateTime, nullable=False),
)
