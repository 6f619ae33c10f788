from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scripts.speed import photos
from scripts.speed.gpu import utilisation
from scripts.speed.peaks import peaks
from scripts.speed.report import as_text, ratios, targets
from scripts.speed.variants import PEERS

ROOT = Path(__file__).resolve().parents[2]


def _variant(rate: float, p50_ms: float = 10.0, peak_mb: float = 200.0) -> dict[str, Any]:
    return {
        "photos_per_s": rate,
        "photos_per_s_of_each_round": [rate * 0.9, rate, rate * 1.1],
        "core_ms_per_photo": 2000 / rate,
        "one_photo_ms": {"p50": p50_ms, "p95": p50_ms * 2, "n": 30},
        "peak_rss_bytes": peak_mb * 1e6,
    }


@pytest.fixture
def results() -> dict[str, Any]:
    """Of a run that kept every promise by a hair."""
    peers = {"torchvision": 1000 / 6.5, "transformers": 1000 / 6.5, "onnxruntime": 1000 / 3.7}
    far = {"torchvision": 1000 / 9.0, "transformers": 1000 / 14.0, "onnxruntime": 1000 / 5.5}
    found: dict[str, Any] = {
        "made": {"machine": {"processor": "a processor", "cores": 2}},
        "load_at_start": [0.1, 0, 0],
        "load_at_end": [2.0, 0, 0],
        "device": "cpu",
        "rounds": 3,
        "photos": {"500x375": {"n": 12, "median_kB": 50}, "12MP": {"n": 6, "median_kB": 1800}},
        "left_out": {"resnet50: openvino-bf16": "ModelRefused: no bf16 here"},
        "peak_gop_per_s": {"fp32": 400.0, "bf16": 800.0, "int8": 10_000.0},
        "models": {
            "resnet50": {
                "gop_per_photo": 8.2,
                "random_weights": True,
                "500x375": {name: _variant(rate * 0.999, 40.1, 201) for name, rate in peers.items()}
                | {"openvino-int8": _variant(1000, 10.0), "torch-bf16": _variant(3000 / 6.5)},
                "12MP": {name: _variant(rate * 0.999, 90, 300) for name, rate in far.items()}
                | {"openvino-int8": _variant(1000), "torch-bf16": _variant(500)},
                "first_verdict": {
                    "variant": "openvino-int8",
                    "s": 0.99,
                    "peak_rss_bytes": 249e6,
                    "torch_is_loaded": False,
                },
            }
        },
    }
    found["ratios"] = ratios(found)
    found["targets"] = targets(found)
    return found


def test_a_run_that_keeps_its_promises_is_told_so(results: dict[str, Any]) -> None:
    kept = results["targets"]

    assert len(kept) == 6 + 1 + 1 + 2 + 2
    assert all(target["kept"] for target in kept), [t["what"] for t in kept if not t["kept"]]
    text = as_text(results)
    assert "MISSED" not in text
    assert "left out: resnet50: openvino-bf16: ModelRefused: no bf16 here" in text
    assert "82%" in text  # 1000 photos/s of 8.2 GOP, where the units do 10 000 GOP/s


@pytest.mark.parametrize("size", ["500x375", "12MP"])
@pytest.mark.parametrize("peer", PEERS)
def test_a_ratio_below_the_target_is_told(results: dict[str, Any], peer: str, size: str) -> None:
    results["models"]["resnet50"][size][peer]["photos_per_s"] *= 1.01
    results["ratios"] = ratios(results)
    results["targets"] = targets(results)

    assert f"{size}: times (" + "abc"[PEERS.index(peer)] in next(
        target["what"] for target in results["targets"] if not target["kept"]
    )
    assert "MISSED" in as_text(results)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        (lambda model: model["500x375"]["torch-bf16"].update(photos_per_s=455.0), "torch alone"),
        (
            lambda model: model["500x375"]["openvino-int8"]["one_photo_ms"].update(p50=10.1),
            "p50 of one photo",
        ),
        (lambda model: model["12MP"]["openvino-int8"].update(peak_rss_bytes=301e6), "12MP: peak memory"),
        (lambda model: model["first_verdict"].update(s=1.01), "first verdict"),
        (lambda model: model["first_verdict"].update(peak_rss_bytes=251e6), "its peak memory"),
    ],
)
def test_each_other_promise_can_be_missed(results: dict[str, Any], change: Any, missed: str) -> None:
    change(results["models"]["resnet50"])
    results["ratios"] = ratios(results)

    broken = [target["what"] for target in targets(results) if not target["kept"]]

    assert len(broken) == 1
    assert missed in broken[0]


