"""The declaration of a row of the table: a field of pydantic with its environment variable and section."""

from __future__ import annotations

from typing import Any

from pydantic import Field

_LARGEST = 2**62
"""Bound of whole numbers without another bound: databases and limits of processes accept at most 63 bits."""


def setting(
    env: str, default: Any, section: str, doc: str, *, default_text: str = "", **bounds: float
) -> Any:
    """Declare one row.

    Args:
        default: a value, or a function that returns it.
        default_text: shown instead of a default that depends on the installation.
    """
    default_argument = {"default_factory": default} if callable(default) else {"default": default}
    extra = {"env": env, "section": section, "default_text": default_text}
    if isinstance(default, float):
        bounds["allow_inf_nan"] = False
    if isinstance(default, int) and not isinstance(default, bool):
        bounds.setdefault("le", _LARGEST)
    return Field(description=doc, json_schema_extra=extra, **default_argument, **bounds)  # type: ignore[call-overload]
