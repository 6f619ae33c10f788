"""Figures of the documents equal those of the profiles and of the files in scripts/results.

docs/scaling.md has ``test_scaling.py``; ``test_docs.py`` compares the tables of faults and of coverage.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def _text(name: str) -> str:
    return " ".join((_ROOT / name).read_text("utf-8").split())


def _result(name: str, processor: str = "avx512-vnni") -> dict[str, Any]:
    return dict(json.loads((_ROOT / f"scripts/results/{name}-{processor}.json").read_text("utf-8")))


def _points(variant: str) -> dict[float, dict[str, Any]]:
    """Return the measured points of a profile by the requested rate."""
    profile = json.loads((_ROOT / f"models/profiles/{variant}-house_cat.json").read_text("utf-8"))
    return {point["target"]: point for point in profile["cat"]}


def _percent(rate: float, digits: int = 1) -> str:
    return f"{100 * rate:.{digits}f}"


_IN_WHICH_MODEL = (
    "resnet50_v1-openvino-int8",
    "resnet50_v1-openvino-bf16",
    "resnet50_v1-openvino-fp32",
    "efficientnet_lite0-openvino-int8",
)


@pytest.mark.parametrize("rate", [0.003, 0.005, 0.01])
def test_the_table_of_models_has_the_rates_of_the_profiles(rate: float) -> None:
    table = (_ROOT / "docs/operations.md").read_text("utf-8").partition("## Which model")[2]
    row = next(line for line in table.splitlines() if line.startswith("| ") and f" {100 * rate:g} %" in line)
    points = [_points(variant)[rate] for variant in _IN_WHICH_MODEL]
    rates = [tuple(re.findall(r"[\d.]+", cell)[:2]) for cell in row.split("|")[2:6]]
    assert rates == [
        (_percent(point["recall"]["rate"]), str(point["kinds"]["dog"]["errors"])) for point in points
    ]


def test_the_decisions_have_the_recall_of_the_profiles() -> None:
    int8, fp32 = (_points(f"efficientnet_lite0-{name}") for name in ("openvino-int8", "torch-fp32"))
    rates = (0.003, 0.005, 0.01, 0.02)
    of_int8, of_fp32 = (
        "{}, {}, {} and {}".format(*(_percent(points[rate]["recall"]["rate"]) for rate in rates))
        for points in (int8, fp32)
    )
    assert (
        f"{of_int8} % of the cats at requested rates of 0.3, 0.5, 1 and 2 %, torch fp32 {of_fp32} %"
        in _text("docs/decisions/0003-openvino.md")
    )
    in_full = ", ".join(f"{_percent(point['recall']['rate'], 2)}%" for point in fp32.values())
    assert f"fp32 in torch finds {in_full} at the same targets" in _text("docs/decisions/0002-the-score.md")
    text = _text("docs/decisions/0004-models-and-pixels.md")
    assert f"then Lite0 ({_percent(int8[0.01]['recall']['rate'])} % at" in text


@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("EfficientNet-Lite 0", ("efficientnet_lite0-torch-fp16", "efficientnet_lite0-torch-bf16")),
        ("ResNet-50 v1", ("resnet50_v1-torch-fp16", "resnet50_v1-torch-fp32")),
    ],
)
def test_the_decision_on_gpus_has_the_recall_of_the_profiles(name: str, variants: tuple[str, str]) -> None:
    recalls = [
        f"{variant.rpartition('-')[2]} "
        + " / ".join(_percent(_points(variant)[rate]["recall"]["rate"]) for rate in (0.003, 0.005, 0.01))
        for variant in variants
    ]
    assert f"{name} {' %, '.join(recalls)} %" in _text("docs/decisions/0015-gpu.md")


def test_the_rates_of_int8_equal_those_of_its_profile() -> None:
    text = (_ROOT / "docs/decisions/0002-the-score.md").read_text("utf-8")
    for target, point in _points("efficientnet_lite0-openvino-int8").items():
        recall = point["recall"]
        cells = [
            f"{_percent(kind['rate'], 2)}% ({kind['errors']} of {kind['n']})"
            for kind in (point["kinds"][name] for name in ("dog", "other animal", "thing or scene"))
        ]
        row = next(line for line in text.splitlines() if line.startswith(f"| {_percent(target)}% |"))
        assert row.startswith(f"| {_percent(target)}% | {' | '.join(cells)} | ")
        share = " | ".join(
            [
                f"{_percent(recall['rate'], 2)}%",
                f"{_percent(recall['low'], 2)}% - {_percent(recall['high'], 2)}%",
            ]
        )
        assert row.endswith(f" | {share} |")


def test_the_memory_of_uploads_equals_the_measured_one() -> None:
    formats = _result("memory")["formats"]
    names = ("JPEG", "PROGRESSIVE", "PNG", "TIFF", "HEIC", "AVIF", "RGBA", "WEBP")
    idle_mb = round(formats["JPEG"]["idle_bytes"] / 1e6)
    above_mb = max(format["after_bytes"] - formats["JPEG"]["idle_bytes"] for format in formats.values()) / 1e6
    worker_mb = max(format["worker_highest_bytes"] for format in formats.values()) / 1e6
    text = _text("docs/promises.md")
    numbers = re.search(rf"had {idle_mb} MB when idle, at most (.+?) \(WebP\)", text)
    assert numbers
    assert [int(number) for number in re.findall(r"\d+", numbers[1])] == [
        round(formats[name]["highest_bytes"] / 1e6) for name in names
    ]
    assert f"never more than {above_mb:.0f} MB above the first idle value" in text
    assert f"checked them, had at most {worker_mb:.0f} MB" in text


def test_the_figures_of_hostile_uploads_equal_the_measured_ones() -> None:
    measured, text = _result("hostile-uploads"), _text("docs/promises.md")
    uploads, stored, refused = (
        f"{measured[name]:,}".replace(",", " ") for name in ("uploads", "stored", "refused")
    )
    assert f"{uploads} uploads, {stored} stored and {refused} refused" in text
    assert f"the slowest after {measured['slowest_s']:.1f} s" in text
    after_mb, before_mb = (round(measured[f"idle_{when}_bytes"] / 1e6) for when in ("after", "before"))
    assert f"the site's processes {after_mb} MB ({before_mb} MB before)" in text


def test_the_figures_of_the_pipeline_and_the_speed_equal_the_measured_ones() -> None:
    decision = _text("docs/decisions/0003-openvino.md")
    gap = _result("pipeline-lite0")["photos"]["generated, 500x375"]["gap_core_ms"]
    assert (
        f"SeaweedFS {gap['object store']:.1f}, this process and its decoders need "
        f"{gap['this process and its decoders']:.1f}, and the cores idle for {gap['idle cores']:.1f}."
    ) in decision
    times = {
        (ratio["model"], ratio["size"], ratio["other"]): f"{ratio['times']:.1f}"
        for ratio in _result("speed")["ratios"]
    }
    over_tutorial = times["resnet50", "500x375", "torchvision"]
    assert f"int8 is {over_tutorial} times as fast as torchvision" in decision
    assert f"classifies {over_tutorial} times as many squares" in _text("README.md")


@pytest.mark.parametrize("processor", ["avx512-vnni", "avx2"])
def test_the_tables_of_speed_equal_the_measured_ones(processor: str) -> None:
    decision = (_ROOT / "docs/decisions/0003-openvino.md").read_text("utf-8")
    table = decision.partition(f"(`scripts/results/speed-{processor}.json`;")[2].split("\n\n")[1]
    rows = [[cell.strip() for cell in line.split("|")[2:6]] for line in table.splitlines()[2:]]
    variants = ("torchvision", "onnxruntime", "openvino-int8", "openvino-int8-whole")
    assert rows == [
        _speed(model, variant)
        for model in map(_result("speed", processor)["models"].get, ("resnet50", "efficientnet_lite0"))
        for variant in variants
    ]


def _speed(model: dict[str, Any], variant: str) -> list[str]:
    small, large = model["500x375"][variant], model["12MP"][variant]
    rates = [size["photos_per_s"] for size in (small, large)]
    return [
        *(f"{rate:.{0 if rate >= 100 else 1}f}" for rate in rates),
        f"{small['one_photo_ms']['p50']:.1f}",
        f"{small['peak_rss_bytes'] / 1e6:.0f}",
    ]


def test_the_figures_without_vnni_equal_the_measured_ones() -> None:
    text = _text("docs/decisions/0003-openvino.md").partition("**Speed without VNNI**")[2]
    times = {
        (ratio["model"], ratio["size"], ratio["other"]): f"{ratio['times']:.1f}"
        for ratio in _result("speed", "avx2")["ratios"]
    }

    def both(model: str, size: str) -> tuple[str, str]:
        return times[model, size, "torchvision"], times[model, size, "onnxruntime"]

    assert (
        "ResNet-50 is {} times as fast as with torchvision's code and {} times".format(
            *both("resnet50", "500x375")
        )
        in text
    )
    assert (
        "Lite0 is {} and {} times as fast, ResNet-50 on large photos {} and {} times.".format(
            *both("efficientnet_lite0", "500x375"), *both("resnet50", "12MP")
        )
        in text
    )
    lite0, resnet = (
        _result(f"pipeline-{name}", "avx2")["photos"]["generated, 500x375"]
        for name in ("lite0", "resnet50_v1")
    )
    assert (
        f"Lite0 runs at {lite0['ratio']:.0%} of the classifier's own rate".replace("%", " %") in text
        and f"ResNet-50 v1 at {resnet['ratio']:.0%}, and".replace("%", " %") in text
        and f"at {lite0['uploads_ratio']:.0%} and {resnet['uploads_ratio']:.0%}".replace("%", "").strip()
        in text
    )
    upload = _result("upload", "avx2")
    posted = next(iter(upload["photos"].values()))["fired"]["median_ms"]
    assert f"verdict {upload['verdict']['measured_ms']:.0f} ms after its POST began" in text
    assert f"of which the POST takes {posted:.0f}" in text
    idle = _result("idle", "avx2")
    assert (
        f"The idle site takes {idle['mb']:.0f} MB and {idle['core']:.2%} of a core".replace("%", " %") in text
    )
    with_vnni = _result("idle")
    assert f"with VNNI {with_vnni['mb']:.0f} MB and {with_vnni['core']:.2%} (".replace("%", " %") in text
    assert idle["holds"] and with_vnni["holds"]


def test_processors_with_and_without_vnni_gave_the_same_verdicts() -> None:
    """Except the verdicts of CatLoader's head, which was fitted again on each processor."""
    (with_vnni,), (without,) = (
        _result("accuracy-lite0", processor)["models"].values() for processor in ("avx512-vnni", "avx2")
    )
    assert with_vnni["profile_id"] == without["profile_id"]
    assert with_vnni["served_sha256"] == without["served_sha256"]
    for family in ("corruptions", "positions"):
        assert without[family] == with_vnni[family]
    others = with_vnni["rules"].keys() - {"CatLoader"}
    assert len(others) == 4
    assert {name: without["rules"][name] for name in others} == {
        name: with_vnni["rules"][name] for name in others
    }


