"""The times of an upload and of a check, from the results in the same folder as `benchmark_scale.py`'s."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.command_line import CannotRun


def upload_ms_beside(scale: Path) -> float:
    """Return the time of the POST of a photo.

    Raises:
        CannotRun: the folder of ``scale`` has no result of `benchmark_upload.py`.
    """
    path = _beside(scale, "upload")
    try:
        return float(_read(path)["photos"]["rocket.jpg (640 x 427)"]["fired"]["median_ms"])
    except (OSError, ValueError, KeyError) as error:
        raise CannotRun(f"{path} is not a result of benchmark_upload.py; give --upload-ms") from error


def photo_ms_beside(scale: Path) -> float:
    """Return the time of a thread for a photo, measured with one thread for each core.

    Raises:
        CannotRun: the folder of ``scale`` has no result of `benchmark_pipeline.py`.
    """
    path = _beside(scale, "pipeline-lite0")
    try:
        results = _read(path)
        rate = results["photos"]["generated, 500x375"]["pipeline"]["photos_per_s"]["median"]
        return float(1000 * results["workers"] / rate)
    except (OSError, ValueError, KeyError) as error:
        raise CannotRun(f"{path} is not a result of benchmark_pipeline.py; give --photo-ms") from error


def _beside(scale: Path, name: str) -> Path:
    return scale.with_name(scale.name.replace("scale", name, 1))


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))
