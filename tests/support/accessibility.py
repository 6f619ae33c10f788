"""Run axe-core in a page, at phone and desktop width, in the light and the dark theme.

axe-core comes with the package axe-playwright-python; no file is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, StorageState

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
_Theme = Literal["light", "dark"]
_OPTIONS: dict[_Theme, dict[str, Any]] = {
    "dark": {"runOnly": ["color-contrast", "link-in-text-block"], "resultTypes": ["violations"]},
    # WCAG 2.2, 2.5.8: targets of 24 px; off by default.
    "light": {"rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]},
}
"""axe's options for each theme. Rules that do not depend on colours run in the light theme only."""
_RUN = """async (options) => {
  const { violations } = await axe.run(document, { ...options, selectors: false });
  return violations.map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes.map((node) => node.html))}`);
}"""

_FIRST_HEADING = "document.querySelector('main :is(h1, h2, h3, h4)')?.tagName"
_PLAIN_BARS = """() => [...document.querySelectorAll("main *")].filter((one) => {
  const { overflowX, scrollbarColor } = getComputedStyle(one);
  return overflowX === "auto" && scrollbarColor === "auto" && !one.matches("textarea");
}).map((one) => one.outerHTML.slice(0, 99))"""
_NARROW = """() => [...document.querySelectorAll(".button, .badge")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.outerHTML)"""

_SQUEEZED = """() => [...document.querySelectorAll("main *")].filter((one) =>
  [...one.childNodes].some((node) => {
    const range = new Range();
    range.selectNodeContents(node);
    return node.nodeType === Node.TEXT_NODE && range.getClientRects().length > 4
      && range.getBoundingClientRect().width < 64;
  })).map((one) => one.outerHTML)"""
_OVERLAPPING = """() => {
  const floats = (one) =>
    /sticky|fixed|absolute/.test(getComputedStyle(one).position) || one.matches("dialog");
  const isInText = (one) => { while (one && !floats(one)) one = one.parentElement; return !one; };
  const controls = [...document.querySelectorAll("main :is(a, button, input, select, textarea, summary)")]
    .filter((one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .filter(isInText)
    .map((one) => ({ one, box: one.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 1 && box.height > 1);
  const px = (a, b, from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]);
  const holds = (a, b) => a.left <= b.left && a.right >= b.right && a.top <= b.top && a.bottom >= b.bottom;
  return controls.flatMap(({ one, box: a }, place) => controls.slice(place + 1)
    .filter(({ box: b }) => px(a, b, "left", "right") > 2 && px(a, b, "top", "bottom") > 2
      && !holds(a, b) && !holds(b, a))
    .map(({ one: other }) => `${one.outerHTML} and ${other.outerHTML}`));
}"""
"""Finds controls that overlap. Buttons inside fields and floating menus are exempt: they do so by design."""
_CUT = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const wider = (one, text, most_px) => {
    canvas.font = getComputedStyle(one).font;
    return one.clientWidth && canvas.measureText(text).width > most_px ? [`${text} in ${one.outerHTML}`] : [];
  };
  const inside_px = (one) => {
    const style = getComputedStyle(one);
    return one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  };
  const arrow_px = 16;
  return [
    ...[...document.querySelectorAll("[placeholder]")].flatMap((one) =>
      wider(one, one.placeholder, inside_px(one))),
    ...[...document.querySelectorAll("option")].flatMap((one) =>
      wider(one.parentElement, one.text, inside_px(one.parentElement) - arrow_px)),
  ];
}"""


@contextmanager
def window(browser: Browser, url: str, state: StorageState | None = None) -> Iterator[Page]:
    """Open a window with the width of a phone; a request to another host fails the test."""
    foreign: list[str] = []
    context = browser.new_context(
        base_url=url,
        storage_state=state,
        viewport=PHONE,  # type: ignore[arg-type]
        bypass_csp=True,  # axe is injected into the page as a script
        reduced_motion="reduce",
    )
    context.on("request", lambda one: None if is_local(one.url, url) else foreign.append(one.url))
    yield context.new_page()
    context.close()
    assert foreign == []


def is_local(address: str, url: str) -> bool:
    return address.startswith((url, "data:", "blob:"))


def problems(page: Page, name: str) -> list[str]:
    """Return axe's findings on the open page, at each width and in each theme, with all ``details`` open."""
    unfold(page)
    found = [f"{name}: a scrollbar without the page's colours: {one}" for one in page.evaluate(_PLAIN_BARS)]
    first = page.evaluate(_FIRST_HEADING)
    if first != "H1":
        found.append(f"{name}: the first heading is {first}")
    for size in (DESK, PHONE):  # PHONE last: it is the width that the page had
        page.set_viewport_size(size)  # type: ignore[arg-type]
        where = f"{name}, {size['width']} px"
        found += [f"{where}: {fault}" for fault in too_wide(page)]
        for theme in _OPTIONS:
            page.emulate_media(color_scheme=theme)
            found += [f"{where}, {theme}: {fault}" for fault in violations(page, theme)]
    return found


def unfold(page: Page) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


def violations(page: Page, theme: _Theme = "light") -> list[str]:
    """Return the id of each violated rule, with its elements."""
    if not page.evaluate("'axe' in window"):  # axe is half a megabyte: inject it once for each page
        page.evaluate(AXE_SCRIPT)
    broken: list[str] = page.evaluate(_RUN, _OPTIONS[theme])
    return broken


def too_wide(page: Page) -> list[str]:
    """Return layout faults: a page wider than its window, text that is cut, and controls that overlap.

    Text is looked for in buttons, badges, fields with a placeholder, drop-down lists, and columns with room
    for one short word.
    """
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found = [f"{wider} px wider than the window"] if wider > 0 else []
    found += [f"the text is wider than {one}" for one in page.evaluate(_NARROW)]
    found += [f"the text is cut: {one}" for one in page.evaluate(_CUT)]
    found += [f"controls overlap: {one}" for one in page.evaluate(_OVERLAPPING)]
    return found + [f"the column is too narrow: {one}" for one in page.evaluate(_SQUEEZED)]
