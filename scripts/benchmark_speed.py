"""How fast photos are classified, side by side: tutorials' ways and ours, on this machine, in one run.

    python scripts/benchmark_speed.py [--quick] [--json FILE] [--device cuda]

Each variant lives in a process of its own. They take turns, several times over, so that whatever else the
machine does hits all alike; told are medians, the range over the turns, and the load seen. Every rate is from
JPEG files to class scores. ``requirements-bench.txt`` brings the others' packages; a variant whose package is
missing is left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts._command import CannotRun, needs, new_file, plainly
from scripts._provenance import ROOT, provenance
from scripts.speed import photos as photo_sets
from scripts.speed.gpu import utilisation
from scripts.speed.report import as_text, ratios, targets
from scripts.speed.variants import ON_GPU, OURS, PACKAGES, PEERS, make_forms

_MODELS = ("resnet50", "resnet18", "efficientnet_lite0")
_PHOTOS = {"500x375": 12, "12MP": 4}
_FASTEST_START = "openvino-int8"


@dataclass(frozen=True, slots=True)
class Plan:
    models: Sequence[str]
    variants: Sequence[str]
    device: str
    rounds: int
    turn_s: float
    """How long a variant works in one turn; at least one round of its photos or batches."""
    lonely: int
    """Single photos in one turn, for the latency."""


class Worker:
    """A variant's process."""

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

    def wait_until_ready(self) -> bool:
        self.refusal = self._answer().get("error")
        return self.refusal is None

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        return answer


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Everything that was measured; ``ratios`` and ``targets`` with it."""
    results: dict[str, Any] = {
        "made": provenance(),
        "load_at_start": os.getloadavg(),
        "device": plan.device,
        "rounds": plan.rounds,
        "photos": {},
        "left_out": {},
        "models": {},
    }
    for name in plan.variants:
        try:
            needs(*PACKAGES.get(name, ()))
        except CannotRun as error:
            results["left_out"][name] = str(error)
            _say(f"without {name}: {error}")
    plan = replace(plan, variants=[name for name in plan.variants if name not in results["left_out"]])
    photos = {size: photo_sets.make(folder, size, count) for size, count in _PHOTOS.items()}
    for size, files in photos.items():
        kilobytes = statistics.median(file.stat().st_size for file in files) / 1000
        results["photos"][size] = {"n": len(files), "median_kB": round(kilobytes)}
    peaks: dict[str, float] = {}
    for model in plan.models:
        _say(f"{model}: making its forms")
        make_forms(model, folder, plan.variants)
        results["models"][model] = _measured(
            plan, model, folder, photos, left_out=results["left_out"], peaks=peaks
        )
    results["peak_gop_per_s"] = peaks
    results["load_at_end"] = os.getloadavg()
    results["ratios"] = ratios(results)
    results["targets"] = targets(results)
    return results


def _measured(
    plan: Plan,
    model: str,
    folder: Path,
    photos: dict[str, list[Path]],
    *,
    left_out: dict[str, str],
    peaks: dict[str, float],
) -> dict[str, Any]:
    """``left_out`` and ``peaks`` are added to."""
    facts = json.loads((folder / f"{model}.json").read_text())
    found: dict[str, Any] = {"gop_per_photo": facts["gop"], "random_weights": facts["random_weights"]}
    workers = [Worker(name, model, folder, plan.device) for name in plan.variants]
    for worker in workers:
        if not worker.wait_until_ready():
            left_out[f"{model}: {worker.name}"] = worker.refusal or ""
            _say(f"{model}: without {worker.name}: {worker.refusal}")
    ready = [worker for worker in workers if worker.refusal is None]
    if not ready:
        raise CannotRun(f"{model}: no variant runs here")
    units = Worker("peaks", "-", folder, plan.device)
    workers.append(units)
    knows_peaks = units.wait_until_ready()
    for size, files in photos.items():
        names = [str(file) for file in files]
        found[size] = {worker.name: _Turns() for worker in ready}
        for worker in ready:  # first, while no burst has made it grow; and it warms up
            worker.ask(do="one", photos=names, times=2)
        for number in range(plan.rounds):
            for worker in [*ready[number % len(ready) :], *ready[: number % len(ready)]]:
                turns = found[size][worker.name]
                turns.lonely.append(worker.ask(do="one", photos=names, times=plan.lonely))
        for worker in ready:
            worker.ask(do="many", photos=names, seconds=plan.turn_s / 4)
        for number in range(plan.rounds):
            _say(f"{model}, {size}: round {number + 1} of {plan.rounds}, load {os.getloadavg()[0]:.1f}")
            if knows_peaks:  # in each round, since the limit is only as good as the machine is at that time
                for precision, rate in units.ask(do="peaks", seconds=plan.turn_s / 4)["gop_per_s"].items():
                    peaks[precision] = max(rate, peaks.get(precision, 0.0))
            for worker in [*ready[number % len(ready) :], *ready[: number % len(ready)]]:
                turns = found[size][worker.name]
                with utilisation(plan.device) as busy:
                    turns.many.append(worker.ask(do="many", photos=names, seconds=plan.turn_s))
                turns.busy += busy
                if size == "500x375" and worker.name not in PEERS:
                    turns.forward.append(worker.ask(do="forward", photos=names, seconds=plan.turn_s / 2))
        found[size] = {name: turns.summed_up() for name, turns in found[size].items()}
    for worker in workers:
        worker.stop()
    if any(worker.name == _FASTEST_START for worker in ready):
        found["first_verdict"] = _first_verdict(plan, model, folder, photos["500x375"])
    return found


class _Turns:
    """What one variant answered in its turns, photos of one size."""

    def __init__(self) -> None:
        self.many: list[dict[str, Any]] = []
        self.forward: list[dict[str, Any]] = []
        self.lonely: list[dict[str, Any]] = []
        self.busy: list[float] = []

    def summed_up(self) -> dict[str, Any]:
        rates = [turn["photos_per_s"] for turn in self.many]
        times_ms = sorted(time_ms for turn in self.lonely for time_ms in turn["ms"])
        found = {
            "photos_per_s": statistics.median(rates),
            "photos_per_s_of_each_round": rates,
            "core_ms_per_photo": statistics.median(turn["core_ms"] for turn in self.many),
            "one_photo_ms": {
                "p50": statistics.median(times_ms),
                "p95": times_ms[int(len(times_ms) * 0.95)],
                "n": len(times_ms),
            },
            "peak_rss_bytes": self.many[-1]["peak_rss_bytes"],
        }
        if self.forward:
            forwards = [turn["photos_per_s"] for turn in self.forward]
            found["forward_only_photos_per_s"] = statistics.median(forwards)
        if self.busy:
            found["gpu_utilisation"] = statistics.median(self.busy)
        return found


def _first_verdict(plan: Plan, model: str, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """From the start of the process to the scores of the first photo."""
    seconds, answer = [], {}
    for _ in range(plan.rounds):
        started_s = time.perf_counter()
        worker = Worker(_FASTEST_START, model, folder, plan.device)
        worker.wait_until_ready()
        answer = worker.ask(do="one", photos=[str(photos[0])], times=1)
        seconds.append(time.perf_counter() - started_s)
        worker.stop()
    del answer["ms"]
    return {"variant": _FASTEST_START, "s": statistics.median(seconds), "s_of_each_round": seconds, **answer}


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _plan(arguments: argparse.Namespace) -> Plan:
    device = arguments.device
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("No CUDA GPU here that torch can use: the CPU is measured instead.", flush=True)
            device = "cpu"
    names = ON_GPU if device == "cuda" else (*PEERS, *OURS)
    models = arguments.models.split(",") if arguments.models else _MODELS[:1] if arguments.quick else _MODELS
    wanted = arguments.variants.split(",") if arguments.variants else names
    if unknown := {*wanted} - {*names}:
        raise CannotRun(
            f"no variant {', '.join(sorted(unknown))} on this device; there are {', '.join(names)}"
        )
    variants = [name for name in names if name in wanted]
    rounds, turn_s, lonely = (5, 0.8, 8) if arguments.quick else (7, 4.0, 10)
    return Plan(models, variants, device, arguments.rounds or rounds, turn_s, lonely)


@plainly
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ResNet-50 only, short turns: about 5 minutes")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure and ratio there")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--models", metavar="A,B", help=f"of {', '.join(_MODELS)}; default: all")
    parser.add_argument("--variants", metavar="A,B", help=f"of {', '.join((*PEERS, *OURS))}; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each variant (default 7, quick 5)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        results = run(_plan(arguments), Path(folder))
    print(as_text(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
