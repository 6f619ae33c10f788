"""A wrong verdict in a browser: the owner appeals, a reviewer decides by keyboard, the owner reads why."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browser import Site, press, register


def test_owner_appeals_and_reviewer_decides_by_keyboard(page: Page, site: Site, photos: Path) -> None:
    register(page, "jana@example.org")
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_role("button", name="Upload 2 photos").click()
    page.wait_for_url("**/photos")
    site.check()
    for shown, reason in (("cat", "A fox."), ("not_cat", "I know my cup.")):
        page.goto(f"/photos?show={shown}")
        page.locator(".grid a").click()
        page.wait_for_url("**/photos/*")
        page.get_by_label("Reason").fill(reason)
        page.get_by_role("button", name="Ask a reviewer").click()
        expect(page.get_by_text("Thank you. A reviewer will look at this photo.")).to_be_visible()

    site.promote_reviewer("jana@example.org")
    page.goto("/photos")
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_text("2 appeals")).to_be_visible()
    expect(page.get_by_text("“A fox.”")).to_be_visible()
    press(page, "n")
    expect(page.get_by_text("“I know my cup.”")).to_be_visible()
    press(page, "u")
    expect(page.get_by_text("“A fox.”")).to_be_visible()
    expect(page.get_by_text("Your last decision was undone.")).to_be_visible()
    press(page, "m")
    page.keyboard.type("Nice cat, no fox")
    press(page, "Escape")
    press(page, "c")
    expect(page.get_by_text("1 appeal,")).to_be_visible()
    press(page, "s")
    expect(page.get_by_text("No more photos after this place.")).to_be_visible()

    page.goto("/photos?show=cat")
    page.locator(".grid a").first.click()
    expect(page.get_by_role("heading", name="A reviewer decided: this photo shows a cat.")).to_be_visible()
    expect(page.locator("#verdict").get_by_text("“Nice cat, no fox”")).to_be_visible()