def test_the_figures_of_load_without_vnni_equal_the_measured_ones() -> None:
    text = _text("docs/promises.md").partition("On two cores with AVX2 only")[2].partition(" ## ")[0]
    hostile, slow, overload = (
        _result(name, "avx2") for name in ("hostile-uploads", "slow-clients", "overload")
    )
    formats = _result("memory", "avx2")["formats"]
    highest_mb = max(format["highest_bytes"] for format in formats.values()) / 1e6
    above_mb = max(format["after_bytes"] - formats["JPEG"]["idle_bytes"] for format in formats.values()) / 1e6
    uploads, accepted, refused = (
        f"{number:,}".replace(",", " ")
        for number in (hostile["uploads"], overload["accepted"], overload["refused"])
    )
    for sentence in (
        f"{uploads} hostile uploads, the slowest after {hostile['slowest_s']:.1f} s,",
        f"while others' pages took at most {hostile['page_p95_s']:.2f} s (p95);",
        f"at most {highest_mb:.0f} MB, and {above_mb:.0f} MB above idle afterwards;",
        f"pages {slow['p95_s']:.2f} s (p95);",
        f"{accepted} uploads accepted and {refused} refused, p99 {overload['accepted_p99_s']:.2f} s compared",
        f"with {overload['unloaded_p99_s']:.2f} s one after the other",
        f"pages {overload['page_p95_s']:.2f} s (p95), none lost",
    ):
        assert sentence in text
    assert [hostile[name] for name in ("web_deaths", "left_objects", "left_rows", "others_failed")] == 4 * [0]
    assert overload["lost"] == 0


