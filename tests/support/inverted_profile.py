"""A profile with inverted verdicts."""

from __future__ import annotations

import json
from pathlib import Path

from models.catalogue import entry_named


def inverted_profile(folder: Path) -> None:
    """Write a profile by which Lite2 calls cats ``not_cat``, and photos without a cat label ``unsure``."""
    profile = json.loads(Path("models/profiles/efficientnet_lite0-torch-fp32-house_cat.json").read_text())
    lite2 = entry_named("efficientnet_lite2")
    profile["key"] |= {"weights_sha256": lite2.sha256, "preprocessing": lite2.preprocessing.key}
    whole, window = {"bias": 0.0, "mass": -2.0}, {"bias": 0.0, "mass": 0.0}
    head = {"bias": 0.0, "slope": 1.0, "knee": -1000.0, "beyond": 0.0, "whole": whole, "window": window}
    profile |= {"golden": {}, "head": head}
    for point in profile["cat"] + profile["soft"] + profile["not_cat"]:
        point["threshold"] = 0.5
    folder.mkdir()
    (folder / "inverted.json").write_text(json.dumps(profile))
