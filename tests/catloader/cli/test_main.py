"""The command line before a command is imported."""

from __future__ import annotations

import signal
import subprocess
import sys


def test_ctrl_c_during_the_imports_leaves_no_traceback() -> None:
    # -v prints each import, more bytes than a pipe holds: the imports wait until the test reads.
    command = [sys.executable, "-v", "-m", "catloader", "settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(line.startswith("import 'click' ") for line in lines)
        process.send_signal(signal.SIGINT)
        rest = "".join(lines)
    assert "Traceback" not in rest
    assert process.returncode == 128 + signal.SIGINT