def test_the_photos_are_the_same_every_time_and_weigh_what_photos_weigh(tmp_path: Path) -> None:
    (first, _), (again, _) = (photos.make(tmp_path / name, "500x375", 2) for name in "ab")

    assert first.read_bytes() == again.read_bytes()
    assert 30_000 < first.stat().st_size < 90_000
    with Image.open(first) as photo:
        assert photo.size == (500, 375)


def test_twelve_megapixels_hold_detail_for_as_many(tmp_path: Path) -> None:
    (large,) = photos.make(tmp_path, "12MP", 1)

    # Blown up without texture it would be 0.9 MB, and twice as quick to decode.
    assert 1_500_000 < large.stat().st_size < 3_000_000


def test_the_limit_grows_as_the_numbers_get_shorter() -> None:
    found = peaks(0.2)

    assert found["fp32"] > 1
    assert found.get("int8", float("inf")) > found["fp32"]


def test_a_short_run_from_end_to_end_that_wants_a_gpu(tmp_path: Path) -> None:
    """On a box without one it says so, and measures the CPU; what lacks its package is left out."""
    without = (
        "import runpy, sys; sys.modules['transformers'] = None; "
        "runpy.run_module('scripts.benchmark_speed', run_name='__main__', alter_sys=True)"
    )
    options = [
        "--quick",
        "--rounds",
        "1",
        "--models",
        "efficientnet_lite0",
        "--variants",
        "torchvision,transformers,torch-fp32",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            without,
            *options,
            "--device",
            "cuda",
            "--json",
            str(tmp_path / "x"),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )

    found = json.loads((tmp_path / "x").read_text())
    assert found["device"] == "cpu"
    assert "No CUDA GPU here that torch can use: the CPU is measured instead." in done.stdout
    assert "pip install -r requirements-bench.txt" in found["left_out"]["transformers"]
    for size in ("500x375", "12MP"):
        assert set(found["models"]["efficientnet_lite0"][size]) == {"torchvision", "torch-fp32"}
        for variant in found["models"]["efficientnet_lite0"][size].values():
            assert variant["photos_per_s"] > 0
            assert variant["one_photo_ms"]["p95"] >= variant["one_photo_ms"]["p50"] > 0
            assert variant["peak_rss_bytes"] > 50e6
    assert {ratio["peer"] for ratio in found["ratios"]} == {"torchvision"}
    assert found["made"]["machine"]["cores"] == os.cpu_count()


def test_on_a_gpu_the_table_tells_the_share_of_the_forward_pass_and_how_busy_it_was(
    results: dict[str, Any],
) -> None:
    assert "GPU busy" not in as_text(results)
    results["device"] = "cuda"
    forward_only = {"forward_only_photos_per_s": 800.0, "gpu_utilisation": 0.61}
    results["models"]["resnet50"]["500x375"]["torch-fp16"] = _variant(600) | forward_only
    results["models"]["resnet50"]["12MP"]["torch-fp16"] = _variant(200) | {"gpu_utilisation": 0.2}
    rows = [line.split() for line in as_text(results).splitlines()]
    assert [row[-2:] for row in rows if row[1:2] == ["torch-fp16"]] == [["75%", "61%"], ["25%", "20%"]]
    assert sum(row[-2:] == ["GPU", "busy"] for row in rows) == 2


def test_how_busy_the_gpu_is_comes_from_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a stand-in for the driver's own tool."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\nprintf "40\\n80\\n[N/A]\\n"\ntouch "$0.ran"\nexec sleep 60\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with utilisation("cuda") as busy:
        while not (tmp_path / "nvidia-smi.ran").exists():
            time.sleep(0.01)
        assert busy == []
    assert busy == [pytest.approx(0.6)]
    with utilisation("cpu") as busy:
        pass
    assert busy == []
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with utilisation("cuda") as busy:
        pass
    assert busy == []
