"""The processor's instruction sets that speed and results depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Iterable
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_MAX_ISA = "ONEDNN_MAX_CPU_ISA"
_WITHOUT_AMX = "AVX512_CORE_BF16"
_EXCLUDED = {
    **dict.fromkeys(("SSE41", "AVX", "AVX2"), ("avx512", "vnni", "bf16", "amx")),
    **dict.fromkeys(("AVX2_VNNI", "AVX2_VNNI_2"), ("avx512", "bf16", "amx")),
    "AVX512_CORE": ("vnni", "bf16", "amx"),
    "AVX512_CORE_VNNI": ("bf16", "amx"),
    **dict.fromkeys((_WITHOUT_AMX, "AVX512_CORE_FP16", "AVX10_1_512"), ("amx",)),
}
"""Value of oneDNN's variable -> parts of the names of the flags that it excludes."""
_INSTRUCTION_SETS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
    "AMX": {"amx_tile"},
    "NEON": {"asimd"},
    "dot product": {"asimddp"},
}
"""Instruction set -> flags of Linux, any of which shows that the processor has it. The last two are ARM's."""


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Read the feature flags of the first core; empty if the system does not list them.

    OpenVINO and torch compute with oneDNN, so flags that its variable ``ONEDNN_MAX_CPU_ISA`` excludes are
    left out. Tests set the variable to imitate a processor without VNNI.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return within_limit(next(listed, "").split())


def within_limit(flags: Iterable[str]) -> frozenset[str]:
    """Leave out the flags that ``ONEDNN_MAX_CPU_ISA`` excludes."""
    excluded = _EXCLUDED.get(os.environ.get(_MAX_ISA, "").upper(), ())
    return frozenset(flag for flag in flags if not any(part in flag for part in excluded))


def leave_out_amx(cpuinfo: Path = CPUINFO) -> None:
    """Keep the oneDNN of this process from using AMX; call this before its first use.

    With AMX, OpenVINO 2026.4 keeps signed bytes between layers where it keeps unsigned bytes on other
    processors. So a model with linear layers in int8 (EfficientNet-Lite) gives other results: 7 of 3 163
    verdicts differed. Without AMX that model is not slower, but ResNet-50 in int8 loses four tenths of its
    speed. A limit that is set in the environment takes precedence.
    """
    if "amx_int8" in cpu_flags(cpuinfo):
        os.environ.setdefault(_MAX_ISA, _WITHOUT_AMX)


def instruction_sets(flags: frozenset[str], machine: str = platform.machine()) -> str:
    """Return the names of the instruction sets in use, such as ``AVX2 AVX-512 VNNI``, or the architecture."""
    return " ".join(instruction_names(flags)) or machine


def instruction_names(flags: Collection[str]) -> list[str]:
    """List the instruction sets that speed and int8 results depend on."""
    return [name for name, any_of in _INSTRUCTION_SETS.items() if not any_of.isdisjoint(flags)]


def multiplies_bf16(flags: frozenset[str]) -> bool:
    """Return True if bf16 products are computed in hardware; emulation takes ten times as long."""
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16"})


def saturates_int8(flags: frozenset[str]) -> bool:
    """Return True if sums of int8 products saturate in 16 bits, as on x86 processors without VNNI."""
    return "avx2" in flags and flags.isdisjoint({"avx512_vnni", "avx_vnni"})
