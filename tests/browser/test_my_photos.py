"""My photos in a browser: select with mouse and keyboard, delete, and move from photo to photo."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import PASSWORD, Site, press, register, register_by_form

_SET_HIDDEN = """isHidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

_ROOM_PX = "parseFloat(getComputedStyle(document.documentElement).scrollPaddingBottom)"


def _upload(page: Page, email: str, photos: Path) -> None:
    register(page, email)
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_label("Caption of chelsea.jpg").fill("Chelsea")
    page.get_by_label("Caption of coffee.png").fill("Coffee")
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.locator(".grid li")).to_have_count(2)
    page.wait_for_load_state()  # selecting photos before the scripts run would not open the bar


def test_select_search_walk_and_delete(page: Page, site: Site, photos: Path) -> None:
    _upload(page, "hana@example.org", photos)
    bar = page.locator("#selected")
    expect(bar).to_be_hidden()
    page.get_by_label("Select Chelsea").press("Space")
    expect(bar).to_contain_text("1 selected")
    page.get_by_role("button", name="Select all on this page").click()
    expect(bar).to_contain_text("2 selected")
    assert page.evaluate(_ROOM_PX) >= bar.evaluate("one => one.offsetHeight"), "the focus may be behind it"
    press(page, "Escape")
    expect(bar).to_be_hidden()

    page.locator(".grid a").first.click()
    page.wait_for_url("**/photos/*")
    first = page.url
    press(page, "ArrowRight")
    page.wait_for_url(lambda url: url != first)
    press(page, "ArrowLeft")
    page.wait_for_url(first)
    press(page, "Delete")
    expect(page.get_by_role("button", name="Delete photo")).to_be_focused()
    _full_size(page)
    _square(page, first)
    press(page, "Escape")
    page.wait_for_url("**/photos#photo-*")

    page.goto("/photos")
    page.get_by_label("Search in captions").fill("CHEL")
    press(page, "Enter")
    expect(page.locator(".grid li")).to_have_count(1)
    page.wait_for_load_state()
    page.get_by_label("Select Chelsea").check()
    press(page, "Delete")
    page.get_by_role("button", name="Delete 1 photo").click()
    expect(page.get_by_text("1 photo moved to the bin.")).to_be_visible()
    page.route("**/thumbnail.jpg", lambda route: route.fulfill(status=404))
    page.goto("/photos")
    expect(page.locator(".grid li")).to_have_count(1)
    expect(page.locator(".grid img")).to_have_js_property("currentSrc", f"{site.url}/static/asleep.svg")


