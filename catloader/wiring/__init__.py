"""The composition root: the only place that makes engines, S3 clients, pools and models.

``build`` makes everything of a process (``assembly``) and returns it as ``Services`` (``services``); the
others make one of its ``parts``.
"""

from catloader.wiring.assembly import build
from catloader.wiring.parts import (
    build_broker,
    build_engine,
    build_object_store,
    build_signer,
    load_classifier_and_rule,
    load_model,
    site_secret,
)
from catloader.wiring.services import Services

__all__ = [
    "Services",
    "build",
    "build_broker",
    "build_engine",
    "build_object_store",
    "build_signer",
    "load_classifier_and_rule",
    "load_model",
    "site_secret",
]
