"""Process of one variant of the speed benchmark; orders and answers are lines of JSON.

python -m scripts.speed.worker VARIANT MODEL FOLDER DEVICE
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from scripts.speed.others import Variant
from scripts.speed.peaks import peaks
from scripts.speed.variants import CatLoader, load


def answer(variant: Variant | None, order: dict[str, Any]) -> dict[str, Any]:
    """Execute an order; its ``do`` is ``many``, ``forward``, ``one`` or ``peaks``."""
    if variant is None:
        return {"gop_per_s": peaks(order["seconds"])}
    photos = [Path(photo) for photo in order["photos"]]
    if order["do"] == "one":
        times_ms = []
        for number in range(order["times"]):
            started_s = time.perf_counter()
            variant.classify(photos[number % len(photos)])
            times_ms.append((time.perf_counter() - started_s) * 1000)
        return {"ms": times_ms} | _memory()
    measure = variant.photos_per_s
    if order["do"] == "forward":
        if not isinstance(variant, CatLoader):
            return {}
        measure = variant.forwards_per_s
    core_s = time.process_time()
    rate, done = measure(photos, order["seconds"])
    return {"photos_per_s": rate, "core_ms": (time.process_time() - core_s) / done * 1000} | _memory()


def _memory() -> dict[str, Any]:
    """Return the peak memory so far. ``getrusage`` would include the parent's memory before ``exec``."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {"peak_rss_bytes": peak_kib * 1024, "torch_is_loaded": "torch" in sys.modules}


def main() -> None:
    name, model, folder, device = sys.argv[1:]
    # Redirect the output of libraries to stderr: it must not be mixed with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        variant = None if name == "peaks" else load(name, model, Path(folder), device)
    except Exception as error:  # the other variants continue without this one
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps(answer(variant, json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
