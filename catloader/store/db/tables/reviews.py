"""The tables of appeals and reviews; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.row_number import LARGE_ROW_NUMBER
from catloader.store.db.tables.utc_datetime import UtcDateTime
from catloader.texts import MAX_TEXT_CHARS

# Photos that staff keep out of the public album.
takedowns = Table(
    "takedowns",
    metadata,
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", primary_key=True),
    Column("note", String(MAX_TEXT_CHARS), nullable=False),  # for the owner
    Column("made_at", UtcDateTime, nullable=False),
)

# Photos drawn from those that a model decided, for people to judge.
random_audits = Table(
    "random_audits",
    metadata,
    Column("id", Integer, primary_key=True),  # photos are judged in this order
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("verdict", String(10), nullable=False),  # the model's
    Column("check_log_id", LARGE_ROW_NUMBER, nullable=False),  # of that decision
    Column("profile_id", String(128), nullable=False),
    Column("drawn_at", UtcDateTime, nullable=False),
    Column("answer", String(10)),  # NULL with a time: the person could not tell
    Column("answered_at", UtcDateTime),
    CheckConstraint("verdict IN ('cat','not_cat')", name="verdict"),
    CheckConstraint("answer IN ('cat','not_cat')", name="answer"),
    Index("ix_random_audits_image_id", "photo_id", unique=True),
    Index(
        "ix_random_audits_open",
        "id",
        sqlite_where=text("answered_at IS NULL"),
        postgresql_where=text("answered_at IS NULL"),
    ),
)

appeals = Table(
    "appeals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("wish", String(10), nullable=False),  # the verdict that the owner thinks is right
    Column("reason", String(MAX_TEXT_CHARS), nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),  # withdrawn, or decided by a reviewer
    CheckConstraint("wish IN ('cat','not_cat')", name="wish"),
    Index("ix_appeals_image_id", "photo_id"),
    Index(
        "ix_appeals_open",
        "id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index(
        "uq_appeals_open",
        "photo_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

# The record of what reviewers did: rows are added and never changed.
reviews = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("reviewer_id", ForeignKey("users.id", ondelete="SET NULL")),
    Column("appeal_id", ForeignKey("appeals.id", ondelete="CASCADE")),
    Column("made_at", UtcDateTime, nullable=False),
    Column("verdict", String(10)),  # NULL: the previous decision was undone
    Column("note", String(MAX_TEXT_CHARS), nullable=False),
    Column("status_before", String(10), nullable=False),
    CheckConstraint("verdict IN ('cat','not_cat')", name="verdict"),
    Index("ix_reviews_image_id", "photo_id"),
    Index("ix_reviews_reviewer_id", "reviewer_id"),
    Index("ix_reviews_appeal_id", "appeal_id"),
    sqlite_autoincrement=True,  # as in check_log: the id identifies a webhook's message
)
