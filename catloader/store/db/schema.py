"""The tables that an empty database gets. The migrations must produce the same tables; tests compare them."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from catloader.store.db.tables.accounts import attempts, ended_sessions, sessions, users
from catloader.store.db.tables.deliveries import webhook_deliveries
from catloader.store.db.tables.identities import identities, unlinked_accounts
from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.models import measured_profiles, model_choices, profile_choices, shadow_reports
from catloader.store.db.tables.passkeys import passkeys
from catloader.store.db.tables.receipts import receipts
from catloader.store.db.tables.replacements import replacements
from catloader.store.db.tables.reviews import appeals, random_audits, reviews, takedowns
from catloader.store.db.tables.row_number import LARGE_ROW_NUMBER
from catloader.store.db.tables.second_factors import recovery_codes, second_factors
from catloader.store.db.tables.sharing import likes, share_links
from catloader.store.db.tables.staff import audit_log, one_time_links, switches
from catloader.store.db.tables.tokens import api_tokens, upload_keys
from catloader.store.db.tables.utc_datetime import UtcDateTime
from catloader.texts import MAX_TEXT_CHARS

__all__ = [
    "CHECK_LOG_COLUMNS",
    "Status",
    "api_tokens",
    "appeals",
    "attempts",
    "audit_log",
    "check_log",
    "deletions",
    "ended_sessions",
    "identities",
    "likes",
    "measured_profiles",
    "metadata",
    "model_choices",
    "one_time_links",
    "passkeys",
    "photos",
    "profile_choices",
    "random_audits",
    "receipts",
    "recovery_codes",
    "replacements",
    "reviews",
    "second_factors",
    "sessions",
    "shadow_reports",
    "share_links",
    "switches",
    "takedowns",
    "unlinked_accounts",
    "upload_keys",
    "users",
    "webhook_deliveries",
    "webhook_ids",
]


class Status(StrEnum):
    """State of a photo. Photos in the first two states are the queue; the other five states are final."""

    PENDING = "pending"
    CHECKING = "checking"
    CAT = "cat"
    UNSURE = "unsure"
    NOT_CAT = "not_cat"
    UNREADABLE = "unreadable"
    FAILED = "failed"


def _index(name: str, columns: str, where: str) -> Index:
    """Make a partial index."""
    return Index(name, *columns.split(), sqlite_where=text(where), postgresql_where=text(where))


# The first version called a photo an image. The table and the column image_id keep these names.
photos = Table(
    "images",
    metadata,
    Column("id", LARGE_ROW_NUMBER, primary_key=True),
    Column("owner_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("caption", String(MAX_TEXT_CHARS), nullable=False, server_default=text("''")),
    # For the search; see texts.folded.
    Column("caption_folded", String(MAX_TEXT_CHARS), nullable=False, server_default=text("''")),
    Column("photo_key", String(64), nullable=False, unique=True),
    Column("thumbnail_key", String(64), nullable=False, unique=True),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("thumbnail_px", Integer, nullable=False),
    # The thumbnail's square, in pixels of the stored photo.
    Column("crop_left_px", Integer, nullable=False),
    Column("crop_top_px", Integer, nullable=False),
    Column("crop_side_px", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the stored photo's bytes
    Column("thumbnail_sha256", String(64), nullable=False),
    Column("status", String(10), nullable=False, server_default=text("'pending'")),
    Column("score", Float),
    Column("wild_feline", Boolean, nullable=False, server_default=text("false")),
    Column("calibrated", Boolean, nullable=False, server_default=text("false")),
    Column("check_error", Text),  # error of the last attempt, in one sentence
    Column("claim_token", String(32)),
    Column("lease_until", UtcDateTime),
    Column("begun_at", UtcDateTime),  # start of decoding under the latest claim; NULL: not started
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("checked_at", UtcDateTime),
    # A person's decision. No checker overwrites a status that a person has set.
    Column("human_verdict", String(10)),
    Column("human_verdict_at", UtcDateTime),
    Column("on_air", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("captured_at", String(19)),  # the camera's local time, without time zone; NULL: not kept
    # The explanation, made on first request, and a digest of the decision that it explains.
    Column("explanation_key", String(64)),
    Column("explanation_of", String(64)),
    Column("binned_at", UtcDateTime),  # deleted by the owner, who may still restore it
    CheckConstraint(
        "status IN ('pending','checking','cat','unsure','not_cat','unreadable','failed')",
        name="status",
    ),
    CheckConstraint("human_verdict IN ('cat','not_cat')", name="human_verdict"),
    # For "My photos": pages of all photos, pages and counts by verdict, and the search in captions.
    # binned_at is always NULL in these indexes; without this column SQLite would read the rows to check it.
    _index("ix_images_owner_id_created_at", "owner_id created_at id binned_at", "binned_at IS NULL"),
    _index("ix_images_owner_id_status", "owner_id status created_at id binned_at", "binned_at IS NULL"),
    _index(
        "ix_images_captions",
        "owner_id created_at id status caption_folded binned_at",
        "caption_folded <> '' AND binned_at IS NULL",
    ),
    Index("ix_images_usage", "owner_id", "size_bytes"),
    Index("ix_images_owner_id_sha256", "owner_id", "sha256"),
    _index("ix_images_bin", "owner_id binned_at id", "binned_at IS NOT NULL"),
    _index("ix_images_binned_at", "binned_at", "binned_at IS NOT NULL"),
    # For the queue of reviewers.
    _index("ix_images_unsure", "id", "status = 'unsure'"),
    # For the administrators' list of photos without a verdict.
    _index("ix_images_failed", "id", "status = 'failed'"),
    _index("ix_images_unreadable", "id", "status = 'unreadable'"),
    # For the public album.
    Index(
        "ix_images_album",
        "created_at",
        "id",
        sqlite_where=text("on_air = 1 AND status = 'cat'"),
        postgresql_where=text("on_air AND status = 'cat'"),
    ),
    # Partial: the index is as small as the backlog, however many photos are finished.
    _index("ix_images_waiting", "next_attempt_at id", "status = 'pending'"),
    _index("ix_images_leased", "lease_until", "status = 'checking'"),
    sqlite_autoincrement=True,  # the address of a deleted photo must not lead to another one
)

check_log = Table(
    "check_log",
    metadata,
    Column("id", LARGE_ROW_NUMBER, primary_key=True),
    Column("image_id", ForeignKey("images.id", ondelete="CASCADE"), key="photo_id", nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("verdict", String(10)),  # NULL: the attempt ended in an error
    Column("score", Float),
    Column("cat_at", Float),
    Column("not_cat_below", Float),
    Column("subject", String(64)),
    Column("reason", String(16)),  # reason for "unsure" regardless of the score
    Column("wild_feline", Boolean),
    # Degrees clockwise by which the photo was rotated to be judged; NULL: no decision, or an earlier version
    # decided, which judged photos as they were.
    Column("turned_deg", Integer),
    Column("profile_id", String(128)),
    Column("model", String(64)),
    Column("weights_sha256", String(64)),
    Column("runtime", String(32)),
    Column("precision", String(8)),
    Column("device", String(64)),
    Column("versions", JSON(none_as_null=True)),
    Column("batch_size", Integer),
    # {"photo": [[index, name, confidence], ...], "thumbnail": ...}
    Column("labels", JSON(none_as_null=True)),
    Column("subject_scores", JSON(none_as_null=True)),  # {"photo": {name: mass}, "thumbnail": ...}
    Column("photo_sha256", String(64)),
    Column("thumbnail_sha256", String(64)),
    Column("ms", JSON(none_as_null=True)),  # {"fetch": ..., "decode": ..., "classify": ..., "total": ...}
    Column("error", Text),
    Index("ix_check_log_image_id", "photo_id"),
    Index("ix_check_log_finished_at", "finished_at"),
    sqlite_autoincrement=True,  # the id identifies a webhook's message, even after the photo is deleted
)

# All columns of a row. They are labelled because photo_id is called image_id in the database.
CHECK_LOG_COLUMNS = tuple(column.label(column.key) for column in check_log.columns)

deletions = Table(
    "deletions",
    metadata,
    Column("id", LARGE_ROW_NUMBER, primary_key=True),  # each upload takes two numbers
    # The object store knows the bucket of each kind. Rows older than this column have the bucket instead.
    Column("kind", String(16)),
    Column("bucket", String(63)),
    Column("key", String(64), nullable=False),
    # An upload reserves its keys here and cancels the reservation in the transaction that adds its row. If
    # its process dies between S3 and SQL, the objects are deleted after this time.
    Column("not_before", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_error", Text),
    Column("receipt", String(64)),  # of a deleted account: counts its remaining objects
    CheckConstraint("kind IN ('photo','thumbnail','explanation')", name="kind"),
    CheckConstraint("(kind IS NULL) <> (bucket IS NULL)", name="kind_or_bucket"),
    Index("ix_deletions_not_before", "not_before"),
    _index("ix_deletions_receipt", "receipt", "receipt IS NOT NULL"),
    Index("uq_deletions_kind_key", "kind", "key", unique=True),
    Index("uq_deletions_bucket_key", "bucket", "key", unique=True),
    # Two processes may delete the same objects: ids must not be reused, or the second would remove other
    # rows.
    sqlite_autoincrement=True,
)

webhook_ids = Table(
    "webhook_ids",
    metadata,
    Column("id", String(64), primary_key=True),  # of a wake-up; a repeated id is refused
    Column("seen_at", UtcDateTime, nullable=False),
    Index("ix_webhook_ids_seen_at", "seen_at"),
)
