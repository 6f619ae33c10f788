"""The speed benchmark's handle of a variant's process; orders and answers are lines of JSON."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from checker.evaluation.provenance import ROOT
from scripts.command_line import CannotRun


class VariantProcess:
    """A child process that runs ``scripts.speed.worker``."""

    def __init__(self, name: str, model: str, folder: Path, device: str) -> None:
        self.name = name
        command = [sys.executable, "-m", "scripts.speed.worker", name, model, str(folder), device]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.refusal: str | None = None
        """The reason why the variant cannot run here; None if it can."""

    def wait_until_ready(self) -> bool:
        self.refusal = self._answer().get("error")
        return self.refusal is None

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order in the form of ``scripts.speed.worker.answer``; wait for the answer.

        Raises:
            CannotRun: the process has ended, for example because the machine has too little memory.
        """
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # if the process has ended, its missing answer shows that
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise CannotRun(f"{self.name}: {answer['error']}")
        return answer

    def stop(self) -> None:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # the process has ended already
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        return answer
