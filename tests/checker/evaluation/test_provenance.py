from __future__ import annotations

import json
import sys

import pytest

from checker.evaluation.provenance import ROOT, machine_kind, processor, provenance

CPUINFO = """processor	: 0
vendor_id	: GenuineIntel
cpu family	: 6
model		: 143
model name	: A processor
flags		: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_tile amx_int8
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--database-url", "postgresql://ada:hunter2@db.example.org/cats"],
        ["--database-url=postgresql://ada:hun@ter2/@db.example.org/cats"],
        ["--any", "postgresql://db.example.org/cats?user=ada&password=hunter2"],
        ["postgresql+psycopg://:hunter2@db.example.org"],
        ["/home/ada/hunter2/photos"],
    ],
)
def test_the_command_contains_no_password_and_no_folder_of_this_machine(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts/x.py"), *arguments, "--json", "made.json"])
    made = provenance()
    assert made["command"].startswith("python scripts/x.py ")
    assert made["command"].endswith(" --json made.json")
    for secret in ("hun", "ter2", "ada", "example.org"):
        assert secret not in json.dumps({**made, "commit": ""})  # a digest may contain "ada"


def test_an_installed_command_is_named_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/ada/.venv/bin/catloader", "models", "calibrate", "database"])
    assert provenance()["command"] == "catloader models calibrate database"


def test_the_kind_of_processor_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)  # set in this process where a runtime was loaded
    kind = processor(CPUINFO + "\n" + CPUINFO.replace("143", "999"))  # as listed for two cores
    assert kind == {
        "processor": "A processor, family 6 model 143",
        "instructions": ["AVX2", "AVX-512", "VNNI", "bf16", "AMX"],
    }
    assert machine_kind({**kind, "cores": 2}) == (
        "A processor, family 6 model 143 (AVX2 AVX-512 VNNI bf16 AMX), 2 cores"
    )
    made = provenance()["machine"]
    assert made["processor"] in machine_kind(made)
    assert isinstance(made["instructions"], list)
