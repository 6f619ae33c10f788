"""Take the screenshots of the README on a temporary site: `make screenshots`."""

from __future__ import annotations

import argparse
import io
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import scripts  # noqa: F401 - first: finds the packages without an installation
from catloader.demo.client import Visitor
from catloader.demo.temporary_site import temporary_site
from catloader.languages import ENGLISH, LANGUAGES
from checker.evaluation.provenance import ROOT
from scripts.chromium import chromium
from scripts.command_line import report_errors, require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHOTOS = {
    "rocket": "Liftoff at night",
    "hubble_deep_field": "The deep field",
    "astronaut": "Eileen Collins",
    "chelsea": "Chelsea",
    "coffee": "Monday",
    "coins": "From Pompeii",
    "camera": "At the lake",
    "retina": "At the doctor's",
}
MOST_BYTES = 200_000
"""Limit for one screenshot, because the repository contains them."""
_DESKTOP, _PHONE = (1160, 780), (390, 844)


@dataclass(frozen=True, slots=True)
class Shot:
    size: tuple[int, int]
    theme: Literal["light", "dark"]
    photo: str = ""
    """Caption of the photo to show; empty: My photos."""


SHOTS = {
    "my-photos.png": Shot(_DESKTOP, "light"),
    "photo-dark.png": Shot(_DESKTOP, "dark", "Chelsea"),
    "my-photos-phone.png": Shot(_PHONE, "light"),
    "photo-phone-dark.png": Shot(_PHONE, "dark", "Chelsea"),
}


def take_screenshots(target: Path, language: str) -> list[Path]:
    """Start a site, upload ``PHOTOS``, wait for verdicts, write ``SHOTS`` as PNGs, and return their paths."""
    from playwright.sync_api import expect

    target.mkdir(parents=True, exist_ok=True)
    written = []
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_site(Path(folder)) as site,
        chromium() as browser,
    ):
        Visitor(site.url, site.must_run).wait_until_ready()
        page = _window(browser, site.url, language, SHOTS["my-photos.png"])
        _upload_all(page, Path(folder))
        page.goto("/photos")
        expect(page.locator("[data-waiting]")).to_have_count(0, timeout=120_000)
        for name, shot in SHOTS.items():
            shown = _window(browser, site.url, language, shot, page)
            shown.goto("/photos")
            if shot.photo:
                shown.get_by_role("main").get_by_role("link").filter(has_text=shot.photo).click()
                shown.wait_for_url("**/photos/*")
            shown.wait_for_load_state("networkidle")
            path = target / name
            path.write_bytes(_small_png(shown.screenshot(animations="disabled")))
            written.append(path)
    return written


def _window(browser: Browser, url: str, language: str, shot: Shot, other: Page | None = None) -> Page:
    """Open a window, with the session of the ``other`` window if there is one."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": shot.size[0], "height": shot.size[1]},
        locale="en-GB" if language == ENGLISH else language,
        color_scheme=shot.theme,
        storage_state=other.context.storage_state() if other else None,
    )
    return context.new_page()


def _upload_all(page: Page, folder: Path) -> None:
    from PIL import Image
    from skimage import data

    page.goto("/register")
    page.locator("#email").fill(f"{secrets.token_hex(6)}@example.org")
    page.locator("#password").fill(secrets.token_urlsafe(16))
    page.locator("main form button.wide").click()
    for photo, caption in PHOTOS.items():  # one by one, to keep the order
        file = folder / f"{photo}.jpg"
        Image.fromarray(getattr(data, photo)()).convert("RGB").save(file, quality=92)
        page.goto("/upload")
        page.set_input_files("#photos", file)
        page.locator(".caption-field").fill(caption)
        page.locator("#send-button").click()
        page.wait_for_url("**/photos")


def _small_png(png: bytes) -> bytes:
    """Return the screenshot, dithered, with the largest number of colours that fits into ``MOST_BYTES``."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32):
        file = io.BytesIO()
        image.quantize(palette=image.quantize(colours, kmeans=2)).save(file, "PNG", optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=ROOT / "docs/screenshots", help="folder to write to"
    )
    parser.add_argument("--language", choices=LANGUAGES, default=ENGLISH, help="language of the pages")
    arguments = parser.parse_args(argv)
    require("playwright", "skimage", file="requirements-dev.txt")
    for path in take_screenshots(arguments.folder, arguments.language):
        print(f"{path}: {path.stat().st_size // 1024} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
