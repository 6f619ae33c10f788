"""The tables of models that administrators chose; ``schema`` re-exports them."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, Text, text

from catloader.store.db.tables.metadata import metadata
from catloader.store.db.tables.utc_datetime import UtcDateTime

# ``CATCHECK_MODEL=auto`` means the model of the newest row that was not refused. A row is changed only once,
# when a checker has loaded or refused its model.
model_choices = Table(
    "model_choices",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("made_at", UtcDateTime, nullable=False),
    Column("actor", String(254), nullable=False),  # e-mail at that time; '': before the first choice
    Column("model", String(64), nullable=False),  # of the catalogue, or 'auto'
    Column("loaded_at", UtcDateTime),  # by the first checker that loaded the model
    Column("refusal", Text),  # the reason, if the first checker that tried could not load the model
)

# Profiles whose thresholds were re-measured on decisions of people. `profile_choices` says which one applies.
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
    Column("missing", JSON(none_as_null=True)),  # if there are too few decisions: numbers, minimums
    # NULL until the job has ended.
    Column("profile_id", String(128)),
    Column("profile", JSON(none_as_null=True)),
    Column("flips", JSON(none_as_null=True)),  # {"cat -> not_cat": number}
    Column("photos", JSON(none_as_null=True)),  # [[id, verdict, verdict by the new thresholds, score], ...]
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
    # [[id, verdict, score, the candidate's verdict, the candidate's score, a person's verdict or null], ...]
    Column("photos", JSON, nullable=False),
)
