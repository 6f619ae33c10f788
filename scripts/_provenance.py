"""Where a number comes from: commit, machine, date, command."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CODE = ("checker", "models", "scripts", "catloader/intake/prepare.py")
ROOT = Path(__file__).resolve().parents[1]


def provenance(*also: str) -> dict[str, Any]:
    """Names neither user nor host: results are published.

    Args:
        also: paths, beside the ones that touch every number, whose changes are no part of the commit.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": shlex.join(["python", *(_publishable(argument) for argument in sys.argv)]),
        "commit": _commit(also),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
    }


def _publishable(argument: str) -> str:
    """Without this machine's folders, and of a URL its scheme alone: the rest names hosts and passwords."""
    path = Path(argument)
    return os.path.relpath(path, ROOT) if path.is_absolute() else re.sub(r"(?s)://.*", "://...", argument)


def _commit(also: Sequence[str]) -> str:
    """With ``+changes`` where tracked files that touch the numbers differ from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}+changes" if _git("status", "--porcelain", "-uno", "--", *_CODE, *also) else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
