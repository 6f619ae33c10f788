"""Many photos over a phone's connection: python -m tests.faults.mobile_upload [--photos 80] [--cuts 20] ...

The upload page runs in Chromium. Its packets cross a simulated link of 2 Mbit/s up and 8 Mbit/s down with a
delay of 50 ms each way. The link loses packets, and connections are cut. Needs root, Chromium and ``ip``.
Prints the figures; the exit code is 1 if a photo is missing, stored twice or out of order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from scripts.chromium import chromium
from tests.support.browser import Site, register
from tests.support.cutting_proxy import CuttingProxy
from tests.support.many_photos import choose_many, many_photos, span_of_cuts, stored_captions
from tests.support.mobile_link import Line, MobileLink, leave_network, mobile_link

_LONGEST_MS = 1_800_000


@dataclass(frozen=True)
class Figures:
    photos: int
    size_bytes: int
    in_order: bool
    """True if all photos are stored, once each and in the order in which they were chosen."""
    cuts: int
    packets: int
    lost: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mobile_upload")
    parser.add_argument("--photos", type=int, default=80)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--screenshot", type=Path, help="file for a screenshot of the page while it uploads")
    options = parser.parse_args()
    leave_network()
    up, down = Line(loss=options.loss), Line(bits_per_s=8e6, loss=options.loss)
    with (
        tempfile.TemporaryDirectory(prefix="mobile-") as name,
        Site(Path(name)).running() as site,
        mobile_link(up, down, seed=7) as link,
        chromium() as browser,
    ):
        files = many_photos(Path(name), options.photos)
        line = CuttingProxy(
            int(site.url.rpartition(":")[2]),
            cuts=options.cuts,
            span=span_of_cuts(files, options.cuts),
            seed=7,
            listener=link.listener,
        )
        with line.running():
            page = browser.new_page(base_url=line.url, viewport={"width": 360, "height": 780})
            figures = _upload(page, files, line, link, options.screenshot)
    sys.stdout.write(json.dumps(asdict(figures), indent=2) + "\n")
    return 0 if figures.in_order and figures.cuts == options.cuts else 1


def _upload(
    page: Page, files: list[Path], line: CuttingProxy, link: MobileLink, screenshot: Path | None
) -> Figures:
    register(page, "lena@example.org")
    choose_many(page, files)
    line.armed = True
    packets, lost, begun_s = link.carried, link.lost, time.monotonic()
    page.get_by_role("button", name=f"Upload {len(files)} photos").click()
    if screenshot:
        expect(page.locator("#overall-text")).to_contain_text(f"{len(files) // 4} of", timeout=_LONGEST_MS)
        page.screenshot(path=screenshot)
    expect(page.get_by_role("heading", name="My photos")).to_be_visible(timeout=_LONGEST_MS)
    seconds = time.monotonic() - begun_s
    lost = link.lost - lost
    return Figures(
        photos=len(files),
        size_bytes=sum(file.stat().st_size for file in files),
        in_order=stored_captions(page) == [file.stem for file in files],
        cuts=line.cuts,
        packets=link.carried - packets + lost,
        lost=lost,
        seconds=round(seconds, 1),
    )


if __name__ == "__main__":
    sys.exit(main())
