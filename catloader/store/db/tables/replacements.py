"""The table of replacements of photos by other files; ``schema`` has it with all others."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.row_number import LARGE_ROW_NUMBER
from catloader.store.db.tables.utc_datetime import UtcDateTime

# Earlier checks and decisions belong to the previous file. Row numbers, not times, separate them: the clocks
# of the processes that write the rows differ.
replacements = Table(
    "replacements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("last_check_id", LARGE_ROW_NUMBER, nullable=False),  # of the photo in check_log then; 0: none
    Column("last_review_id", Integer, nullable=False),  # of the photo in reviews then; 0: none
    Index("ix_replacements_image_id", "photo_id"),
)
