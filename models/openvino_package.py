"""Preparation for importing openvino, whichever part of the program imports it first."""

from __future__ import annotations

import sys

from models.processor import leave_out_amx


def prepare_import() -> None:
    """Stop reports over the network, and limit the instructions that openvino computes with.

    openvino and nncf report their use. Both work without ``openvino_telemetry`` and start 40 ms sooner; None
    in ``sys.modules`` makes a module appear missing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    leave_out_amx()
