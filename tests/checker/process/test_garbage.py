"""Full collections during the start of programs, and after it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_COUNT = """
import gc, json, sys
counted = []
gc.callbacks.append(lambda phase, info: counted.append(info["generation"]) if phase == "start" else None)
from checker.process.garbage import postpone_full_collections, resume_full_collections
before = gc.get_threshold()
postpone_full_collections()
import catloader.server.commands, catloader.web, torch
during = counted.count(2)
resume_full_collections()
print(json.dumps({"full": during, "young": counted.count(0), "as before": gc.get_threshold() == before}))
"""


@pytest.mark.slow
def test_no_full_collection_during_the_imports_and_the_usual_ones_afterwards() -> None:
    run = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True)
    counted = json.loads(run.stdout)
    assert counted["full"] == 0
    assert counted["young"] > 0
    assert counted["as before"]


@pytest.mark.parametrize(
    "program", [["catloader", "settings"], ["checker", "--version"]], ids=["catloader", "checker"]
)
def test_programs_postpone_full_collections(program: list[str]) -> None:
    name, *arguments = program
    code = f"""
import gc, runpy, sys
sys.argv = {[name, *arguments]}
try:
    runpy.run_module("{name}", run_name="__main__")
except SystemExit:
    pass
sys.stderr.write(str(gc.get_threshold()[2]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stderr) > 10
