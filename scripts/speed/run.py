"""A run of the speed benchmark: measure the variants in turn, and summarise the results as medians."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from catloader.checks.promotion import resolve_model
from catloader.checks.runtime_request import runtime_request
from catloader.settings import Settings
from checker.decision.subject import load_subject
from checker.evaluation.progress import note, progress_bar
from checker.evaluation.provenance import provenance
from checker.runtimes.selection.select import select_variant
from scripts.command_line import CannotRun, require
from scripts.speed import photos as photo_sets
from scripts.speed.gpu import utilisation
from scripts.speed.names import OTHERS, PACKAGES, Plan
from scripts.speed.process import VariantProcess
from scripts.speed.targets import ratios, targets
from scripts.speed.variants import make_variants

_SMALL_PHOTOS = 12
_FIRST_VERDICT = "openvino-int8"


def run(plan: Plan, folder: Path) -> dict[str, Any]:
    """Measure everything in the plan; return the figures with ``ratios`` and ``targets``."""
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
            require(*PACKAGES.get(name, ()))
        except CannotRun as error:
            results["left_out"][name] = str(error)
            note(f"without {name}: {error}")
    plan = replace(plan, variants=[name for name in plan.variants if name not in results["left_out"]])
    counts = {"500x375": _SMALL_PHOTOS, "12MP": plan.large_photos}
    photos = {size: photo_sets.make(folder, size, count) for size, count in counts.items()}
    for size, files in photos.items():
        kilobytes = statistics.median(file.stat().st_size for file in files) / 1000
        results["photos"][size] = {"n": len(files), "median_kB": round(kilobytes)}
    peaks: dict[str, float] = {}
    for model in plan.models:
        make_variants(model, folder, plan.variants)
        results["models"][model] = _measure(
            plan, model, folder, photos, left_out=results["left_out"], peaks=peaks
        )
    results["peak_gop_per_s"] = peaks
    results["load_at_end"] = os.getloadavg()
    results["serves_by_default"] = _serving()
    results["ratios"] = ratios(results)
    results["targets"] = targets(results)
    return results


def _serving() -> str:
    """Return the model and the variant that check on this machine by default."""
    settings = Settings()
    entry, path = resolve_model(settings)
    choice = select_variant(entry, path, load_subject(settings.subject), runtime_request(settings))
    choice.classifier.close()
    return f"{entry.name}, {choice.variant}"


def _measure(
    plan: Plan,
    model: str,
    folder: Path,
    photos: dict[str, list[Path]],
    *,
    left_out: dict[str, str],
    peaks: dict[str, float],
) -> dict[str, Any]:
    """Measure all variants of one model; add to ``left_out`` and ``peaks``."""
    facts = json.loads((folder / f"{model}.json").read_text())
    figures: dict[str, Any] = {"gop_per_photo": facts["gop"], "random_weights": facts["random_weights"]}
    processes = [VariantProcess(name, model, folder, plan.device) for name in plan.variants]
    for process in processes:
        if not process.wait_until_ready():
            left_out[f"{model}: {process.name}"] = process.refusal or ""
            note(f"{model}: without {process.name}: {process.refusal}")
    ready = [process for process in processes if process.refusal is None]
    if not ready:
        raise CannotRun(f"{model}: no variant runs here")
    # The peaks are measured with OpenVINO, and only those of the CPU.
    has_peaks = any(process.name.startswith("openvino") for process in ready)
    arithmetic = VariantProcess("peaks", "-", folder, plan.device)
    processes.append(arithmetic)
    arithmetic.wait_until_ready()
    for size, files in photos.items():
        names = [str(file) for file in files]
        turns = {process.name: _Turns() for process in ready}
        # Latency is measured first, before throughput makes the processes grow. The first order is a warm-up.
        for process in ready:
            process.ask(do="one", photos=names, times=2)
        for number in range(plan.rounds):
            for process in _rotated(ready, number):
                answer = process.ask(do="one", photos=names, times=plan.single_photos)
                turns[process.name].single.append(answer)
        for process in ready:
            process.ask(do="many", photos=names, seconds=plan.turn_s / 4)
        with progress_bar(plan.rounds, f"{model}, {size}", "rounds") as progress:
            for number in range(plan.rounds):
                if has_peaks:  # in every round, so that peaks and variants are measured under the same load
                    rates = arithmetic.ask(do="peaks", seconds=plan.turn_s / 4)["gop_per_s"]
                    peaks.update({name: max(rate, peaks.get(name, 0.0)) for name, rate in rates.items()})
                for process in _rotated(ready, number):
                    _throughput(process, turns[process.name], plan, size, names)
                progress.update()
        figures[size] = {name: turn.summary() for name, turn in turns.items()}
    for process in processes:
        process.stop()
    if any(process.name == _FIRST_VERDICT for process in ready):
        figures["first_verdict"] = _first_verdict(plan, model, folder, photos["500x375"])
    return figures


def _throughput(process: VariantProcess, turns: _Turns, plan: Plan, size: str, photos: Sequence[str]) -> None:
    with utilisation(plan.device) as busy:
        turns.many.append(process.ask(do="many", photos=photos, seconds=plan.turn_s))
    turns.busy += busy
    if size == "500x375" and process.name not in OTHERS:
        turns.forward.append(process.ask(do="forward", photos=photos, seconds=plan.turn_s / 2))


def _rotated(processes: list[VariantProcess], number: int) -> list[VariantProcess]:
    """Return the processes in the order of a round, so that no variant always follows the same other one."""
    return [*processes[number % len(processes) :], *processes[: number % len(processes)]]


class _Turns:
    """The answers of one variant for photos of one size."""

    def __init__(self) -> None:
        self.many: list[dict[str, Any]] = []
        self.forward: list[dict[str, Any]] = []
        self.single: list[dict[str, Any]] = []
        self.busy: list[float] = []

    def summary(self) -> dict[str, Any]:
        rates = [turn["photos_per_s"] for turn in self.many]
        times_ms = sorted(time_ms for turn in self.single for time_ms in turn["ms"])
        summary = {
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
            forward_rates = [turn["photos_per_s"] for turn in self.forward]
            summary["forward_only_photos_per_s"] = statistics.median(forward_rates)
        if self.busy:
            summary["gpu_utilisation"] = statistics.median(self.busy)
        return summary


def _first_verdict(plan: Plan, model: str, folder: Path, photos: Sequence[Path]) -> dict[str, Any]:
    """Return the time from the start of the process to the scores of the first photo."""
    seconds, answer = [], {}
    for _ in range(plan.rounds):
        started_s = time.perf_counter()
        process = VariantProcess(_FIRST_VERDICT, model, folder, plan.device)
        process.wait_until_ready()
        answer = process.ask(do="one", photos=[str(photos[0])], times=1)
        seconds.append(time.perf_counter() - started_s)
        process.stop()
    del answer["ms"]
    return {"variant": _FIRST_VERDICT, "s": statistics.median(seconds), "s_of_each_round": seconds, **answer}
