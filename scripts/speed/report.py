"""What the speed benchmark found, as ratios, against the targets, and as text."""

from __future__ import annotations

from typing import Any

from scripts.speed.variants import PEERS

_LETTERS = dict(zip(PEERS, "abc", strict=True))
# On two cores, ResNet-50, decode included: size -> peer -> how many times as fast we mean to be.
_FASTER = {
    "500x375": {"torchvision": 6.5, "transformers": 6.5, "onnxruntime": 3.7},
    "12MP": {"torchvision": 9.0, "transformers": 14.0, "onnxruntime": 5.5},
}
_TORCH_FASTER = 3.0
_LATENCY_SHARE = 0.25
_FIRST_S, _FIRST_BYTES = 1.0, 250e6
_JUDGED = "resnet50"
_HEADING = (
    f"{'':18}{'photos/s':>9} {'range':>15} {'core-ms':>8} {'p50 ms':>7} {'p95 ms':>7} {'peak MB':>8} "
    f"{'of limit':>9} {'of forward':>11}"
)


def ours(variants: dict[str, Any], runtime: str = "") -> str | None:
    """The fastest of ours."""
    names = [name for name in variants if name not in PEERS and name.startswith(runtime)]
    return max(names, key=lambda name: variants[name]["photos_per_s"], default=None)


def ratios(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Ours over each peer: medians, and the range of the rounds' own ratios.

    ``at_most`` is what arithmetic units that never wait would reach, with a decoder that takes no time.
    """
    found = []
    peaks = results.get("peak_gop_per_s", {})
    for model, sizes in results["models"].items():
        for size in results["photos"]:
            variants = sizes[size]
            for runtime in ("", "torch"):
                best = ours(variants, runtime)
                for peer in PEERS:
                    if best is None or peer not in variants:
                        continue
                    rounds = [
                        mine / theirs
                        for mine, theirs in zip(
                            variants[best]["photos_per_s_of_each_round"],
                            variants[peer]["photos_per_s_of_each_round"],
                            strict=True,
                        )
                    ]
                    ratio = variants[best]["photos_per_s"] / variants[peer]["photos_per_s"]
                    limit = peaks.get(best.partition("-")[2])
                    limit = limit and limit / sizes["gop_per_photo"] / variants[peer]["photos_per_s"]
                    found.append(
                        {
                            "model": model,
                            "size": size,
                            "ours": best,
                            "peer": peer,
                            "of": runtime or "all",
                            "times": ratio,
                            "range": [min(rounds), max(rounds)],
                            "at_most": limit,
                        }
                    )
    return found


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What was promised of ResNet-50 on two cores, and whether this run kept it."""
    if _JUDGED not in results["models"] or results["device"] != "cpu":
        return []
    found: list[dict[str, Any]] = []

    def judge(
        what: str, value: float, wanted: float, *, at_least: bool, at_most: float | None = None
    ) -> None:
        kept = value >= wanted if at_least else value <= wanted
        found.append(
            {
                "what": what,
                "found": value,
                "wanted": wanted,
                "at_least": at_least,
                "kept": kept,
                "at_most": at_most,
            }
        )

    for ratio in results["ratios"]:
        if ratio["model"] != _JUDGED:
            continue
        times, size, peer = ratio["times"], ratio["size"], ratio["peer"]
        if ratio["of"] == "all":
            judge(
                f"{size}: times ({_LETTERS[peer]}) {peer}",
                times,
                _FASTER[size][peer],
                at_least=True,
                at_most=ratio["at_most"],
            )
        elif (size, peer) == ("500x375", "torchvision"):
            judge(
                f"{size}: torch alone, times (a) {peer}",
                times,
                _TORCH_FASTER,
                at_least=True,
                at_most=ratio["at_most"],
            )
    model = results["models"][_JUDGED]
    variants = model["500x375"]
    best = ours(variants)
    if best and "torchvision" in variants:
        share = variants[best]["one_photo_ms"]["p50"] / variants["torchvision"]["one_photo_ms"]["p50"]
        judge("500x375: p50 of one photo, share of (a)'s", share, _LATENCY_SHARE, at_least=False)
    for size in results["photos"]:
        best, peers = ours(model[size]), [name for name in PEERS if name in model[size]]
        if best and peers:
            least = min(model[size][name]["peak_rss_bytes"] for name in peers)
            share = model[size][best]["peak_rss_bytes"] / least
            judge(f"{size}: peak memory, share of the leanest peer's", share, 1.0, at_least=False)
    if first := model.get("first_verdict"):
        judge("first verdict after the process's start, s", first["s"], _FIRST_S, at_least=False)
        judge("... its peak memory, MB", first["peak_rss_bytes"] / 1e6, _FIRST_BYTES / 1e6, at_least=False)
    return found


def as_text(results: dict[str, Any]) -> str:
    peaks = results.get("peak_gop_per_s", {})
    made = results["made"]["machine"]
    lines = [
        f"{made['processor']}, {made['cores']} cores; load {results['load_at_start'][0]:.1f} at the start, "
        f"{results['load_at_end'][0]:.1f} at the end; medians of {results['rounds']} turns",
        "limit of the arithmetic units: "
        + ", ".join(f"{precision} {rate:.0f} GOP/s" for precision, rate in peaks.items()),
    ]
    for model, sizes in results["models"].items():
        for size, photos in results["photos"].items():
            weights = "random weights" if sizes["random_weights"] else "its weights"
            lines += ["", f"{model} ({weights}), {size} ({photos['median_kB']} kB)"]
            lines.append(_HEADING + (f" {'GPU busy':>9}" if results["device"] == "cuda" else ""))
            for name, found in sizes[size].items():
                forward = sizes["500x375"].get(name, {}).get("forward_only_photos_per_s")
                lines.append(_row(name, found, sizes["gop_per_photo"], peaks, forward).rstrip())
        if first := sizes.get("first_verdict"):
            torch = "with" if first["torch_is_loaded"] else "without"
            lines.append(
                f"first verdict of {first['variant']}: {first['s']:.2f} s after the process's start, "
                f"{first['peak_rss_bytes'] / 1e6:.0f} MB, {torch} torch"
            )
    lines += ["", *(f"left out: {what}: {why}" for what, why in results["left_out"].items()), ""]
    for target in results["targets"]:
        sign = ">=" if target["at_least"] else "<="
        verdict = "kept" if target["kept"] else "MISSED"
        most = target["at_most"]
        limit = f"   (the arithmetic units' limit: {most:.2f})" if most else ""
        lines.append(
            f"{target['what']:55}{target['found']:8.2f}  {sign} {target['wanted']:<6g} {verdict}{limit}"
        )
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any], gop: float, peaks: dict[str, float], forward: float | None) -> str:
    rates, one = found["photos_per_s_of_each_round"], found["one_photo_ms"]
    precision = name.partition("-")[2] or "fp32"
    share = f"{found['photos_per_s'] * gop / peaks[precision]:8.0%}" if precision in peaks else ""
    of_forward = f"{found['photos_per_s'] / forward:.0%}" if forward else ""
    busy = f"{found['gpu_utilisation']:.0%}" if "gpu_utilisation" in found else ""
    letter = f"({_LETTERS[name]}) " if name in _LETTERS else "us: "
    return (
        f"{letter + name:18}{found['photos_per_s']:9.1f} {f'{min(rates):.1f}-{max(rates):.1f}':>15} "
        f"{found['core_ms_per_photo']:8.1f} {one['p50']:7.1f} {one['p95']:7.1f} "
        f"{found['peak_rss_bytes'] / 1e6:8.0f} {share:>9} {of_forward:>11} {busy:>9}"
    )
