"""Ratios of CatLoader's rate to those of other libraries in the speed benchmark, and their targets."""

from __future__ import annotations

from typing import Any

from scripts.speed.names import OTHERS, WHOLE

LETTERS = dict(zip(OTHERS, "abc", strict=True))
_FASTER = {
    "AVX2": {
        ("resnet50", "500x375"): {"torchvision": 3.2, "onnxruntime": 2.1},
        ("resnet50", "12MP"): {"torchvision": 6.0, "onnxruntime": 5.3},
        ("efficientnet_lite0", "500x375"): {"torchvision": 5.3, "onnxruntime": 2.2},
    },
    "VNNI": {
        ("resnet50", "500x375"): {"torchvision": 6.0, "onnxruntime": 3.9},
        ("resnet50", "12MP"): {"torchvision": 9.0, "onnxruntime": 7.0},
        ("efficientnet_lite0", "500x375"): {"torchvision": 6.0, "onnxruntime": 2.5},
    },
}
"""Kind of processor -> (model, size of the photos) -> other variant -> target ratio.

The ratios hold on two cores, for one square of each photo, decoding included.
"""
_LATENCY_SHARE = 0.25
_FIRST_S, _FIRST_BYTES = 1.0, 250e6
_JUDGED = "resnet50"


def fastest(variants: dict[str, Any], runtime: str = "") -> str | None:
    """Return CatLoader's fastest variant on one square, of one runtime or of all; None if there is none."""
    names = [
        name
        for name in variants
        if name not in OTHERS and name.startswith(runtime) and not name.endswith(WHOLE)
    ]
    return max(names, key=lambda name: variants[name]["photos_per_s"], default=None)


def ratios(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ratios of CatLoader's rate to those of others: of the medians, and the range over rounds.

    ``at_most`` is the ratio that would be reached if the arithmetic units never waited and decoding took no
    time.
    """
    rows = []
    peaks = results.get("peak_gop_per_s", {})
    for model, sizes in results["models"].items():
        for size in results["photos"]:
            variants = sizes[size]
            for runtime in ("", "torch"):
                best = fastest(variants, runtime)
                for other in OTHERS:
                    if best is None or other not in variants:
                        continue
                    pairs = zip(
                        variants[best]["photos_per_s_of_each_round"],
                        variants[other]["photos_per_s_of_each_round"],
                        strict=True,
                    )
                    rounds = [catloader_rate / other_rate for catloader_rate, other_rate in pairs]
                    rate = variants[other]["photos_per_s"]
                    peak = peaks.get(best.partition("-")[2])
                    rows.append(
                        {
                            "model": model,
                            "size": size,
                            "catloader": best,
                            "other": other,
                            "of": runtime or "all",
                            "times": variants[best]["photos_per_s"] / rate,
                            "range": [min(rounds), max(rounds)],
                            "at_most": peak and peak / sizes["gop_per_photo"] / rate,
                        }
                    )
    return rows


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare this run with the targets of its kind of processor."""
    if results["device"] != "cpu":
        return []
    instructions = " ".join(results["made"]["machine"].get("instructions", ()))
    faster = _FASTER["VNNI" if "vnni" in instructions.lower() else "AVX2"]
    rows: list[dict[str, Any]] = []

    def judge(
        figure: str, measured: float, target: float, *, at_least: bool, at_most: float | None = None
    ) -> None:
        rows.append(
            {
                "figure": figure,
                "measured": measured,
                "target": target,
                "at_least": at_least,
                "met": measured >= target if at_least else measured <= target,
                "at_most": at_most,
            }
        )

    for ratio in results["ratios"]:
        model, size, other = ratio["model"], ratio["size"], ratio["other"]
        target = faster.get((model, size), {}).get(other)
        if target is not None and ratio["of"] == "all":
            figure = f"{model}, {size}: times ({LETTERS[other]}) {other}"
            judge(figure, ratio["times"], target, at_least=True, at_most=ratio["at_most"])
    if _JUDGED not in results["models"]:
        return rows
    model = results["models"][_JUDGED]
    variants = model["500x375"]
    best = fastest(variants)
    if best and "torchvision" in variants:
        others_ms = variants["torchvision"]["one_photo_ms"]["p50"]
        share = variants[best]["one_photo_ms"]["p50"] / others_ms
        peak = results.get("peak_gop_per_s", {}).get(best.partition("-")[2])
        limit = peak and model["gop_per_photo"] / peak * 1000 / others_ms
        figure = f"{_JUDGED}, 500x375: p50 of one photo, share of (a)'s"
        judge(figure, share, _LATENCY_SHARE, at_least=False, at_most=limit)
    for size in results["photos"]:
        best, others = fastest(model[size]), [name for name in OTHERS if name in model[size]]
        if best and others:
            least = min(model[size][name]["peak_rss_bytes"] for name in others)
            share = model[size][best]["peak_rss_bytes"] / least
            figure = f"{_JUDGED}, {size}: peak memory, share of the smallest other's"
            judge(figure, share, 1.0, at_least=False)
    if first := model.get("first_verdict"):
        figure = f"{_JUDGED}: first verdict after the process's start, s"
        judge(figure, first["s"], _FIRST_S, at_least=False)
        judge("... its peak memory, MB", first["peak_rss_bytes"] / 1e6, _FIRST_BYTES / 1e6, at_least=False)
    return rows
