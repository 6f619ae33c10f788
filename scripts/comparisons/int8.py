"""Settings for int8 quantisation, and the distance of their outputs from fp32 and between processors."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from checker.evaluation.provenance import ROOT
from models.quantise import Pixels, quantise
from scripts.command_line import CannotRun

Logits = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

HELD_BACK = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OV_CPU_MAX_ISA": "AVX2"}
"""Environment that restricts OpenVINO to instructions up to AVX2, as on x86 without VNNI."""
_BATCH = 8


def settings(nncf: Any) -> dict[str, Callable[[Any, Pixels], Any]]:
    """Return the settings to compare: name -> quantise(model, photos)."""
    fix = nncf.OverflowFix.ENABLE
    matmul = nncf.IgnoredScope(types=["MatMul"])
    histogram = nncf.quantization.range_estimator.RangeEstimatorParametersSet.HISTOGRAM

    def with_(preset: Any = None, **options: Any) -> Callable[[Any, Pixels], Any]:
        direct = {
            name: options.pop(name) for name in ("fast_bias_correction", "ignored_scope") & options.keys()
        }
        advanced = nncf.AdvancedQuantizationParameters(**options)

        def run(model: Any, photos: Pixels) -> Any:
            dataset = nncf.Dataset([photo[np.newaxis] for photo in photos])
            return nncf.quantize(
                model, dataset, subset_size=len(photos), preset=preset, advanced_parameters=advanced, **direct
            )

        return run

    smooth = nncf.AdvancedSmoothQuantParameters(convolution=0.5, matmul=0.5)
    return {
        "in use": lambda model, photos: quantise(nncf, model, photos),
        "NNCF's defaults": with_(),
        "overflow fix": with_(overflow_fix=fix),
        "overflow fix, MIXED": with_(nncf.QuantizationPreset.MIXED, overflow_fix=fix),
        "overflow fix, SmoothQuant": with_(overflow_fix=fix, smooth_quant_alphas=smooth),
        "overflow fix, full bias correction": with_(overflow_fix=fix, fast_bias_correction=False),
        "overflow fix, ranges from histograms": with_(
            overflow_fix=fix, activations_range_estimator_params=histogram
        ),
        "overflow fix, classifier in fp32": with_(overflow_fix=fix, ignored_scope=matmul),
    }


def split(photos: int, calibrating: int, judged: int) -> tuple[Indices, Indices]:
    """Return the numbers of the photos for calibration and of those to evaluate, both spread over all photos.

    Args:
        judged: 0: evaluate all that are not for calibration.
    Raises:
        CannotRun: times need two batches, and fewer photos would be evaluated.
    """
    if photos - calibrating <= _BATCH or 0 < judged <= _BATCH:
        raise CannotRun(
            f"of {photos} photos, {calibrating} are for calibration (--calibration), and at least "
            f"{_BATCH + 1} others must be evaluated (--judged)"
        )
    calibration = _spread(photos, calibrating)
    others = np.delete(np.arange(photos), calibration)
    return calibration, others[_spread(len(others), min(judged or len(others), len(others)))]


def _spread(photos: int, count: int) -> Indices:
    return np.linspace(0, photos - 1, count).astype(np.intp)


def logits(model: Path, photos: Path, folder: Path, held_back: bool) -> tuple[Logits, float]:
    """Run an OpenVINO file on one thread in its own process.

    Args:
        photos: a ``.npy``, uint8 ``(N, H, W, 3)``.
    Returns:
        ``(N, 1000)``, and milliseconds for each photo: the fastest tenth of the batches of 8, because other
        programs may use the cores too.
    """
    outputs = folder / "logits.npz"
    subprocess.run(
        [sys.executable, "-m", "scripts.comparisons.int8", str(model), str(photos), str(outputs)],
        cwd=ROOT,
        env={**os.environ, **(HELD_BACK if held_back else {})},
        check=True,
    )
    with np.load(outputs) as results:
        return results["logits"], float(results["ms"])


def compare(fp32: Logits, here: Logits, held_back: Logits, subject: list[int]) -> dict[str, float]:
    """Compare the logits of a setting, on both kinds of processor, with those of fp32."""
    odds = {
        name: _log_odds(rows, subject) for name, rows in (("fp32", fp32), ("here", here), ("held", held_back))
    }
    figures: dict[str, float] = {
        "largest_difference_between_processors": float(np.abs(here - held_back).max()),
        "largest_difference_of_log_odds_between_processors": float(np.abs(odds["here"] - odds["held"]).max()),
        "sides_of_even_odds_changed": int(((odds["here"] > 0) != (odds["held"] > 0)).sum()),
    }
    for name, rows in (("here", here), ("held", held_back)):
        figures[f"top1_as_fp32_{name}"] = float((rows.argmax(1) == fp32.argmax(1)).mean())
        figures[f"rms_of_logits_{name}"] = _rms(rows - fp32)
        figures[f"rms_of_log_odds_{name}"] = _rms(odds[name] - odds["fp32"])
    return figures


def _rms(differences: npt.NDArray[np.floating]) -> float:
    return float(np.sqrt((differences.astype(np.float64) ** 2).mean()))


def _log_odds(rows: Logits, subject: list[int]) -> npt.NDArray[np.float64]:
    inside = np.zeros(rows.shape[1], dtype=bool)
    inside[subject] = True
    wide = rows.astype(np.float64)
    odds: npt.NDArray[np.float64] = np.logaddexp.reduce(wide[:, inside], axis=1)
    odds -= np.logaddexp.reduce(wide[:, ~inside], axis=1)
    return odds


def _save_logits(model: str, photos: str, outputs: str) -> None:
    """Entry point of the process: see ``logits``."""
    from checker.runtimes.openvino_import import import_openvino

    config = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    compiled = import_openvino().Core().compile_model(model, "CPU", config)
    pixels, rows, ms = np.load(photos, mmap_mode="r"), [], []
    for start in range(0, len(pixels), _BATCH):
        batch = np.ascontiguousarray(pixels[start : start + _BATCH])
        started_s = time.perf_counter()
        rows.append(compiled([batch])["logits"][:, 0].copy())  # window 0 is the whole input
        ms.append((time.perf_counter() - started_s) * 1000 / len(batch))
    np.savez(outputs, logits=np.concatenate(rows), ms=_fastest_tenth(ms))


def _fastest_tenth(ms: list[float]) -> float:
    """Return the first decile. The exclusive method gives less than the minimum, even negative, for few."""
    return statistics.quantiles(ms, n=10, method="inclusive")[0]


if __name__ == "__main__":
    _save_logits(*sys.argv[1:])
