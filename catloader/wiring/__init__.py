"""The composition root: the only place that makes engines, S3 clients, pools and models.

``build`` makes everything of a process (``assembly``) and returns it as ``Services`` (``services``); the
others make one of its ``parts``. Each is imported at its first use: a command that needs the engine alone
loads neither an S3 client nor the checker, which would take most of its time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catloader.wiring.assembly import build
    from catloader.wiring.engine import build_engine
    from catloader.wiring.parts import (
        build_broker,
        build_object_store,
        build_signer,
        checking_model,
        load_classifier_and_rule,
        load_model,
    )
    from catloader.wiring.secrets import site_secret
    from catloader.wiring.services import Services

__all__ = [
    "Services",
    "build",
    "build_broker",
    "build_engine",
    "build_object_store",
    "build_signer",
    "checking_model",
    "load_classifier_and_rule",
    "load_model",
    "site_secret",
]

_MODULES = {"Services": "services", "build": "assembly", "build_engine": "engine", "site_secret": "secrets"}
"""Modules of the names that do not lie in ``parts``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'parts')}"), name)
