"""Many photos for the upload page, which must be stored in the order in which they were chosen."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

_FILL = "fields => fields.forEach((field, place) => field.value = place ? `${place}`.padStart(2, 0) : '')"


def many_photos(folder: Path, number: int) -> list[Path]:
    """Make photos of about 200 kB each."""
    files = [folder / f"{place:02}.jpg" for place in range(number)]
    for file in files:
        Image.effect_noise((500, 500), 90).save(file, quality=92)  # noise hardly compresses
    return files


def span_of_cuts(files: list[Path], cuts: int) -> tuple[int, int]:
    """Return the minimum and maximum number of bytes between two of ``cuts`` interruptions."""
    return 20_000, int(1.4 * sum(file.stat().st_size for file in files) / cuts)


def choose_many(page: Page, files: list[Path]) -> None:
    """Choose photos on the upload page and caption each with its position.

    The first photo has no caption of its own: it gets the caption for all photos.
    """
    page.set_input_files("#photos", files)
    page.get_by_label("Caption for all photos").fill("00")
    page.locator("#queue .caption-field").evaluate_all(_FILL)


def stored_captions(page: Page) -> list[str]:
    """Return the captions of all pages of My photos, oldest photo first."""
    page.goto("/photos?sort=oldest")
    shown = page.locator(".grid .caption").all_text_contents()
    while (newer := page.get_by_role("link", name="Newer photos")).count():
        newer.click()
        expect(page.get_by_text(f"{len(shown):02}", exact=True)).to_be_visible()
        shown += page.locator(".grid .caption").all_text_contents()
    return shown
