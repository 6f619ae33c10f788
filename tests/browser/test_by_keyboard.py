"""Upload and appeal without a mouse, and paste a photo from the clipboard."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Site, register

_MOST_TABS = 60
_SHOWN = """(one) => {
  const { top, bottom, left, right } = one.getBoundingClientRect();
  const shown = one.matches("input[type=file]") ? one.nextElementSibling : one;
  const inside = bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
  return inside && getComputedStyle(shown).outlineStyle !== "none";
}"""
"""Returns true if an element is in the window and has an outline. A file field's outline is on its label."""


def _move_to(page: Page, target: Locator) -> None:
    """Press Tab until ``target`` has the focus. Every element on the way must show that it has the focus."""
    page.wait_for_load_state()
    expect(target).to_be_attached()
    for _ in range(_MOST_TABS):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count():
            assert focused.evaluate(_SHOWN), focused.evaluate("one => one.outerHTML")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by Tab")


def test_a_photo_is_uploaded_and_disputed_by_keyboard_alone(page: Page, site: Site, photos: Path) -> None:
    page.on("filechooser", lambda _: None)  # a busy browser may open it before expect_file_chooser listens
    register(page, "keys@example.org")
    _move_to(page, page.locator(".skip"))
    page.keyboard.press("Enter")
    _move_to(page, page.locator("#photos"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([photos / "chelsea.jpg", photos / "coffee.png"])
    _move_to(page, page.get_by_label("Caption of chelsea.jpg"))
    page.keyboard.type("Chelsea")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Caption of coffee.png")).to_be_focused()
    _move_to(page, page.get_by_role("button", name="Upload 2 photos"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    site.check()
    expect(page.locator(".grid li", has_text="Chelsea").locator(".badge")).to_have_text("Cat")

    _move_to(page, page.locator(".grid a", has_text="Chelsea"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/photos/*")
    _move_to(page, page.get_by_label("Reason (optional)"))
    page.keyboard.type("A small fox.")
    _move_to(page, page.get_by_role("button", name="Ask a reviewer"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Thank you. A reviewer will look at this photo.")).to_be_visible()
    expect(page.locator("#appeal").get_by_text("A small fox.")).to_be_visible()


_COPY = """async () => {
  const photo = await (await fetch("/static/icon-192.png")).blob();
  await navigator.clipboard.write([new ClipboardItem({ "image/png": photo })]);
}"""


def test_a_photo_is_pasted_from_the_clipboard(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    register(page, "paste-key@example.org")
    page.wait_for_load_state()
    page.evaluate(_COPY)
    page.keyboard.press("Control+V")
    expect(page.locator("#queue li")).to_have_count(1)
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.locator(".grid .badge")).to_have_text("Waiting")
