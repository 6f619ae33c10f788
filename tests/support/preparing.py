"""Step 1 (prepare) in the process of the tests, for tests of the later steps."""

from __future__ import annotations

from catloader.intake.prepare import prepare
from catloader.intake.upload import Preparer, limits
from catloader.settings import Settings


def prepare_here(settings: Settings | None = None) -> Preparer:
    """Return a function that prepares photos with these settings, or with the defaults."""
    bounds = limits(settings or Settings())
    return lambda data, _owner_id: prepare(data, limits=bounds)
