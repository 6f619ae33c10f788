"""The type of row numbers that can exceed 31 bits."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer

# SQLite assigns numbers only to an INTEGER primary key, which has 64 bits.
LARGE_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")
