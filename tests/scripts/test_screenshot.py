"""The README's screenshots can be taken: the script finds its photos on today's pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts import screenshot
from scripts.chromium import MISSING, program
from tests.conftest import require


def test_every_screenshot_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(program(), MISSING)
    shown = {shot.photo for shot in screenshot.SHOTS.values() if shot.photo}
    monkeypatch.setattr(
        screenshot,
        "PHOTOS",
        {file: caption for file, caption in screenshot.PHOTOS.items() if caption in shown},
    )
    screenshot.take_screenshots(tmp_path, "de")
    assert {path.name for path in tmp_path.iterdir()} == screenshot.SHOTS.keys()
    for name, shot in screenshot.SHOTS.items():
        with Image.open(tmp_path / name) as image:
            assert image.size == shot.size
