"""Explain in plain words why variants were refused."""

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
        missing: the faster variant that can be made, or made again if its files are damaged.
    """
    flags = cpu_flags()
    messages = (
        fallback_message(variant, error, used, flags)
        for variant, error in refused
        if str(variant) != str(missing)
    )
    damage = (str(error) for variant, error in refused if str(variant) == str(missing))
    return tuple(messages), " ".join(damage)


def fallback_message(refused: Variant, error: ModelRefused, used: Variant, flags: frozenset[str]) -> str:
    """Explain why ``used`` is used instead of a faster variant; ``flags`` are the processor's."""
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
