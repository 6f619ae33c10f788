"""The tables of models that administrators chose; ``schema`` has them with all others."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, Text, text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

# What ``CATCHECK_MODEL=auto`` means: the newest row that was not refused. Rows are added, and once marked.
model_choices = Table(
    "model_choices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),  # e-mail at that time; '' in the row of the state before
    Column("model", String(64), nullable=False),  # of the catalogue, or 'auto'
    Column("loaded_at", UtcDateTime),  # by the first checker that could
    Column("refusal", Text),  # why the first checker that tried could not
)

# Profiles whose thresholds were measured anew on decisions of people; and which of them holds.
measured_profiles = Table(
    "measured_profiles",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),
    Column("base_id", String(128), nullable=False),  # of the profile that was measured in full
    Column("touched_at", UtcDateTime, nullable=False),  # by the job, while it runs
    Column("done", Integer, nullable=False, server_default=text("0")),  # photos compared
    Column("total", Integer, nullable=False, server_default=text("0")),
    Column("error", Text),
    Column("missing", JSON(none_as_null=True)),  # where there are too few decisions: how many, and are needed
    # NULL until the job has ended.
    Column("profile_id", String(128)),
    Column("profile", JSON(none_as_null=True)),
    Column("flips", JSON(none_as_null=True)),  # {"cat -> not_cat": number}
    Column("photos", JSON(none_as_null=True)),  # [[id, verdict, verdict then, score], ...]
)

profile_choices = Table(
    "profile_choices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),
    Column("measured_id", Integer),  # of measured_profiles; NULL: the profiles that were measured in full
)

# The results of `catloader models shadow`.
shadow_reports = Table(
    "shadow_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("current", String(64), nullable=False),
    Column("candidate", String(64), nullable=False),
    Column("counts", JSON, nullable=False),  # {"compared": ..., "towards_cat": ..., ...}
    Column("flips", JSON, nullable=False),  # {"cat -> not_cat": number}
    Column("photos", JSON, nullable=False),  # [[id, verdict, score, verdict, score, person's], ...]
)