def test_a_photo_whose_file_is_missing_is_not_shown_as_a_broken_image(
    page: Page, site: Site, photos: Path
) -> None:
    register(page, "max@example.org")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.route("**/photo.jpg", lambda route: route.fulfill(status=404))
    page.locator(".grid a").click()
    sentence = "The photo can't be loaded. Reload the page to try again."
    expect(page.get_by_role("alert")).to_have_text(sentence)
    expect(page.locator("#shown-photo")).to_have_js_property("src", f"{site.url}/static/asleep.svg")
    expect(page.get_by_text("Full size")).to_be_hidden()
    page.unroute("**/photo.jpg")
    page.reload()
    expect(page.locator("#shown-photo")).to_have_js_property("naturalWidth", 600)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_explanation_that_does_not_load_leaves_the_photo_as_it_was(
    page: Page, site: Site, photos: Path
) -> None:
    register(page, "moritz@example.org")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.wait_for_url("**/photos")
    site.check()
    page.locator(".grid a").click()

    def lose(route: Route) -> None:
        """Respond to the script, but not to the <img>, as if its address had expired at the object store."""
        if route.request.resource_type == "image":
            return route.abort()
        return route.fulfill(status=200, content_type="image/jpeg", body=b"")

    page.route("**/explanation.jpg", lose)
    page.get_by_role("link", name="Show what the checker saw").click()
    expect(page.get_by_text("The explanation could not be loaded.")).to_be_visible()
    expect(page.locator("#shown-photo")).to_have_js_property("naturalWidth", 600)
    expect(page.locator("#shown-photo")).not_to_have_class(re.compile("missing|busy"))
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_new_verdict_does_not_disturb_what_the_owner_is_typing(
    page: Page, site: Site, photos: Path
) -> None:
    register(page, "paul@example.org")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.locator(".grid a").click()
    page.get_by_text("Add a caption").click()
    page.get_by_label("Caption").fill("My cup")
    page.get_by_role("heading", level=1).click()  # the field loses the focus but keeps its text
    site.check()
    expect(page.get_by_role("button", name="Ask a reviewer")).to_be_visible()  # after the badge has changed
    expect(page.get_by_label("Caption")).to_have_value("My cup")
    page.get_by_role("button", name="Save caption").click()
    expect(page.locator("figcaption")).to_have_text("My cup")
    page.evaluate(
        "sessionStorage.setItem('catloader-typed', JSON.stringify({ account: '0', refused: true }))"
    )
    page.reload()  # the stored text belongs to another account that used this tab
    assert page.evaluate("sessionStorage.getItem('catloader-typed')") is None
    assert "catloader_zone=" in page.evaluate("document.cookie")
    page.get_by_text("Edit caption").click()
    page.get_by_label("Caption").fill("Two cups")
    site.let_sessions_expire("paul@example.org")
    page.get_by_role("button", name="Save caption").click()
    page.get_by_label("E-mail").fill("paul@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    for _ in range(2):
        expect(page.get_by_text("This was not sent. Send it again.")).to_be_visible()
        expect(page.get_by_label("Caption")).to_have_value("Two cups")
        page.locator("form[action$=caption] [name=csrf_token]").evaluate("field => (field.value = 'old')")
        page.get_by_role("button", name="Save caption").click()
        expect(page.get_by_role("heading", name="This form has expired")).to_be_visible()
        page.wait_for_load_state()  # the script has noticed the refusal
        page.get_by_role("link", name="Back", exact=True).click()
    page.get_by_role("button", name="Save caption").click()
    expect(page.locator("figcaption")).to_have_text("Two cups")
    expect(page.get_by_text("This was not sent. Send it again.")).to_have_count(0)
    with page.expect_navigation():
        page.get_by_role("button", name="Check again").click()
    page.get_by_text("Edit caption").click()
    page.get_by_role("button", name="Publish").focus()
    page.locator("#details").evaluate("part => part.className += ' before'")
    site.check()
    expect(page.locator("#verdict .badge.no")).to_be_visible()
    expect(page.locator("#details.before")).to_have_count(0)  # the part was replaced
    expect(page.get_by_role("button", name="Save caption")).to_be_visible()
    expect(page.get_by_role("button", name="Publish")).to_be_focused()


def test_the_title_of_a_hidden_tab_counts_the_photos_that_were_checked(
    page: Page, site: Site, photos: Path
) -> None:
    _upload(page, "petra@example.org", photos)
    page.clock.install()
    page.goto("/photos")
    expect(page.locator(".badge.waiting")).to_have_count(2)
    page.evaluate(_SET_HIDDEN, True)
    site.check()
    page.clock.run_for(31_000)  # a hidden page polls every 30 seconds
    expect(page).to_have_title("(2 checked) My photos · CatLoader")
    expect(page.locator("#news")).to_have_text("2 photos checked: 1 Cat, 1 No cat.")
    page.evaluate(_SET_HIDDEN, False)
    expect(page).to_have_title("My photos · CatLoader")

    with page.expect_navigation():
        page.locator(".grid a").first.click()
    with page.expect_navigation():
        page.get_by_role("button", name="Check again").click()
    expect(page.locator("#verdict .badge.waiting")).to_be_visible()
    token = page.locator("[name=csrf_token]").first.input_value()
    page.request.post(f"{page.url}/delete", form={"csrf_token": token})  # like another tab
    page.clock.run_for(2_000)
    expect(page.locator("#verdict .badge.problem")).to_have_text("Not found")
    expect(page.locator("[data-waiting]")).to_have_count(0)


def test_printed_photos_have_legible_badges_and_no_controls(page: Page, site: Site, photos: Path) -> None:
    _upload(page, "paula@example.org", photos)
    site.check()
    page.reload()
    page.locator("input.select").first.check()
    page.emulate_media(media="print", color_scheme="dark")
    cat = page.locator(".badge.yes")
    expect(cat).to_be_visible()
    expect(cat).to_have_css("print-color-adjust", "exact")
    for photo in page.locator(".grid img").all():
        expect(photo).to_be_visible()
    for hidden in ("nav", "footer", "button", "input.select", "#selected"):
        assert not any(one.is_visible() for one in page.locator(hidden).all()), hidden
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    page.goto(str(page.locator(".grid a").first.get_attribute("href")))
    expect(page.get_by_role("heading", name="Details")).to_be_visible()
    for hidden in ("button", "summary"):
        assert not any(one.is_visible() for one in page.locator(hidden).all()), hidden


def _full_size(page: Page) -> None:
    """Zoom a photo, and close the full size with a key that would otherwise leave the page."""
    address, viewer = page.url, page.get_by_role("dialog", name="Photo in full size")
    press(page, "Tab")  # waits until the scripts run
    page.locator("#enlarge").click()
    expect(viewer).to_be_visible()
    moved = page.locator("#viewer-stage img")
    press(page, "+")
    expect(moved).to_have_css("transform", re.compile(r"matrix\(1\.5,"))
    press(page, "0")
    expect(moved).to_have_css("transform", "matrix(1, 0, 0, 1, 0, 0)")
    press(page, "Escape")
    expect(viewer).to_be_hidden()
    assert page.url == address


def _square(page: Page, address: str) -> None:
    """Drag the square of the thumbnail to the left edge of the photo."""
    page.get_by_role("link", name="Square crop").click()
    square = page.locator("#square")
    expect(square).to_be_visible()
    page.wait_for_load_state()  # the square can be moved once the scripts run and the photo is loaded
    box = square.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] - 400, box["y"] + 20)
    page.mouse.up()
    expect(page.get_by_label("From the left (px)")).to_have_value("0")
    page.get_by_role("button", name="Save square").click()
    expect(page.get_by_text("Square saved.")).to_be_visible()
    page.goto(address)


def test_selection_works_without_scripts(browser: Browser, site: Site, photos: Path) -> None:
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    register_by_form(page, "ines@example.org")
    page.set_input_files("#photos", [photos / "coffee.png"])
    with page.expect_navigation():
        page.get_by_role("button", name="Upload").click()
    page.goto("/photos")
    page.locator("input.select").check()
    page.get_by_role("button", name="Delete").click()
    _assert_cancel_is_not_red(page)
    page.get_by_role("button", name="Delete 1 photo").click()
    expect(page.get_by_text("No photos yet.")).to_be_visible()
    page.goto("/bin")
    page.get_by_role("button", name="Empty the bin").click()
    _assert_cancel_is_not_red(page)
    context.close()


def _assert_cancel_is_not_red(page: Page) -> None:
    """Compare the link with the red button next to it, which deletes."""
    colour = "one => getComputedStyle(one).color"
    text = page.get_by_role("heading", level=1).evaluate(colour)
    assert page.locator(".danger button").evaluate(colour) != text
    expect(page.get_by_role("link", name="Cancel")).to_have_css("color", text)
