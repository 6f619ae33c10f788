"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletions")),
    )
    op.create_index("ix_deletions_not_before", "deletions", ["not_before"], unique=False)
    op.create_index("uq_deletions_bucket_key", "deletions", ["bucket", "key"], unique=True)
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("session_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "webhook_ids",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_ids")),
    )
    op.create_index("ix_webhook_ids_seen_at", "webhook_ids", ["seen_at"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("caption", sa.String(length=500), server_default=sa.text("''"), nullable=False),
        sa.Column("photo_key", sa.String(length=64), nullable=False),
        sa.Column("thumbnail_key", sa.String(length=64), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("thumbnail_px", sa.Integer(), nullable=False),
        sa.Column("crop_left_px", sa.Integer(), nullable=False),
        sa.Column("crop_top_px", sa.Integer(), nullable=False),
        sa.Column("crop_side_px", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("thumbnail_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=10), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("wild_feline", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("calibrated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("check_error", sa.Text(), nullable=True),
        sa.Column("claim_token", sa.String(length=32), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("human_verdict", sa.String(length=10), nullable=True),
        sa.Column("human_verdict_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("on_air", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("human_verdict IN ('cat','not_cat')", name=op.f("ck_images_human_verdict")),
        sa.CheckConstraint(
            "status IN ('pending','checking','cat','unsure','not_cat','unreadable','failed')",
            name=op.f("ck_images_status"),
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_images_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("photo_key", name=op.f("uq_images_photo_key")),
        sa.UniqueConstraint("thumbnail_key", name=op.f("uq_images_thumbnail_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_images_leased",
        "images",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("status = 'checking'"),
        postgresql_where=sa.text("status = 'checking'"),
    )
    op.create_index("ix_images_owner_id_id", "images", ["owner_id", "id"], unique=False)
    op.create_index(
        "ix_images_waiting",
        "images",
        ["next_attempt_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "check_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("cat_at", sa.Float(), nullable=True),
        sa.Column("not_cat_below", sa.Float(), nullable=True),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("wild_feline", sa.Boolean(), nullable=True),
        sa.Column("profile_id", sa.String(length=128), nullable=True),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column("weights_sha256", sa.String(length=64), nullable=True),
        sa.Column("runtime", sa.String(length=32), nullable=True),
        sa.Column("precision", sa.String(length=8), nullable=True),
        sa.Column("device", sa.String(length=64), nullable=True),
        sa.Column("versions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("batch_size", sa.Integer(), nullable=True),
        sa.Column("labels", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("subject_scores", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("photo_sha256", sa.String(length=64), nullable=True),
        sa.Column("thumbnail_sha256", sa.String(length=64), nullable=True),
        sa.Column("ms", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_check_log_image_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_check_log")),
    )
    op.create_index("ix_check_log_finished_at", "check_log", ["finished_at"], unique=False)
    op.create_index("ix_check_log_image_id", "check_log", ["image_id"], unique=False)
    op.create_table(
        "likes",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_likes_image_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_likes_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "image_id", name=op.f("pk_likes")),
    )
    op.create_index("ix_likes_image_id", "likes", ["image_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_likes_image_id", table_name="likes")
    op.drop_table("likes")
    op.drop_index("ix_check_log_image_id", table_name="check_log")
    op.drop_index("ix_check_log_finished_at", table_name="check_log")
    op.drop_table("check_log")
    op.drop_index(
        "ix_images_waiting",
        table_name="images",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index("ix_images_owner_id_id", table_name="images")
    op.drop_index(
        "ix_images_leased",
        table_name="images",
        sqlite_where=sa.text("status = 'checking'"),
        postgresql_where=sa.text("status = 'checking'"),
    )
    op.drop_table("images")
    op.drop_index("ix_webhook_ids_seen_at", table_name="webhook_ids")
    op.drop_table("webhook_ids")
    op.drop_table("users")
    op.drop_index("uq_deletions_bucket_key", table_name="deletions")
    op.drop_index("ix_deletions_not_before", table_name="deletions")
    op.drop_table("deletions")
