"""The public album in a browser: scrolling, swiping, likes, and a link that is shared and revoked."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, expect

from catloader.store.db.engine import make_engine
from catloader.web.photos.photo_list import PAGE_PHOTOS
from tests.support.browser import Site, copied, register
from tests.support.rows import add_photos

_TO_THE_END = "scrollTo(0, document.documentElement.scrollHeight)"


def test_the_album_grows_while_visitors_scroll_and_has_plain_pages_too(page: Page, site: Site) -> None:
    engine = make_engine(site.database)
    add_photos(engine, 3 * PAGE_PHOTOS, status="cat", on_air=True)
    engine.dispose()
    page.goto("/album")
    page.wait_for_load_state()
    shown = page.locator("#album > li")
    expect(shown).to_have_count(PAGE_PHOTOS)
    page.evaluate(_TO_THE_END)
    expect(shown).to_have_count(2 * PAGE_PHOTOS)
    expect(page.locator("#album-news")).to_have_text(f"{PAGE_PHOTOS} more photos.")
    addresses = page.locator("#album a").evaluate_all("links => links.map((link) => link.href)")
    assert len(set(addresses)) == 2 * PAGE_PHOTOS
    with page.expect_event("requestfailed"):
        page.route("**/album?older=*", lambda route: route.abort())
        page.evaluate(_TO_THE_END)
    page.unroute("**/album?older=*")
    with page.expect_navigation():  # the link to the next page works without scrolling
        page.get_by_role("link", name="Older photos").click()
    assert not {*addresses} & {*page.locator("#album a").evaluate_all("links => links.map((a) => a.href)")}
    expect(page.get_by_role("link", name="Newer photos")).to_be_visible()


def test_the_focus_stays_in_the_album_that_grows(page: Page, site: Site) -> None:
    engine = make_engine(site.database)
    add_photos(engine, PAGE_PHOTOS + 1, status="cat", on_air=True)
    engine.dispose()

    def focus_the_link(route: Route) -> None:
        page.locator("#album-older").evaluate("link => link.focus({ preventScroll: true })")
        route.continue_()

    page.route("**/album?older=*", focus_the_link)
    page.goto("/album")
    page.wait_for_load_state()
    page.evaluate(_TO_THE_END)
    expect(page.locator("#album > li").nth(PAGE_PHOTOS).locator("a")).to_be_focused()


def test_back_from_a_photo_leads_to_its_place_in_the_album_that_has_grown(page: Page, site: Site) -> None:
    engine = make_engine(site.database)
    add_photos(engine, 4 * PAGE_PHOTOS, status="cat", on_air=True)
    engine.dispose()
    page.goto("/album")
    page.wait_for_load_state()
    for pages in (2, 3):
        page.evaluate(_TO_THE_END)
        expect(page.locator("#album > li")).to_have_count(pages * PAGE_PHOTOS)
    photo = page.locator("#album > li").nth(PAGE_PHOTOS + 30)
    id = photo.get_attribute("id")
    photo.locator("a").click()
    expect(page).to_have_url(re.compile(r"/album/\d+$"))
    page.go_back()
    expect(page.locator(f"#{id}")).to_be_in_viewport()
    page.go_back()
    expect(page).to_have_url("about:blank")


def test_accents_piled_up_in_a_caption_are_not_painted_over_the_page(page: Page, site: Site) -> None:
    engine = make_engine(site.database)
    captions = ("cat", "c" + 200 * "\N{COMBINING ACUTE ACCENT}" + "at")
    ids = [add_photos(engine, 1, status="cat", on_air=True, caption=caption)[0] for caption in captions]
    engine.dispose()
    headers = []
    for id in ids:
        page.goto(f"/album/{id}")
        page.wait_for_load_state()
        headers.append(page.locator("header.bar").screenshot())
    assert headers[0] == headers[1]


def _publish(page: Page, site: Site, photos: Path, email: str) -> list[str]:
    """Publish two photos of a cat; return their addresses in the album, newest first."""
    register(page, email)
    addresses = []
    page.set_input_files("#photos", [photos / "chelsea.jpg"] * 2)
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_role("link", name="See my photos")).to_be_visible()
    site.check()
    for place in (0, 1):
        page.goto("/photos")
        page.locator(".grid a").nth(place).click()
        page.wait_for_url("**/photos/*")
        with page.expect_navigation():
            page.get_by_role("button", name="Publish").click()
        addresses.append(str(page.get_by_role("link", name="public album").get_attribute("href")))
    return addresses


def _swipe_left(page: Page) -> None:
    """Move a finger to the left over the photo."""
    box = page.locator("article img").bounding_box()
    assert box
    y, tools = box["y"] + box["height"] / 2, page.context.new_cdp_session(page)
    for kind, x in (("touchStart", 0.9), ("touchMove", 0.5), ("touchMove", 0.1), ("touchEnd", None)):
        points = [] if x is None else [{"x": box["x"] + x * box["width"], "y": y}]
        tools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_visitors_swipe_and_users_like_once(browser: Browser, page: Page, site: Site, photos: Path) -> None:
    newest, older = _publish(page, site, photos, "olga@example.org")
    with closing(
        browser.new_context(
            base_url=site.url, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
        )
    ) as context:
        visitor = context.new_page()
        visitor.goto(newest)
        visitor.wait_for_load_state()
        expect(visitor.get_by_role("link", name="Log in to like")).to_be_visible()
        _swipe_left(visitor)
        visitor.wait_for_url(f"**{older}")
    page.goto(newest)
    page.get_by_role("button", name="Like").click()
    liked = page.get_by_role("button", name="Liked")
    expect(liked).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("1 like", exact=True)).to_be_visible()
    liked.click()
    expect(page.get_by_text("0 likes", exact=True)).to_be_visible()


def test_a_shared_link_shows_one_photo_until_it_is_revoked(
    browser: Browser, page: Page, photos: Path
) -> None:
    register(page, "lina@example.org")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.locator(".grid a").click()
    page.wait_for_url("**/photos/*")
    address = page.url
    page.get_by_role("button", name="Share a link").click()
    link = page.locator("#link").input_value()
    assert copied(page) == link
    page.evaluate("navigator.clipboard.writeText('')")
    page.evaluate("Object.defineProperty(navigator.clipboard, 'writeText', { value: undefined })")
    assert copied(page) == link
    page.reload()  # shows the photo and does not revoke the link
    expect(page.get_by_role("button", name="Revoke link")).to_be_visible()
    with closing(browser.new_context()) as context:
        guest = context.new_page()
        guest.goto(link)
        expect(guest.get_by_text("Somebody shared this photo with you.")).to_be_visible()
        photo = guest.locator("article img")
        expect(photo).to_have_js_property("naturalWidth", 600)
        page.goto(address)
        page.get_by_role("button", name="Revoke link").click()
        expect(page.get_by_role("button", name="Share a link")).to_be_visible()
        guest.reload()
        expect(guest.get_by_text("This link has been revoked")).to_be_visible()
