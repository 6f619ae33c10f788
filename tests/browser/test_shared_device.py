"""Two people with one phone: photos that wait in its browser are never given to another account."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PASSWORD, Site, log_in, log_in_by_request, register, share

_BRING = """async () => (await import("/static/shared.js")).bring([new File(["bytes"], "dropped.png")])"""
_LEFT = """async () => {
  const shared = await caches.keys(), last = localStorage.getItem("catloader-account");
  return [shared, (await (await import("/static/shared.js")).takeBrought()).length, last];
}"""

_TAKE_TWICE = """async () => {
  const { takeShared } = await import("/static/shared.js");
  const cache = await caches.open("shared-photos");
  for (let number = 0; number < 5; number += 1) {
    await cache.put(`/waiting?name=${number}.png`, new Response("bytes"));
  }
  return (await Promise.all([takeShared(), takeShared()])).flat().map((file) => file.name);
}"""


def _bring_photo(page: Page, email: str) -> None:
    """Log in on a phone, wait for its service worker, and drop a photo."""
    register(page, email)
    page.wait_for_function("async () => (await navigator.serviceWorker.getRegistration('/upload/'))?.active")
    page.goto("/photos")
    page.evaluate(_BRING)


def _share_logged_out(page: Page) -> None:
    share(page, ["shared.png"])
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def _leave_photos(page: Page, email: str) -> None:
    """Share and drop photos on a phone, whose browser loses its cookies in between."""
    _bring_photo(page, email)
    page.context.clear_cookies()
    _share_logged_out(page)


def test_two_upload_pages_that_open_together_take_each_shared_photo_once(page: Page, site: Site) -> None:
    register(page, "zoe@example.org")
    names = page.evaluate(_TAKE_TWICE)
    assert sorted(names) == [f"{number}.png" for number in range(5)]
    assert page.evaluate(_LEFT)[0] == []


@pytest.mark.parametrize("is_idle", [True, False], ids=["idle", "no cookie"])
def test_waiting_photos_are_uploaded_after_the_next_log_in_of_their_account(
    page: Page, site: Site, is_idle: bool
) -> None:
    email = f"gesa-{is_idle}@example.org".lower()
    if is_idle:
        _bring_photo(page, email)
        site.let_sessions_expire(email)
        _share_logged_out(page)
    else:
        _leave_photos(page, email)
    log_in(page, email)
    page.goto("/upload")
    for name in ("shared.png", "dropped.png"):
        expect(page.get_by_title(name, exact=True)).to_be_visible()


def _log_out_everywhere(laptop: Page) -> None:
    laptop.goto("/account")
    laptop.get_by_role("button", name="Log out everywhere").click()
    expect(laptop.get_by_text("You are logged out on all devices.")).to_be_visible()


def _log_out_the_phone(laptop: Page) -> None:
    laptop.goto("/account")
    others = laptop.locator("button[name=session]:not([data-log-out])")
    others.click()
    expect(laptop.get_by_text("That device is logged out.")).to_be_visible()


def _change_password(laptop: Page) -> None:
    laptop.goto("/account/password")
    form = laptop.locator("form[action='/account/password']")
    form.locator("[name=old_password]").fill(PASSWORD)
    form.locator("[name=new_password]").fill(PASSWORD + " 2")
    form.locator("button:not([type=button])").click()
    expect(laptop.get_by_text("Password changed.")).to_be_visible()


def _delete_account(laptop: Page) -> None:
    laptop.goto("/account/delete")
    form = laptop.locator("form[action='/account/delete']")
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("button:not([type=button])").click()
    expect(laptop.get_by_text("deleted").first).to_be_visible()


@pytest.mark.parametrize(
    "end",
    [_log_out_everywhere, _log_out_the_phone, _change_password, _delete_account],
    ids=lambda end: end.__name__,
)
def test_waiting_photos_are_deleted_when_another_device_ends_the_session(
    page: Page, browser: Browser, site: Site, end: Callable[[Page], None]
) -> None:
    """The next person who logs in does not get the photos, even if it is the same person."""
    email = f"kurt{end.__name__}@example.org"
    _bring_photo(page, email)
    with browser.new_context(base_url=site.url) as context:
        laptop = context.new_page()
        log_in(laptop, email)
        end(laptop)
    _share_logged_out(page)
    expect(page.get_by_text("photos that waited here were removed")).to_be_visible()
    assert page.evaluate(_LEFT) == [[], 0, ""]
    if end is _log_out_everywhere:
        log_in(page, email)
        page.goto("/upload")
    else:
        register(page, f"lena{end.__name__}@example.org")
    page.wait_for_load_state()
    assert page.locator("#queue li").count() == 0


def test_waiting_photos_of_an_ended_session_are_deleted_after_a_log_in_without_the_log_in_page(
    page: Page, browser: Browser, site: Site
) -> None:
    """The same happens to a person who is faster than the script of the log-in page."""
    email = "mona@example.org"
    _bring_photo(page, email)
    with browser.new_context(base_url=site.url) as context:
        laptop = context.new_page()
        log_in(laptop, email)
        _log_out_everywhere(laptop)
    log_in_by_request(page, email)
    page.goto("/upload")
    expect(page.get_by_text("Photos that waited here since an earlier log-in were removed.")).to_be_visible()
    page.wait_for_load_state()
    assert page.locator("#queue li").count() == 0
    assert page.evaluate(_LEFT)[:2] == [[], 0]


def test_waiting_photos_are_deleted_when_another_account_logs_in(page: Page) -> None:
    _leave_photos(page, "hans@example.org")
    register(page, "ida@example.org")
    expect(page.get_by_text("Photos that waited here since an earlier log-in were removed.")).to_be_visible()
    page.wait_for_load_state()
    assert page.locator("#queue li").count() == 0
    (shared, dropped, last) = page.evaluate(_LEFT)
    assert (shared, dropped) == ([], 0)
    assert last == page.locator("body").get_attribute("data-account")


@pytest.mark.parametrize("name", ["Log out", "Log out everywhere"])
def test_a_log_out_deletes_waiting_photos(page: Page, name: str) -> None:
    email = f"jan-{len(name)}@example.org"
    _leave_photos(page, email)
    log_in(page, email)
    page.goto("/account")
    page.wait_for_load_state()
    page.evaluate("sessionStorage.setItem('brought-photos', 'There are no photos in private.')")
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_text("You are logged out")).to_be_visible()
    assert page.evaluate(_LEFT) == [[], 0, None]
    assert page.evaluate("sessionStorage.getItem('brought-photos')") is None


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_only_an_account_that_is_deleted_loses_its_waiting_photos(page: Page, password: str) -> None:
    _bring_photo(page, f"olaf-{len(password)}@example.org")
    page.goto("/account")
    page.wait_for_load_state()
    form = page.locator("form[action='/account/delete']")
    form.locator("[name=password]").fill(password)
    form.get_by_role("button", name="Delete my account").click()
    is_deleted = password == PASSWORD
    expected = "Your account and photos were deleted." if is_deleted else "The password is wrong."
    expect(page.get_by_text(expected)).to_be_visible()
    expect(page.locator("body[data-forget]")).to_have_count(1 if is_deleted else 0)
    page.evaluate("async () => (await import('/static/this-account.js')).settled")
    assert page.evaluate(_LEFT)[1] == (0 if is_deleted else 1)


_SHARE_WHILE_READING = """async () => {
  const { match } = Cache.prototype, kept = await caches.open("shared-photos");
  await kept.put("/upload/shared?name=first.png", new Response("first"));
  Cache.prototype.match = async function (request) {
    Cache.prototype.match = match;
    await this.put("/upload/shared?name=second.png", new Response("second"));
    return match.call(this, request);
  };
  const { takeShared } = await import("/static/shared.js");
  return [...(await takeShared()), ...(await takeShared()), ...(await takeShared())].map((file) => file.name);
}"""


def test_a_photo_that_is_shared_while_others_are_read_is_kept(page: Page) -> None:
    page.goto("/login")
    assert page.evaluate(_SHARE_WHILE_READING) == ["first.png", "second.png"]
    assert page.evaluate("caches.keys()") == []


_FAIL_ONCE = """async (name) => {
  const kept = await caches.open("shared-photos");
  for (const photo of ["first", "second"]) {
    await kept.put(`/upload/shared?name=${photo}.png`, new Response(photo));
  }
  const type = name === "blob" ? Response.prototype : Cache.prototype, original = type[name];
  type[name] = async () => {
    type[name] = original;
    throw new Error("no memory");
  };
  const { takeShared } = await import("/static/shared.js");
  return [await takeShared(), await takeShared()].map((files) => files.map((file) => file.name));
}"""


@pytest.mark.parametrize("step", ["match", "blob", "delete"])
def test_a_shared_photo_that_can_not_be_read_is_kept_and_the_others_are_taken(page: Page, step: str) -> None:
    page.goto("/login")
    assert page.evaluate(_FAIL_ONCE, step) == [["second.png"], ["first.png"]]
    assert page.evaluate("caches.keys()") == []
