"""Report the results of the speed benchmark as text."""

from __future__ import annotations

from typing import Any

from checker.evaluation.provenance import machine_kind
from checker.values import INPUTS_PER_PHOTO
from scripts.speed.names import WHOLE
from scripts.speed.targets import LETTERS

_NAME_WIDTH = 32
_HEADING = (
    f"{'':{_NAME_WIDTH}}{'photos/s':>9} {'range':>15} {'core-ms':>8} {'p50 ms':>7} {'p95 ms':>7} "
    f"{'peak MB':>8} {'of limit':>9} {'of forward':>11}"
)


def as_text(results: dict[str, Any]) -> str:
    """Return a table for each model and size of photos, then the targets."""
    peaks = results.get("peak_gop_per_s", {})
    lines = [
        f"{machine_kind(results['made']['machine'])}; load {results['load_at_start'][0]:.1f} at the start, "
        f"{results['load_at_end'][0]:.1f} at the end; medians of {results['rounds']} turns",
        "limit of the arithmetic units: "
        + ", ".join(f"{precision} {rate:.0f} GOP/s" for precision, rate in peaks.items()),
    ]
    for model, sizes in results["models"].items():
        for size, photos in results["photos"].items():
            weights = "random weights" if sizes["random_weights"] else "its weights"
            lines += ["", f"{model} ({weights}), {size} ({photos['median_kB']} kB)"]
            lines.append(_HEADING + (f" {'GPU busy':>9}" if results["device"] == "cuda" else ""))
            for name, figures in sizes[size].items():
                forward = sizes["500x375"].get(name, {}).get("forward_only_photos_per_s")
                lines.append(_row(name, figures, sizes["gop_per_photo"], peaks, forward).rstrip())
        if first := sizes.get("first_verdict"):
            torch = "with" if first["torch_is_loaded"] else "without"
            lines.append(
                f"first verdict of {first['variant']}: {first['s']:.2f} s after the process's start, "
                f"{first['peak_rss_bytes'] / 1e6:.0f} MB, {torch} torch"
            )
    if serving := results.get("serves_by_default"):
        lines += ["", f"serves by default here: {serving}, on whole photos ({INPUTS_PER_PHOTO} inputs each)"]
    lines += ["", *(f"left out: {name}: {reason}" for name, reason in results["left_out"].items()), ""]
    for target in results["targets"]:
        sign = ">=" if target["at_least"] else "<="
        result = "met" if target["met"] else "MISSED"
        limit = f"   (the arithmetic units' limit: {target['at_most']:.2f})" if target["at_most"] else ""
        lines.append(
            f"{target['figure']:55}{target['measured']:8.2f}  {sign} {target['target']:<6g} {result}{limit}"
        )
    return "\n".join(lines)


def _row(
    name: str, figures: dict[str, Any], gop: float, peaks: dict[str, float], forward: float | None
) -> str:
    rates, single = figures["photos_per_s_of_each_round"], figures["one_photo_ms"]
    precision = name.removesuffix(WHOLE).partition("-")[2] or "fp32"
    gop *= INPUTS_PER_PHOTO if name.endswith(WHOLE) else 1
    share = f"{figures['photos_per_s'] * gop / peaks[precision]:8.0%}" if precision in peaks else ""
    of_forward = f"{figures['photos_per_s'] / forward:.0%}" if forward else ""
    busy = f"{figures['gpu_utilisation']:.0%}" if "gpu_utilisation" in figures else ""
    label = f"({LETTERS[name]}) {name}" if name in LETTERS else f"CatLoader {name}"
    return (
        f"{label:{_NAME_WIDTH}}{figures['photos_per_s']:9.1f} {f'{min(rates):.1f}-{max(rates):.1f}':>15} "
        f"{figures['core_ms_per_photo']:8.1f} {single['p50']:7.1f} {single['p95']:7.1f} "
        f"{figures['peak_rss_bytes'] / 1e6:8.0f} {share:>9} {of_forward:>11} {busy:>9}"
    )
