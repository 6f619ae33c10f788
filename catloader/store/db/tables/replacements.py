"""The table of replacements of photos by other files; ``schema`` re-exports it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.row_number import LARGE_ROW_NUMBER
from catloader.store.db.tables.utc_datetime import UtcDateTime

# Checks and reviews up to these row numbers belong to the previous file. Times could not separate them,
# because the clocks of the processes that write the rows differ.
replacements = Table(
    "replacements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    # The photo's last rows in check_log and reviews at that time; 0: none.
    Column("last_check_id", LARGE_ROW_NUMBER, nullable=False),
    Column("last_review_id", Integer, nullable=False),
    Index("ix_replacements_image_id", "photo_id"),
)
