"""The ledger of outgoing webhooks."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.row_number import LARGE_ROW_NUMBER
from catloader.store.db.tables.utc_datetime import UtcDateTime

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", LARGE_ROW_NUMBER, primary_key=True),
    # The reported row of check_log or reviews. Not a foreign key: that row may be deleted with its photo.
    Column("source", String(10), nullable=False, server_default=text("'check'")),
    Column("source_id", LARGE_ROW_NUMBER, nullable=False),
    Column("payload", Text, nullable=False),  # JSON, the same bytes in every attempt
    Column("state", String(10), nullable=False, server_default=text("'waiting'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("last_error", Text),
    CheckConstraint("source IN ('check','review')", name="source"),
    CheckConstraint("state IN ('start','waiting','delivered','given_up')", name="state"),
    Index("uq_webhook_deliveries_source_source_id", "source", "source_id", unique=True),
    Index(
        "ix_webhook_deliveries_waiting",
        "next_attempt_at",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("ix_webhook_deliveries_created_at", "created_at"),
)
