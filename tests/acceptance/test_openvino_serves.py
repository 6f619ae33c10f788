"""OpenVINO serves by default, and a model that the command converts decides like torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from catloader.demo.photos import demo_photos
from tests.support import openvino_variants
from tests.support.processor import KIND_NAMES, KINDS, served_variants


def _run(
    arguments: list[str], weights_dir: Path, more: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CATCHECK_WEIGHTS_DIR": str(weights_dir), **more}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def _check(runtime: str, photos: Path, weights_dir: Path) -> subprocess.CompletedProcess[str]:
    options = ["--model", "efficientnet_lite0", "--runtime", runtime, "--precision", "fp32"]
    options += ["--weights-dir", str(weights_dir), "--device", "cpu"]
    return _run(["-m", "checker", "--json", *options, str(photos)], weights_dir)


def test_a_converted_model_decides_like_torch(tmp_path: Path) -> None:
    demo_photos(tmp_path)
    early = _check("openvino", tmp_path, weights_dir=tmp_path / "weights")
    assert early.returncode == 2
    assert "catloader models optimise efficientnet_lite0" in early.stderr
    openvino_variants.made("fp32")  # tests/models/test_optimise.py compares it with the command's
    labels = {}
    for runtime in ("torch", "openvino"):
        done = _check(runtime, tmp_path, openvino_variants.folder("fp32"))
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert {row["runtime"] for row in rows} == {runtime}
        labels[runtime] = {row["path"]: row["labels"] for row in rows}
    assert len(labels["torch"]) == 7
    for path, wanted in labels["torch"].items():
        confidences = {label["name"]: label["confidence"] for label in labels["openvino"][path]}
        for label in wanted[:2]:  # the order of less likely labels may differ
            # The runtimes add numbers in different orders, so results differ slightly.
            assert confidences[label["name"]] == pytest.approx(label["confidence"], abs=1e-3), path


_FOLDER_TOOL = """
import json, sys, time
from checker.__main__ import main
code = main(sys.argv[1:])
core_s = time.process_time()
sum(number * number for number in range(1_000_000))
python_s = time.process_time() - core_s
peak_kib = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(json.dumps({"code": code, "core_s": core_s, "python_s": python_s,
                  "peak_bytes": peak_kib * 1024, "loaded": sorted(loaded)}))
"""


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_the_default_gives_calibrated_verdicts_from_int8_on_every_kind_of_processor(
    tmp_path: Path, kind: dict[str, str]
) -> None:
    (photo,) = (one.path for one in demo_photos(tmp_path) if one.name == "chelsea.png")
    arguments = ["--json", "--verbose", "--device", "cpu", str(photo)]
    done = _run(["-W", "error", "-c", _FOLDER_TOOL, *arguments], tmp_path, kind)
    assert done.returncode == 0, done.stderr
    row, costs = map(json.loads, done.stdout.splitlines())
    assert (row["verdict"], row["calibrated"]) == ("cat", True)
    assert (row["runtime"], row["precision"]) in served_variants()
    if row["precision"] == "int8":
        _assert_frugal(costs)


def _assert_frugal(costs: dict[str, Any]) -> None:
    """Fail if the process imported torch or used much processor time or memory."""
    assert not {"torch", "torchvision", "openvino_telemetry", "skimage", "flask"} & set(costs["loaded"])
    assert costs["peak_bytes"] < 250e6
    # Compared with a loop of Python on the same core, because a limit in seconds would be wrong on a slow or
    # busy machine. Measured: 5 to 13 times as long, once 21 times beside other tests; importing torch alone
    # takes 13 to 33 times as long.
    assert costs["core_s"] < 30 * costs["python_s"]
