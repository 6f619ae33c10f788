"""Every module that imports openvino sets its limits first, since OpenVINO reads them once per process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.processor import cpu_flags

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("openvino", "nncf")
_USES_CONVERT = re.compile(r"^from models\.convert import .*\bimport_package\b", re.MULTILINE)


def _imports_openvino(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            modules = [alias.name for alias in names]
        case ast.ImportFrom(module=str(module)):
            modules = [module]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module))]):
            modules = [module]
        case ast.Call(func=ast.Name(id="import_package")):
            modules = ["openvino"]
        case _:
            modules = []
    return any(module.partition(".")[0] in _PACKAGES for module in modules)


@pytest.mark.slow
def test_each_module_that_imports_openvino_sets_its_limits_first() -> None:
    importing, unprepared = [], []
    for folder in ("catloader", "checker", "models", "scripts"):
        for path in (_ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            if any(map(_imports_openvino, ast.walk(ast.parse(text)))):
                importing.append(path.name)
                if "    prepare_import()\n" not in text and not _USES_CONVERT.search(text):
                    unprepared.append(str(path.relative_to(_ROOT)))
    assert {"openvino_import.py", "convert.py", "onnx_graph.py", "optimise.py", "peaks.py"} <= {*importing}
    assert unprepared == []


_AFTER = """
import sys
from models.convert import import_package
if sys.argv[1] == "after":
    openvino = import_package("openvino")
    openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # reads the limit, only once
from tests.support import openvino_variants
from checker.runtimes.openvino_import import shared_core
import numpy
from pathlib import Path
from models.openvino_ir import get
model = get(openvino_variants.ENTRY, Path("none"), "int8")
compiled = shared_core().compile_model(str(model.path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(compiled(numpy.stack(openvino_variants.crops()[:4]))["logits"].tobytes().hex())
"""


@pytest.mark.slow
@pytest.mark.skipif("amx_int8" not in cpu_flags(), reason="the processor has no AMX")
def test_a_conversion_in_the_same_process_does_not_change_a_models_results() -> None:
    """OpenVINO reads the limit once. With AMX, int8 would have other results than on other processors."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", _AFTER, order], cwd=_ROOT, check=True, capture_output=True, text=True
        ).stdout
        for order in ("alone", "after")
    }
    assert len(outputs) == 1
