"""The names of devices, runtimes, precisions and decoders, shared by settings, options and validation."""

from __future__ import annotations

from typing import Literal, get_args

from models import openvino_ir

Device = Literal["auto", "cpu", "cuda"]
Runtime = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
Decoder = Literal["cpu", "nvjpeg"]

DEVICES: tuple[str, ...] = get_args(Device)
RUNTIMES: tuple[str, ...] = get_args(Runtime)
PRECISIONS: tuple[str, ...] = get_args(Precision)
DECODERS: tuple[str, ...] = get_args(Decoder)

RUNTIME_PRECISIONS = {"torch": ("fp32", "bf16", "fp16"), "openvino": openvino_ir.PRECISIONS}
"""Runtime -> the precisions that it runs."""
