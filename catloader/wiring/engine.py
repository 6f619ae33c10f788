"""The database's engine, the only part that many commands need."""

from __future__ import annotations

from catloader.settings import Settings
from catloader.store.db.engine import Engine, make_engine


def build_engine(settings: Settings) -> Engine:
    """Make the database's engine, which connects at first use."""
    return make_engine(settings.database)
