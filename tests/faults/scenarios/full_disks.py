"""The disk of the data folder and then the disk of the temporary folder are full for some time."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit
from tests.faults.harness.client import Ledger, uploading, wait_for
from tests.faults.harness.stage import Stage
from tests.support.machine import busy_factor

_DATA_BYTES, _TEMPORARY_BYTES = 64 * 2**20, 4 * 2**20
_BACK_S = 30.0


@contextlib.contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a disk of this size. Only root may do so.

    Raises:
        subprocess.CalledProcessError: this user is not allowed to.
    """
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(place)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def may_mount(folder: Path) -> bool:
    """Return whether this user may mount a disk."""
    try:
        with small_disk(folder / "probe", 2**20):
            return True
    except subprocess.CalledProcessError:
        return False


def fill_disks(folder: Path, store: EmbeddedS3, *, times: int, seconds: float) -> Figures:
    """During uploads and checks, fill each disk with one file and delete the file again."""
    figures, ledger = Figures(counts={"times full": 2 * times}), Ledger()
    with (
        small_disk(folder / "data", _DATA_BYTES) as data,
        small_disk(folder / "temporary", _TEMPORARY_BYTES) as temporary,
        # These photos are so small that their request bodies are not buffered in a file. So only the database
        # and the decoders meet the full disk.
        Stage(
            folder, store, CATCHECK_DISPATCH="thread", TMPDIR=temporary, CATLOADER_METRICS_TOKEN="token"
        ) as stage,
    ):
        stage.serve()
        with uploading(stage.url, ledger):
            for disk in [data, temporary] * times:
                wait_for(ledger, 4)
                ballast = disk / "ballast"
                fill(ballast)
                time.sleep(seconds)
                ballast.unlink()
                limit_s = _BACK_S * busy_factor()
                if not wait_for(ledger, 3, limit_s):
                    figures.broken.append(f"no uploads {limit_s:.0f} s after {disk.name} had room again")
        figures.counts["refused"] = ledger.answers[503] + ledger.answers[507]
        if others := {s: n for s, n in ledger.answers.items() if s not in (201, 503, 507)}:
            figures.broken.append(f"other answers to uploads: {others}")
        audit(stage, ledger, figures)
        files = (path for path in temporary.rglob("*") if path.is_file())
        if left := [path.name for path in files if "metrics" not in path.parent.name]:
            figures.broken.append(f"temporary files are left: {left}")
    return figures


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 65536)
