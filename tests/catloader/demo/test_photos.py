"""The photos of the demo: several formats, both verdicts, and a GPS position that the site must remove."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from catloader.demo.photos import demo_photos
from checker.pixels.formats.sniff import sniff


def test_demo_photos_cover_formats_verdicts_and_metadata(tmp_path: Path) -> None:
    photos = demo_photos(tmp_path)
    assert {photo.expected for photo in photos} == {"cat", "not_cat"}
    assert {sniff(photo.path.read_bytes()) for photo in photos} == {"JPEG", "PNG", "WebP", "HEIC"}
    with Image.open(tmp_path / "chelsea-12-megapixels-gps.jpg") as large:
        assert large.width * large.height == 12_000_000
        assert large.getexif().get_ifd(0x8825)[1] == "N"
