from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.processor import (
    cpu_flags,
    instruction_sets,
    leave_out_amx,
    multiplies_bf16,
    saturates_int8,
)

ZEN_3 = "fpu sse4_2 fma avx avx2"
CASCADE_LAKE = f"{ZEN_3} avx512f avx512_vnni"
SAPPHIRE_RAPIDS = f"{CASCADE_LAKE} avx_vnni avx512_bf16 amx_bf16 amx_int8"


@pytest.mark.parametrize(
    ("flags", "bf16", "saturates"),
    [
        (ZEN_3, False, True),
        (CASCADE_LAKE, False, False),
        (f"{ZEN_3} avx_vnni", False, False),  # Alder Lake
        (SAPPHIRE_RAPIDS, True, False),
        ("", False, False),  # an unknown processor: no capability is assumed
    ],
)
def test_flags_show_bf16_and_saturating_int8(
    flags: str, bf16: bool, saturates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: x\nflags\t\t: {flags}\nprocessor\t: 1\n")
    assert cpu_flags(cpuinfo) == frozenset(flags.split())
    assert multiplies_bf16(cpu_flags(cpuinfo)) is bf16
    assert saturates_int8(cpu_flags(cpuinfo)) is saturates


def test_flags_that_onednn_must_not_use_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: {SAPPHIRE_RAPIDS}\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert not multiplies_bf16(cpu_flags(cpuinfo))
    assert saturates_int8(cpu_flags(cpuinfo))
    assert instruction_sets(cpu_flags(cpuinfo)) == "AVX2"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")
    assert not saturates_int8(cpu_flags(cpuinfo))
    assert not multiplies_bf16(cpu_flags(cpuinfo))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2_vnni")
    assert instruction_sets(cpu_flags(cpuinfo)) == "AVX2 VNNI"


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        (f"{SAPPHIRE_RAPIDS} amx_tile", None, "AVX512_CORE_BF16"),
        (f"{SAPPHIRE_RAPIDS} amx_tile", "AVX2", "AVX2"),
        (CASCADE_LAKE, None, None),
    ],
)
def test_onednn_is_limited_if_the_processor_has_amx(
    flags: str, limit: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit or "")
    if limit is None:
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    leave_out_amx(cpuinfo)
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") == expected
    assert "AMX" not in instruction_sets(cpu_flags(cpuinfo))


def test_a_system_without_cpuinfo_has_no_flags(tmp_path: Path) -> None:
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_instruction_sets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    cpuinfo = tmp_path / "cpuinfo"
    for line, names in (
        (f"flags : {ZEN_3}", "AVX2"),
        (f"flags : {CASCADE_LAKE}", "AVX2 AVX-512 VNNI"),
        (f"flags : {SAPPHIRE_RAPIDS} amx_tile", "AVX2 AVX-512 VNNI bf16 AMX"),
        ("Features : fp asimd asimddp", "NEON dot product"),
        ("", "aarch64"),  # macOS lists none
    ):
        cpuinfo.write_text(line)
        assert instruction_sets(cpu_flags(cpuinfo), "aarch64") == names
