"""Marks for tests that need only one of the two databases.

Without such a mark, a test with an engine or a site runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import pytest

ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)
"""For tests whose subject is not the database: other tests execute the same SQL on PostgreSQL too."""
