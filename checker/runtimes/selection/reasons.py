"""The reasons against variants that were refused, in plain words."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from checker.errors import ModelRefused
from checker.runtimes.selection.self_test import SelfTestFailed
from checker.runtimes.selection.variants import Variant
from models.processor import cpu_flags, saturates_int8

logger = logging.getLogger(__name__)


def reasons(
    refused: Sequence[tuple[Variant, ModelRefused]], used: Variant, missing: Variant | None
) -> tuple[tuple[str, ...], str]:
    """Return ``refusals`` and ``damage`` of the selected variant.

    Args:
        missing: the faster variant that can be made, perhaps again.
    """
    flags = cpu_flags()
    others = (one for one in refused if str(one[0]) != str(missing))
    damage = (str(error) for variant, error in refused if str(variant) == str(missing))
    return tuple(fallback_message(*one, used, flags) for one in others), " ".join(damage)


def fallback_message(refused: Variant, error: ModelRefused, used: Variant, flags: frozenset[str]) -> str:
    """Return which variant is used and why not the faster one; ``flags`` are the processor's."""
    if str(refused) == str(used):
        return f"Another {refused} is not used: {error}"
    is_old = refused.manifest is not None and refused.manifest.saturates
    if is_old and isinstance(error, SelfTestFailed) and saturates_int8(flags):
        logger.info("%s: %s", refused, error)
        return (
            f"{refused} gives different results on this processor, so {used} is used instead (slower). "
            "Nothing to do."
        )
    return f"{used} is used instead of {refused}: {error}"
