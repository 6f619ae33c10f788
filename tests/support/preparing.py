"""Step 1 in the tests' own process, for tests of the steps after it."""

from __future__ import annotations

from catloader.intake.prepare import prepare
from catloader.intake.upload import Preparer, limits
from catloader.settings import Settings


def prepare_here(settings: Settings | None = None) -> Preparer:
    """Return the function that prepares photos with these settings; None: with the defaults."""
    bounds = limits(settings or Settings())
    return lambda data, _owner_id: prepare(data, limits=bounds)
