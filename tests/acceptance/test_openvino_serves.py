"""A network is made for OpenVINO by the command, and then decides as torch does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from catloader.demo_photos import demo_photos

pytest.importorskip("openvino")


def _run(arguments: list[str], weights_dir: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CATCHECK_WEIGHTS_DIR": str(weights_dir)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def _check(runtime: str, photos: Path, weights_dir: Path) -> subprocess.CompletedProcess[str]:
    options = ["--model", "efficientnet_lite0", "--runtime", runtime, "--weights-dir", str(weights_dir)]
    return _run(["-m", "checker", "--json", *options, "--device", "cpu", str(photos)], weights_dir)


def test_made_once_then_it_decides_as_torch_does(tmp_path: Path) -> None:
    photos, weights_dir = tmp_path / "photos", tmp_path / "weights"
    photos.mkdir()
    demo_photos(photos)
    early = _check("openvino", photos, weights_dir)
    assert early.returncode == 2
    assert "catloader models optimise efficientnet_lite0" in early.stderr
    make = ["-m", "catloader", "models", "optimise", "efficientnet_lite0"]
    for _ in range(2):  # the second time it is there already
        made = _run(make, weights_dir)
        assert made.returncode == 0, made.stderr
    labels = {}
    for runtime in ("torch", "openvino"):
        done = _check(runtime, photos, weights_dir)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert {row["runtime"] for row in rows} == {runtime}
        labels[runtime] = {row["path"]: row["labels"] for row in rows}
    assert len(labels["torch"]) == 7
    for path, wanted in labels["torch"].items():
        confidences = {label["name"]: label["confidence"] for label in labels["openvino"][path]}
        for label in wanted[:2]:  # further down they may change places
            # The two runtimes add up in different orders.
            assert confidences[label["name"]] == pytest.approx(label["confidence"], abs=1e-3), path
