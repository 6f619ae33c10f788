"""The tables of accounts, sessions and attempts to log in; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),  # lower case
    Column("password_hash", String(255), nullable=False),  # Argon2id, PHC format
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    Column("is_reviewer", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("logged_in_at", UtcDateTime),  # last log-in; NULL: never, or before this column existed
    Column("disabled_at", UtcDateTime),
    # NULL: the limits of the settings apply; 0: unlimited.
    Column("max_photos", Integer),
    Column("max_bytes", BigInteger),
    Column("email_confirmed_at", UtcDateTime),  # by a link in a mail; NULL: not confirmed
    Column("language", String(8)),  # NULL: the browser's language
    Column("wants_notices", Boolean, nullable=False, server_default=text("false")),  # mails about decisions
    # Otherwise SQLite would reuse the id of a deleted account, and old links would lead to the next account.
    sqlite_autoincrement=True,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),  # of the token in the cookie
    # NULL: made by a sign-up with an e-mail address that is already registered; it gives no access.
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),  # last request for a page, to within some minutes
    Column("browser", String(60), nullable=False, server_default=text("''")),  # such as "Firefox on Linux"
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_created_at", "created_at"),
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("token_sha256", String(64), primary_key=True),  # as in sessions
    # Needed only to bound the number of rows per account. NULL: the account was deleted.
    Column("user_id", ForeignKey("users.id", ondelete="SET NULL")),
    Column("ended_at", UtcDateTime, nullable=False),
    Index("ix_ended_sessions_user_id", "user_id"),
    Index("ix_ended_sessions_ended_at", "ended_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", String(80), primary_key=True),  # a digest of the account or the network
    Column("times", JSON, nullable=False),  # [seconds since 1970, ...] of the attempts that still count
    Column("until", UtcDateTime, nullable=False),  # none of the attempts counts after this time
    Index("ix_attempts_until", "until"),
)
