"""Provenance of a figure: date, command, commit, and the kind of machine."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from checker.process.cores import available_cores
from models.processor import instruction_names, within_limit

ROOT = Path(__file__).resolve().parents[2]
_CODE = ("checker", "models", "scripts")
"""Paths in the checkout that every figure depends on."""


def provenance(*code: str) -> dict[str, Any]:
    """Return where and how a figure was made. Results are published, so user and host are not named.

    Args:
        code: further paths in the checkout that the figure depends on.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": _command(),
        "commit": _commit(code),
        "machine": {
            **processor(_cpuinfo()),
            "cores": available_cores(),
            "load": round(os.getloadavg()[0], 1),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
    }


def machine_kind(machine: Mapping[str, Any]) -> str:
    """Return the processor, its instruction sets and the number of cores in one line."""
    instructions = " ".join(machine.get("instructions", ())) or "no vector instructions known"
    return f"{machine['processor']} ({instructions}), {machine['cores']} cores"


def _command() -> str:
    program, *arguments = map(_publishable, sys.argv)
    start = ["python", program] if program.endswith(".py") else [Path(program).name]
    return shlex.join([*start, *arguments])


def _publishable(argument: str) -> str:
    """Drop this machine's folders, and all of a URL except its scheme: it may contain hosts and passwords."""
    path = Path(argument)
    if not path.is_absolute():
        return re.sub(r"(?s)://.*", "://...", argument)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _commit(code: Sequence[str]) -> str:
    """Return the commit, with ``+changes`` if tracked files differ; outside a checkout, the version."""
    if not (ROOT / ".git").exists():
        try:
            return f"catloader {metadata.version('catloader')}"
        except metadata.PackageNotFoundError:
            return "unknown"
    try:
        commit = _git("rev-parse", "HEAD")
        return f"{commit}+changes" if _git("status", "--porcelain", "-uno", "--", *_CODE, *code) else commit
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def processor(cpuinfo: str) -> dict[str, Any]:
    """Return the processor's name with family and model number, and the instruction sets in use."""
    lines = cpuinfo.partition("\n\n")[0].splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or "unknown"
    if "cpu family" in facts:
        name += f", family {facts['cpu family']} model {facts.get('model', '?')}"
    flags = (facts.get("flags") or facts.get("Features", "")).split()
    return {
        "processor": name,
        "instructions": instruction_names(within_limit(flags)),
    }
