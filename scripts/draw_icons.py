"""Draw the icons of the phone app from favicon.svg, with Chromium: `python scripts/draw_icons.py`."""

from __future__ import annotations

import argparse
import sys

import scripts  # noqa: F401 - first: finds the packages without an installation
from checker.evaluation.provenance import ROOT
from scripts.chromium import chromium
from scripts.command_line import report_errors, require

STATIC = ROOT / "catloader/web/static"
SIZES_PX = (192, 512)
_DRAWING_SHARE = 0.62
"""Share of the icon that the drawing fills: phones crop the edges of icons to circles or rounded shapes."""
_PAPER = "#faf8f5"


@report_errors
def main(argv: list[str] | None = None) -> int:
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    require("playwright")
    drawing = (STATIC / "favicon.svg").read_text("utf-8")
    with chromium() as browser:
        for size in SIZES_PX:
            page = browser.new_page(viewport={"width": size, "height": size})
            page.set_content(
                f"<style>body {{ margin: 0; height: 100vh; display: grid; place-items: center; "
                f"background: {_PAPER} }} svg {{ width: {_DRAWING_SHARE:.0%} }}</style>{drawing}"
            )
            path = STATIC / f"icon-{size}.png"
            page.screenshot(path=path)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
