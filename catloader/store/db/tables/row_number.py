"""The type of row numbers that can exceed 31 bits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer

# In SQLite only INTEGER columns number rows by themselves; they have 64 bits.
LARGE_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")
