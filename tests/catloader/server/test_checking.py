from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_worker_imports_no_web_server() -> None:
    code = "import sys, catloader.server.checking; print({'flask', 'gunicorn'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"
