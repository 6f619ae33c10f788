"""Results of the pipeline benchmark: shares, targets and text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from checker.evaluation.provenance import machine_kind
from checker.plurals import counted
from scripts.pipeline.turns import Turn

SHARE = 0.85
"""Target: minimum rate of the whole pipeline, as a share of the classifier's own."""
FLAT = 1.15
"""Target: maximum factor between the smallest and the largest table, because medians vary by so much."""


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return number, median and range."""
    return {"n": len(values), "median": median(values), "min": min(values), "max": max(values)}


def shares(turns: dict[str, list[Turn]], workers: int) -> dict[str, Any]:
    """Return the figures of each way to check, its ratio to ``own``, and the parts of ``pipeline``'s gap."""
    figures: dict[str, Any] = {name: _summary(taken) for name, taken in turns.items()}
    own, pipeline = figures["own"], figures["pipeline"]
    for name, prefix in (("pipeline", ""), ("uploads", "uploads_")):
        rounds = [
            whole.photos_per_s / alone.photos_per_s
            for alone, whole in zip(turns["own"], turns[name], strict=True)
        ]
        medians = figures[name]["photos_per_s"]["median"], own["photos_per_s"]["median"]
        figures[f"{prefix}ratio"] = medians[0] / medians[1]
        figures[f"{prefix}ratio_range"] = [min(rounds), max(rounds)]
    # Core time of all workers, in milliseconds per photo.
    gap = workers * 1000 * (1 / pipeline["photos_per_s"]["median"] - 1 / own["photos_per_s"]["median"])
    process = pipeline["process_core_ms"] - own["process_core_ms"]
    stores = pipeline["store_core_ms"] - own["store_core_ms"]
    idle = pipeline["idle_core_ms"] - own["idle_core_ms"]
    figures["gap_core_ms"] = {
        "all": gap,
        "object store": stores,
        "this process and its decoders": process,
        "idle cores": idle,
        "others": gap - stores - process - idle,
    }
    return figures


def _summary(turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "photos_per_s": spread([turn.photos_per_s for turn in turns]),
        "process_core_ms": median(turn.process_core_ms for turn in turns),
        "store_core_ms": median(turn.store_core_ms for turn in turns),
        "idle_core_ms": median(turn.idle_core_ms for turn in turns),
        "load": [min(turn.load for turn in turns), max(turn.load for turn in turns)],
    }


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare this run with the targets."""
    judged: list[dict[str, Any]] = []

    def judge(figure: str, measured: float, target: float, *, at_least: bool) -> None:
        judged.append(
            {
                "figure": figure,
                "measured": measured,
                "target": target,
                "at_least": at_least,
                "met": measured >= target if at_least else measured <= target,
            }
        )

    for label, photos in results["photos"].items():
        judge(f"{label}: pipeline / classifier's own rate", photos["ratio"], SHARE, at_least=True)
        uploads = photos["uploads_ratio"]
        judge(f"{label}: new uploads / classifier's own rate", uploads, SHARE, at_least=True)
    rows = results["rows"]
    sizes = list(rows["drain_photos_per_s"])
    between = f"{sizes[-1]} rows / {sizes[0]}"
    times = rows["claim_and_finish_4_ms: largest / smallest"]
    judge(f"{between}: ms of claim + 4 verdicts", times, FLAT, at_least=False)
    rate = rows["drain_photos_per_s: largest / smallest"]
    judge(f"{between}: photos/s of the pipeline", rate, 1 / FLAT, at_least=True)
    return judged


def as_text(results: dict[str, Any]) -> str:
    """Return a table for each kind of photos, one for the table sizes, and the targets."""
    lines = [
        f"{machine_kind(results['made']['machine'])}; load {results['load_at_start']:.1f} at the start, "
        f"{results['load_at_end']:.1f} at the end",
        f"{results['model']}; {results['database']}; {counted(results['workers'], 'worker')}, "
        f"{counted(results['batch_photos'], 'photo')} in a batch; medians of "
        f"{counted(results['rounds'], 'round')}",
    ]
    for label, photos in results["photos"].items():
        lines += [
            "",
            f"{label} ({photos['photo_kB']:.0f} kB, thumbnail {photos['thumbnail_kB']:.0f} kB; "
            f"{photos['n']} photos in a turn)",
            f"{'':20}{'photos/s':>9} {'range':>15} {'core-ms':>8} {'of the store':>13} {'load':>9}",
            _row("from memory", photos["own"]),
            _row("the whole pipeline", photos["pipeline"]),
            _row("new uploads", photos["uploads"]),
            "ratio {ratio:.3f} (rounds: {ratio_range[0]:.3f} to {ratio_range[1]:.3f})".format(**photos),
            "ratio of new uploads {uploads_ratio:.3f} (rounds: {uploads_ratio_range[0]:.3f} to "
            "{uploads_ratio_range[1]:.3f})".format(**photos),
            _gap(photos["gap_core_ms"]),
        ]
    lines += ["", f"{'rows':>9} {'ms of claim + 4 verdicts':>25} {'range':>15} {'photos/s':>9} {'range':>15}"]
    for rows, ms in results["rows"]["claim_and_finish_4_ms"].items():
        rate = results["rows"]["drain_photos_per_s"].get(rows)
        photos_per_s = f"{rate['median']:9.1f} {_range(rate)}" if rate else ""
        lines.append(f"{rows:>9} {ms['median']:25.2f} {_range(ms)} {photos_per_s}".rstrip())
    lines.append("")
    for target in results["targets"]:
        sign = ">=" if target["at_least"] else "<="
        result = "met" if target["met"] else "MISSED"
        lines.append(
            f"{target['figure']:55}{target['measured']:8.3f}  {sign} {target['target']:<6.3g} {result}"
        )
    return "\n".join(lines)


def _row(name: str, figures: dict[str, Any]) -> str:
    rate, (low, high) = figures["photos_per_s"], figures["load"]
    return (
        f"{name:20}{rate['median']:9.1f} {_range(rate)} {figures['process_core_ms']:8.1f} "
        f"{figures['store_core_ms']:13.1f} {f'{low:.1f}-{high:.1f}':>9}"
    )


def _gap(gap: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {core_ms:.1f}" for name, core_ms in gap.items() if name != "all")
    share = f" ({gap['object store'] / gap['all']:.0%} of it the object store's)" if gap["all"] > 0 else ""
    return f"the gap, core-ms per photo: {gap['all']:.1f} = {parts}{share}"


def _range(figures: dict[str, Any]) -> str:
    return f"{figures['min']:.1f}-{figures['max']:.1f}".rjust(15)
