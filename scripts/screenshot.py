"""Take a screenshot of My photos, on a running site that has scikit-image's photos.

make run &
python scripts/screenshot.py http://127.0.0.1:8000 docs/screenshot.png
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.command_line import new_file, report_errors, require

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
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --no-first-run"
)


def take_screenshot(url: str, target: Path) -> None:
    """Register a new user, upload ``PHOTOS``, wait for the verdicts and write a PNG of 256 colours."""
    from PIL import Image
    from playwright.sync_api import expect, sync_playwright
    from skimage import data

    chromium = os.environ.get("CATLOADER_TEST_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = []
        for photo in PHOTOS:
            files.append(Path(folder) / f"{photo}.jpg")
            Image.fromarray(getattr(data, photo)()).convert("RGB").save(files[-1], quality=92)
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS.split())
        page = browser.new_page(base_url=url, viewport={"width": 1160, "height": 780})
        page.goto("/register")
        page.get_by_label("E-mail").fill(f"{secrets.token_hex(6)}@example.org")
        page.get_by_label("Password").fill(secrets.token_urlsafe(16))
        page.get_by_role("button", name="Create account").click()
        for file, caption in zip(files, PHOTOS.values(), strict=True):  # one by one, to keep the order
            page.goto("/upload")
            page.set_input_files("#photos", file)
            page.get_by_label("Caption of").fill(caption)
            page.get_by_role("button", name="Upload 1 photo").click()
            page.wait_for_url("**/photos")
        page.goto("/photos")
        expect(page.locator("[data-waiting]")).to_have_count(0, timeout=60_000)
        for thumbnail in page.locator(".grid img").all():
            expect(thumbnail).to_have_js_property("complete", True)
        page.mouse.move(0, 0)
        with tempfile.NamedTemporaryFile(suffix=".png") as image:
            page.screenshot(path=image.name, animations="disabled")
            screenshot = Image.open(image.name).convert("RGB")
        # 256 colours, dithered: a third of the bytes.
        screenshot.quantize(palette=screenshot.quantize(256, kmeans=2)).save(target, optimize=True)
        browser.close()


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="of the running site")
    parser.add_argument("png", type=new_file, help="file to write")
    arguments = parser.parse_args(argv)
    require("playwright", file="requirements-dev.txt")
    take_screenshot(arguments.url, arguments.png)
    print(f"{arguments.png}: {arguments.png.stat().st_size // 1024} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
