"""Kill processes of bulk runs with SIGKILL, let the plan finish, and count verdicts and inferences."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import Any

import psutil

from catloader.bulk.plan import Plan
from catloader.settings import Settings
from scripts.bulk.counted import counted
from scripts.bulk.drivers import LONGEST_S, end, start

_ENDING_S = 180.0
UNITS_BEFORE_A_KILL = 2
VICTIMS = {"local": ("driver",), "ray": ("driver", "raylet", "worker")}
"""Engine -> kinds of processes to kill. The kills of Ray's workers happen in a run that continues."""
_NAMES = {"worker": "ray::UnitChecker"}
"""Kind of process -> the start of its process name, if it differs from the kind."""


def kill(settings: Settings, plan: Plan, engine: str, kills: int) -> dict[str, Any]:
    """Kill each kind of process ``kills`` times, after some units each; then let the plan finish."""
    count_file = plan.folder / "classified"
    extra: dict[str, int] = {}
    process: subprocess.Popen[bytes] | None = None
    for victim in VICTIMS[engine]:
        for _ in range(kills):
            process = process or start(settings, plan, engine, count_file=count_file)
            _wait_for_units(process, plan, plan.done() + UNITS_BEFORE_A_KILL)
            family = _family(process)
            _kill_one(family, _NAMES.get(victim, victim))
            if victim != "worker":
                _wait_for_end(process, family)
                process = None
        if process is None:
            extra[victim] = counted(count_file) - _done_photos(plan) - sum(extra.values())
    end(process or start(settings, plan, engine, count_file=count_file))
    ids = [row["photo_id"] for rows in plan.results() for row in rows if row["verdict"]]
    extra.setdefault(VICTIMS[engine][-1], counted(count_file) - len(ids) - sum(extra.values()))
    return {
        "kills": dict.fromkeys(VICTIMS[engine], kills),
        "photos": plan.facts.photos,
        "verdicts": len(ids),
        "doubles": len(ids) - len(set(ids)),
        "extra_inferences": extra,
    }


def _done_photos(plan: Plan) -> int:
    return min(plan.done() * plan.facts.unit_rows, plan.facts.photos)


def _wait_for_units(process: subprocess.Popen[bytes], plan: Plan, units: int) -> None:
    deadline_s = time.monotonic() + LONGEST_S
    while plan.done() < units:
        if process.poll() is not None:
            raise RuntimeError("A driver ended before it was killed.")
        if time.monotonic() > deadline_s:
            raise RuntimeError("A driver hangs.")
        time.sleep(0.02)


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    driver = psutil.Process(process.pid)
    return [driver, *driver.children(recursive=True)]


def _kill_one(family: list[psutil.Process], victim: str) -> None:
    if victim == "driver":
        family[0].kill()
        return
    for member in family:
        if _name(member).startswith(victim):
            member.kill()
            return
    raise RuntimeError(f"There is no {victim} to kill.")


def _wait_for_end(process: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    """Wait until no process of a killed run classifies any more, and end Ray's agents.

    Without this the agents would end only after two minutes.
    """
    process.wait(_ENDING_S)
    agents = [member for member in family[1:] if _name(member).endswith("Agent")]
    others = [member for member in family[1:] if member not in agents]
    _, survivors = psutil.wait_procs(others, timeout=_ENDING_S / 10)
    if survivors:
        raise RuntimeError(f"{len(survivors)} processes outlive a killed run.")
    for agent in agents:
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.kill()


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return str(process.name())
    return ""
