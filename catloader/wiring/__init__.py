"""The composition root: the only place that makes engines, S3 clients, pools and models.

``build`` makes all services of a process (``assembly``) and returns them as ``Services`` (``services``). The
other functions make single ``parts``. Modules are imported at first use: a command that needs only the engine
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
"""Modules of the names that are not in ``parts``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'parts')}"), name)
