"""Processor-dependent tests, on this processor and with the runtimes limited to AVX2.

On a processor without anything beyond AVX2 the limit has no effect, and the tests that need both kinds are
skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from checker.pixels.decode import decode
from models.convert import import_package
from tests.support import openvino_variants
from tests.support.photo_sets import OWN_PHOTOS
from tests.support.processor import (
    AVX2_ONLY,
    KIND_NAMES,
    KINDS,
    adds_up_bytes_exactly,
    goes_beyond_avx2,
    served_variants,
)

_ROOT = Path(__file__).resolve().parents[2]
_MARKER = "processor"
_FEW = 10
"""Number of calibration photos that is enough to make an int8 variant that saturates."""
_SAVE_OUTPUTS = """
import sys, numpy as np
from checker.runtimes.openvino_import import import_openvino
model, photos, outputs = sys.argv[1:]
compiled = import_openvino().Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
results = compiled(np.load(photos))
np.savez(outputs, logits=results["logits"], features=results["features"])
"""


needs_both_kinds = pytest.mark.skipif(
    not goes_beyond_avx2(), reason="this processor has nothing beyond AVX2, so the limit has no effect"
)


def _run(arguments: list[str], kind: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CATCHECK_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env={**environment, **kind},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


@pytest.mark.parametrize(
    "kind",
    [KINDS[0], pytest.param(KINDS[1], marks=needs_both_kinds)],
    ids=KIND_NAMES,
)
def test_demo_verdicts_are_right(kind: dict[str, str], tmp_path: Path) -> None:
    without_a_fetched_model = {"CATCHECK_WEIGHTS_DIR": str(tmp_path)}
    done = _run(["-m", "catloader", "demo"], kind | without_a_fetched_model, 100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 of 7 verdicts are right." in done.stdout
    decided_by = {
        f"Decided by efficientnet_lite0 ({runtime}, {precision}, cpu)."
        for runtime, precision in served_variants()
    }
    assert decided_by & set(done.stdout.splitlines())


def _marked_files() -> list[str]:
    """Return the files with marked tests. Collecting all files would take longer than these tests."""
    files = sorted((_ROOT / "tests").rglob("test_*.py"))
    return [str(file) for file in files if f"pytest.mark.{_MARKER}\n" in file.read_text("utf-8")]


@needs_both_kinds
@pytest.mark.timeout(600)
def test_processor_dependent_tests_pass_when_limited_to_avx2() -> None:
    files = _marked_files()
    assert files
    done = _run(["-m", "pytest", "-m", _MARKER, "-p", "no:cacheprovider", *files], AVX2_ONLY, 500)
    assert done.returncode == 0, done.stdout
    assert "held back by ONEDNN_MAX_CPU_ISA=AVX2" in done.stdout


def _outputs(model: Path, kind: dict[str, str], folder: Path) -> dict[str, np.ndarray]:
    """Run an OpenVINO file on the repository's own photos, in a process for the given kind of processor."""
    photos = [OWN_PHOTOS.folder / photo.name for photo in OWN_PHOTOS.photos]
    preprocessing = openvino_variants.ENTRY.preprocessing
    np.save(folder / "photos.npy", np.stack([decode(photo.read_bytes(), preprocessing) for photo in photos]))
    files = [str(model), str(folder / "photos.npy"), str(folder / "outputs.npz")]
    done = _run(["-c", _SAVE_OUTPUTS, *files], kind, 100)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "outputs.npz") as outputs:
        return dict(outputs)


def _differences(model: Path, folder: Path) -> dict[str, float]:
    here, held_back = (_outputs(model, kind, folder) for kind in KINDS)
    return {name: float(np.abs(here[name] - held_back[name]).max()) for name in here}


@needs_both_kinds
@pytest.mark.timeout(300)
def test_int8_gives_bit_identical_outputs_on_every_kind_of_processor(tmp_path: Path) -> None:
    _, manifest = openvino_variants.made("int8")

    assert _differences(manifest.path, tmp_path) == {"logits": 0.0, "features": 0.0}


@pytest.mark.timeout(300)
def test_int8_with_nncf_defaults_differs_between_processors(tmp_path: Path) -> None:
    """Verify that the limit to AVX2 has an effect. Without one, the test above would pass too."""
    if not adds_up_bytes_exactly():
        pytest.skip("this processor has no VNNI, so the limit does not change int8")
    _, manifest = openvino_variants.made("fp32")
    openvino, nncf = import_package("openvino"), import_package("nncf")
    photos = nncf.Dataset([photo[np.newaxis] for photo in openvino_variants.crops()[:_FEW]])
    model = nncf.quantize(openvino.Core().read_model(manifest.path), photos)
    openvino.save_model(model, tmp_path / "defaults.xml", compress_to_fp16=False)

    assert _differences(tmp_path / "defaults.xml", tmp_path)["logits"] > 0.1
