"""The processor's instructions for reduced precision."""

from __future__ import annotations

import os
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# The values of oneDNN's variable without VNNI, bf16 and AMX.
_PLAIN_ISAS = ("SSE41", "AVX", "AVX2", "AVX512_CORE")


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Read the feature flags of the first core; empty where Linux on x86 does not list them.

    OpenVINO and torch compute with oneDNN, so flags beyond its variable ``ONEDNN_MAX_CPU_ISA`` are left out.
    Tests use that for a processor without VNNI.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split()
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _PLAIN_ISAS:
        flags = [flag for flag in flags if not any(part in flag for part in ("vnni", "bf16", "amx"))]
    return frozenset(flags)


def multiplies_bf16(flags: frozenset[str]) -> bool:
    """Say whether bf16 products run in hardware; emulated, they take ten times as long."""
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16"})


def saturates_int8(flags: frozenset[str]) -> bool:
    """Say whether sums of int8 products saturate in 16 bits: x86 processors without VNNI."""
    return "avx2" in flags and flags.isdisjoint({"avx512_vnni", "avx_vnni"})