def _orientation(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how the model's orientation was judged: everything, and the chosen rule."""
    data = json.loads((_ROOT / f"models/orientation/{model}.json").read_text("utf-8"))
    judged = data["made"]["judged"]
    (chosen,) = (
        rule for rule in judged["rules"] if all(rule[name] == data[name] for name in ("turned_at", "margin"))
    )
    return judged, chosen


def test_the_figures_of_turned_photos_are_those_of_the_orientations() -> None:
    of_models = [_orientation(model) for model in ("efficientnet_lite0", "resnet50_v1")]
    turned = [
        [part["called_cat"]["turned"] for part in (chosen["verdicts"], judged["as_they_lie"])]
        for judged, chosen in of_models
    ]
    (dogs, cats), (resnet_dogs, resnet_cats) = (
        [
            " instead of ".join(_percent(shares[kind]["share"]) for shares in parts) + " %"
            for kind in ("dog", "cat")
        ]
        for parts in turned
    )
    rotated, resnet_rotated = (
        _percent(chosen["rotated"]["turned"]["all"]["share"], 0) for _, chosen in of_models
    )
    left, resnet_left = (_percent(after["dog"]["share"]) for after, _ in turned)
    assert (
        f"as they do with {rotated} and {resnet_rotated} %; even so, they call {left} and {resnet_left} % of "
        "the turned dogs `cat`."
    ) in _text("README.md")
    assert (
        f"{dogs} and {resnet_dogs} of the turned dogs are called cat, and {cats} and {resnet_cats} of the "
        "turned cats are found"
    ) in _text("CHANGELOG.md")
    (judged, chosen), (_, resnet) = of_models
    resnet_upright = _percent(resnet["rotated"]["upright"]["all"]["share"])
    assert (
        f"rotates {resnet_upright} % of the upright photos and {resnet_rotated} % of the turned ones, "
        f"{resnet_dogs} of the turned dogs are called cat, and {resnet_cats} of the turned cats are found"
    ) in _text("docs/decisions/0002-the-score.md")
    text = _text("docs/decisions/0002-the-score.md")
    examined = _percent(chosen["examined"]["turned"]["all"]["share"], 0)
    upright = _percent(chosen["rotated"]["upright"]["all"]["share"])
    assert (
        f"exceeded by {100 * chosen['share']:.0f} % of the upright photos and {examined} % of the turned "
        f"ones; {upright} and {rotated} % are rotated"
    ) in text
    parts = [judged["as_they_lie"], *(rule["verdicts"] for rule in judged["rules"])]
    expected = []
    for part in parts:
        called, unsure = (
            {
                name: {kind: share["share"] for kind, share in part[verdict][name].items()}
                for name in part[verdict]
            }
            for verdict in ("called_cat", "unsure")
        )
        upright_dogs, turned_dogs = (
            f"{_percent(called[name]['dog'], digits)}, {_percent(unsure[name]['dog'])} %"
            for name, digits in (("upright", 2), ("turned", 1))
        )
        upright_cats, turned_cats = _percent(called["upright"]["cat"], 2), _percent(called["turned"]["cat"])
        expected.append([f"{upright_cats} %", upright_dogs, f"{turned_cats} %", turned_dogs])
    table = (_ROOT / "docs/decisions/0002-the-score.md").read_text("utf-8")
    lines = table.partition("| examined, of the upright photos")[2].splitlines()[2 : 2 + len(expected)]
    cells = [[cell.strip() for cell in line.split("|")[4:9]] for line in lines]
    assert [[found, dogs, turned, turned_dogs] for found, dogs, _, turned, turned_dogs in cells] == expected
