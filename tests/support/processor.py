"""Detect the kind of this processor, and run child processes as if on the other kind.

Processors without VNNI add products of bytes in pairs, in 16 bits. The shipped int8 variant can't saturate
these sums. A variant that is quantised differently can, and then gives other results.
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
"""Environment that limits the runtimes to AVX2.

The first variable alone makes int8 with NNCF's defaults give the results of a processor without VNNI. numpy
and Pillow are not limited, because they do not affect these results. ``/proc/cpuinfo`` still lists everything
that the processor has.
"""
KINDS = [{}, AVX2_ONLY]
"""Environments to test in: this processor without a limit, and limited to AVX2."""
KIND_NAMES = ["this processor", "held back to AVX2"]

_VNNI = {"avx512_vnni", "avx_vnni"}
_WITHOUT_VNNI = {"SSE41", "AVX", "AVX2", "AVX512_CORE"}


@functools.cache
def flags() -> frozenset[str]:
    """Return the instruction sets that Linux lists for this processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split())


def served_variants() -> set[tuple[str, str]]:
    """Return the variants of the shipped model, as (runtime, precision), that ``auto`` may choose on a CPU.

    int8 was measured on x86-64 only. Elsewhere its self-test may fail, and torch serves.
    """
    int8 = ("openvino", "int8")
    return {int8} if platform.machine() == "x86_64" else {int8, ("torch", "fp32")}


def adds_up_bytes_exactly(
    environment: Mapping[str, str] = os.environ, has: Collection[str] = flags()
) -> bool:
    """Return whether this x86 processor has VNNI and the runtimes use it."""
    held_back = environment.get("ONEDNN_MAX_CPU_ISA", environment.get("DNNL_MAX_CPU_ISA", "")).upper()
    return bool(_VNNI & set(has)) and held_back not in _WITHOUT_VNNI


def goes_beyond_avx2(has: Collection[str] = flags()) -> bool:
    """Return whether ``AVX2_ONLY`` may change how the runtimes compute here.

    Without newer vector instructions both ``KINDS`` are equal, and a test of both would do the same work
    twice.
    """
    return not has or any(flag.startswith(("avx512", "avx_", "avx10", "amx")) for flag in has)


def described() -> str:
    """Return one line for the header of a test report."""
    sets = {"avx2": {"avx2"}, "avx512": {"avx512f"}, "vnni": _VNNI, "bf16": {"avx512_bf16", "amx_bf16"}}
    listed = ", ".join(f"{name} {'yes' if any_of & flags() else 'no'}" for name, any_of in sets.items())
    held_back = " ".join(f"{name}={os.environ[name]}" for name in AVX2_ONLY if name in os.environ)
    return f"{platform.machine()}, {listed}" + (f"; held back by {held_back}" if held_back else "")
