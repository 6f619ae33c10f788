"""The table of receipts for deleted accounts; ``schema`` re-exports it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

# A receipt contains nothing that identifies the account.
receipts = Table(
    "receipts",
    metadata,
    Column("token_sha256", String(64), primary_key=True),  # of the token in the link
    Column("deleted_at", UtcDateTime, nullable=False),
    Column("photos", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),  # of the large renditions
    Column("objects", Integer, nullable=False),  # photos, thumbnails and explanations in the object store
    Column("done_at", UtcDateTime),  # NULL: the deletion ledger still has some of the objects
)
