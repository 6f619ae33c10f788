"""Commands on a site that does not run."""

from __future__ import annotations

from tests.support.commands import run

__all__ = ["run"]
