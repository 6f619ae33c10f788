"""What the pipeline benchmark found, as shares, against the targets, and as text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from scripts.pipeline.turns import Turn

SHARE = 0.85
"""The promise: the whole pipeline's rate, as a share of the classifier's own."""
FLAT = 1.15
"""The promise is "flat"; medians of milliseconds on a machine that others use differ by as much."""


def spread(values: Sequence[float]) -> dict[str, Any]:
    return {"n": len(values), "median": median(values), "min": min(values), "max": max(values)}


def shares(turns: dict[str, list[Turn]], workers: int) -> dict[str, Any]:
    """``own`` and ``pipeline``, their ratio, and what the difference consists of."""
    found: dict[str, Any] = {name: _summed_up(taken) for name, taken in turns.items()}
    own, pipeline = found["own"], found["pipeline"]
    rounds = [
        through.photos_per_s / alone.photos_per_s
        for alone, through in zip(turns["own"], turns["pipeline"], strict=True)
    ]
    found["ratio"] = pipeline["photos_per_s"]["median"] / own["photos_per_s"]["median"]
    found["ratio_range"] = [min(rounds), max(rounds)]
    # Of all the cores that the workers could have used, in milliseconds for each photo.
    gap = workers * 1000 * (1 / pipeline["photos_per_s"]["median"] - 1 / own["photos_per_s"]["median"])
    process = pipeline["process_core_ms"] - own["process_core_ms"]
    stores = pipeline["store_core_ms"] - own["store_core_ms"]
    idle = pipeline["idle_core_ms"] - own["idle_core_ms"]
    found["gap_core_ms"] = {
        "all": gap,
        "object store": stores,
        "this process": process,
        "idle cores": idle,
        "others": gap - stores - process - idle,
    }
    return found


def _summed_up(turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "photos_per_s": spread([turn.photos_per_s for turn in turns]),
        "process_core_ms": median(turn.process_core_ms for turn in turns),
        "store_core_ms": median(turn.store_core_ms for turn in turns),
        "idle_core_ms": median(turn.idle_core_ms for turn in turns),
        "load": [min(turn.load for turn in turns), max(turn.load for turn in turns)],
    }


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What was promised, and whether this run kept it."""
    found: list[dict[str, Any]] = []

    def judge(what: str, value: float, wanted: float, *, at_least: bool) -> None:
        kept = value >= wanted if at_least else value <= wanted
        found.append({"what": what, "found": value, "wanted": wanted, "at_least": at_least, "kept": kept})

    for label, photos in results["photos"].items():
        judge(f"{label}: pipeline / classifier's own rate", photos["ratio"], SHARE, at_least=True)
    rows = results["rows"]
    sizes = list(rows["drain_photos_per_s"])
    between = f"{sizes[-1]} rows / {sizes[0]}"
    times = rows["claim_and_finish_4_ms: largest / smallest"]
    judge(f"{between}: ms of claim + 4 verdicts", times, FLAT, at_least=False)
    rate = rows["drain_photos_per_s: largest / smallest"]
    judge(f"{between}: photos/s of the pipeline", rate, 1 / FLAT, at_least=True)
    return found


def as_text(results: dict[str, Any]) -> str:
    made = results["made"]["machine"]
    lines = [
        f"{made['processor']}, {made['cores']} cores; load {results['load_at_start']:.1f} at the start, "
        f"{results['load_at_end']:.1f} at the end",
        f"{results['network']}; {results['database']}; {results['workers']} workers, "
        f"{results['batch_photos']} photos in a batch; medians of {results['rounds']} rounds",
    ]
    for label, photos in results["photos"].items():
        lines += [
            "",
            f"{label} ({photos['photo_kB']:.0f} kB, thumbnail {photos['thumbnail_kB']:.0f} kB; "
            f"{photos['n']} photos in a turn)",
            f"{'':20}{'photos/s':>9} {'range':>15} {'core-ms':>8} {'of the store':>13} {'load':>9}",
            _row("from memory", photos["own"]),
            _row("the whole pipeline", photos["pipeline"]),
            "ratio {ratio:.3f} (rounds: {ratio_range[0]:.3f} to {ratio_range[1]:.3f})".format(**photos),
            _gap(photos["gap_core_ms"]),
        ]
    lines += ["", f"{'rows':>9} {'ms of claim + 4 verdicts':>25} {'range':>15} {'photos/s':>9} {'range':>15}"]
    for rows, ms in results["rows"]["claim_and_finish_4_ms"].items():
        rate = results["rows"]["drain_photos_per_s"].get(rows)
        drained = f"{rate['median']:9.1f} {_range(rate)}" if rate else ""
        lines.append(f"{rows:>9} {ms['median']:25.2f} {_range(ms)} {drained}".rstrip())
    lines.append("")
    for target in results["targets"]:
        sign = ">=" if target["at_least"] else "<="
        verdict = "kept" if target["kept"] else "MISSED"
        lines.append(f"{target['what']:55}{target['found']:8.3f}  {sign} {target['wanted']:<6.3g} {verdict}")
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any]) -> str:
    rate, (low, high) = found["photos_per_s"], found["load"]
    return (
        f"{name:20}{rate['median']:9.1f} {_range(rate)} {found['process_core_ms']:8.1f} "
        f"{found['store_core_ms']:13.1f} {f'{low:.1f}-{high:.1f}':>9}"
    )


def _gap(gap: dict[str, float]) -> str:
    parts = ", ".join(f"{name} {core_ms:.1f}" for name, core_ms in gap.items() if name != "all")
    share = f" ({gap['object store'] / gap['all']:.0%} of it the object store's)" if gap["all"] > 0 else ""
    return f"the gap, core-ms a photo: {gap['all']:.1f} = {parts}{share}"


def _range(found: dict[str, Any]) -> str:
    return f"{found['min']:.1f}-{found['max']:.1f}".rjust(15)
