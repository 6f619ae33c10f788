"""Recognise the kind of this processor, and run child processes as if on the other kind.

Processors without VNNI add up products of bytes in pairs, in 16 bits. The shipped int8 cannot saturate them;
one that is quantised differently can, and gives other results.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Collection, Mapping
from pathlib import Path

AVX2_ONLY = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # oneDNN: the copies inside OpenVINO and torch
    "OV_CPU_MAX_ISA": "AVX2",  # the capabilities that OpenVINO lists
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
"""Environment that holds the runtimes back to AVX2.

With the first one alone, int8 by NNCF's defaults gives other results, as on a processor without VNNI. numpy
and Pillow are not held back: they have no part in that. ``/proc/cpuinfo`` still lists what the processor has.
"""
KINDS = [{}, AVX2_ONLY]
"""Environments to test in: this processor as it is, and limited to AVX2."""
KIND_NAMES = ["this processor", "held back to AVX2"]

_VNNI = {"avx512_vnni", "avx_vnni"}
_WITHOUT_VNNI = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}


@functools.cache
def flags() -> frozenset[str]:
    """Return the instruction sets that Linux lists; empty if it lists none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split())


def served_variants() -> set[tuple[str, str]]:
    """Return what ``auto`` may choose of the shipped model on a CPU: runtime and precision.

    Only measured on x86-64: elsewhere the self-test may refuse int8.
    """
    int8 = ("openvino", "int8")
    return {int8} if platform.machine() == "x86_64" else {int8, ("torch", "fp32")}


def adds_up_bytes_exactly(
    environment: Mapping[str, str] = os.environ, has: Collection[str] = flags()
) -> bool:
    """Return whether this x86 processor has VNNI, and the runtimes use it."""
    held_back = environment.get("ONEDNN_MAX_CPU_ISA", environment.get("DNNL_MAX_CPU_ISA", "")).upper()
    return bool(_VNNI & set(has)) and held_back not in _WITHOUT_VNNI


def goes_beyond_avx2(has: Collection[str] = flags()) -> bool:
    """Return whether ``AVX2_ONLY`` may change how the runtimes compute here.

    Without later vector instructions both ``KINDS`` are the same one, and a test of both would run twice.
    """
    return not has or any(flag.startswith(("avx512", "avx_", "avx10", "amx")) for flag in has)


def described() -> str:
    """Return one line for the header of a test report."""
    sets = {"avx2": {"avx2"}, "avx512": {"avx512f"}, "vnni": _VNNI, "bf16": {"avx512_bf16", "amx_bf16"}}
    listed = ", ".join(f"{name} {'yes' if any_of & flags() else 'no'}" for name, any_of in sets.items())
    held_back = " ".join(f"{name}={os.environ[name]}" for name in AVX2_ONLY if name in os.environ)
    return f"{platform.machine()}, {listed}" + (f"; held back by {held_back}" if held_back else "")
