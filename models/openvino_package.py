"""Prepare for importing openvino; every part of the program calls this before its import."""

from __future__ import annotations

import sys

from models.processor import leave_out_amx


def prepare_import() -> None:
    """Stop reports over the network, and limit the instructions that openvino computes with.

    openvino and nncf report their use. Both work without ``openvino_telemetry`` and then start 40 ms sooner.
    None in ``sys.modules`` makes a module appear to be missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    leave_out_amx()
