"""The environment of child interpreters: they import the same packages as this process."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def python_path() -> str:
    """Return a child's ``PYTHONPATH``, with which a checkout that is not installed runs from any folder."""
    return os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
