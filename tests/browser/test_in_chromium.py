"""Register, upload, watch and delete in Chromium, on the real site with the real Cat Checker."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import PASSWORD, UPLOADS_AT_ONCE, Site, register, register_by_form, width_px
from tests.support.serving import form_token, registered
from tests.support.site import jpeg


def test_register_upload_watch_delete(page: Page, site: Site, photos: Path) -> None:
    register_by_form(page, "anna@example.org")
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_label("Caption of chelsea.jpg").fill("Chelsea")
    page.get_by_role("button", name="Upload 2 photos").click()

    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    badges = page.locator(".grid .badge")
    expect(badges).to_have_text(["Waiting", "Waiting"])
    expect(page.get_by_text("Chelsea", exact=True)).to_be_visible()
    for photo in page.locator(".grid img").all():
        expect(photo).to_have_js_property("complete", True)
        assert width_px(photo) >= 300
    page.evaluate("window.notReloaded = true")
    photo_page = page.context.new_page()
    photo_page.goto(page.locator(".grid a", has_text="Chelsea").get_attribute("href") or "")
    expect(photo_page.get_by_text("Waiting for the checker")).to_be_visible()

    site.check()
    page.bring_to_front()
    with_caption = page.locator(".grid li", has_text="Chelsea")
    without = page.locator(".grid li", has_not_text="Chelsea")
    expect(with_caption.locator(".badge")).to_contain_text("Cat")
    expect(without.locator(".badge")).to_contain_text("No cat")
    assert page.evaluate("window.notReloaded")
    photo_page.bring_to_front()
    expect(photo_page.get_by_role("heading", name="This photo shows a cat.")).to_be_visible(timeout=20_000)
    expect(photo_page.get_by_role("heading", name="What the model sees")).to_be_visible()
    _check_explanation(photo_page)
    photo_page.close()

    page.get_by_role("link", name="Account").click()
    form = page.locator("form", has_text="Delete account")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_text("Your account and photos were deleted.")).to_be_visible()
    page.wait_for_load_state()
    page.reload()
    expect(page.get_by_role("heading", name="An account was deleted")).to_be_visible()
    page.goto("/photos")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def _check_explanation(page: Page) -> None:
    page.evaluate("window.notReloaded = true")
    shown, plain = (
        page.get_by_role("figure").get_by_role("img"),
        page.locator("#shown-photo").get_attribute("src"),
    )
    caption = page.get_by_text("strong evidence for a cat")
    expect(caption).to_be_hidden()
    page.get_by_role("link", name="Show what the checker saw").click()
    expect(page.get_by_text("This takes a few seconds")).to_be_visible()
    expect(caption).to_be_visible(timeout=60_000)
    expect(page.get_by_text("This takes a few seconds")).to_be_hidden()
    expect(shown).to_have_attribute("src", re.compile(r"/explanation\.jpg$"))
    assert shown.evaluate("img => [img.complete, img.naturalWidth]") == [True, 451]
    page.get_by_role("link", name="Show the photo").click()
    expect(caption).to_be_hidden()
    expect(shown).to_have_attribute("src", str(plain))
    # The second request is served from S3. A failed request shows a sentence and keeps the photo.
    page.get_by_role("link", name="Show what the checker saw").click()
    expect(caption).to_be_visible()
    page.get_by_role("link", name="Show the photo").click()
    page.route("**/explanation.jpg", lambda route: route.abort())
    page.get_by_role("link", name="Show what the checker saw").click()
    expect(page.get_by_text("That did not work. Please try again in a moment.")).to_be_visible()
    expect(shown).to_have_attribute("src", str(plain))
    assert page.evaluate("window.notReloaded")


def test_a_refusal_is_shown_next_to_its_file(page: Page, photos: Path) -> None:
    register(page, "bert@example.org")
    page.set_input_files("#photos", [photos / "coffee.png", photos / "notes.jpg"])
    page.get_by_role("button", name="Upload 2 photos").click()
    rows = page.locator("#queue li")
    expect(rows.nth(0)).to_contain_text("not a photo")
    expect(rows.nth(1)).to_contain_text("Stored.")
    expect(rows.nth(1)).to_be_hidden()
    expect(page.get_by_text("1 photo stored, 1 not stored.")).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Show 1 stored photo").click()
    expect(rows.nth(1)).to_be_visible()
    page.get_by_role("link", name="See my photos").click()
    expect(page.locator(".grid .badge")).to_have_count(1)


_SLOW_LINE = """async () => {
  const { showProgress } = await import("/static/upload-bar.js");
  const row = { state: "sending", file: { size: 600_000 }, sent: 0, isSettled: false };
  const bar = showProgress([row], { paused: false });
  setInterval(() => {
    row.sent += 2_000;
    bar.show(); // the upload script calls it for each stored photo
  }, 100);
}"""


def test_the_time_left_is_shown_after_two_seconds_and_is_right_for_a_steady_connection(page: Page) -> None:
    register(page, "tina@example.org")
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    page.evaluate(_SLOW_LINE)
    page.clock.run_for(1_950)
    assert page.locator("#overall-text").inner_text() == "0 of 1 · 37 kB of 586 kB"
    page.clock.run_for(50)
    assert page.locator("#overall-text").inner_text() == "0 of 1 · 39 kB of 586 kB · 30 s left"


def test_a_file_over_the_limit_is_refused_with_the_limit_that_the_page_states(
    page: Page, tmp_path: Path
) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(1_000_001))
    (tmp_path / "empty.jpg").touch()
    register(page, "lars@example.org")
    expect(page.locator(".drop")).to_contain_text("up to 976 kB each")
    page.set_input_files("#photos", [tmp_path / "large.jpg", tmp_path / "empty.jpg"])
    expect(page.locator("#queue li").first).to_contain_text("This file is larger than 976 kB.")
    expect(page.locator("#queue .size")).to_have_text(["977 kB", "0 kB"])


def test_upload_page_waits_while_the_site_is_busy(page: Page, site: Site, photos: Path) -> None:
    register(page, "gerd@example.org")
    page.set_input_files("#photos", [photos / "coffee.png", photos / "notes.jpg"])
    store = site.object_store()
    with _uploads_of_others(site) as upload:
        store.suspend()
        uploads = [
            upload() for _ in range(2 * UPLOADS_AT_ONCE + 1)
        ]  # as many as there are places, as many that wait, and one more
        assert next(as_completed(uploads)).result() == 503
        page.get_by_role("button", name="Upload 2 photos").click()
        row = page.locator("#queue li", has_text="coffee.png")
        expect(row).to_contain_text("Trying again in a moment")
        with suppress(psutil.NoSuchProcess):  # the site may have restarted the store
            store.resume()
        expect(row).to_contain_text("Stored.")


@contextmanager
def _uploads_of_others(site: Site) -> Iterator[Callable[[], Future[int]]]:
    """Yield a function that starts an upload of another account; its future returns the status."""
    session = registered(site.url)
    form = {"csrf_token": form_token(session, site.url + "/upload")}

    def upload() -> int:
        files = {"photos": ("sky.jpg", jpeg())}
        return session.post(site.url + "/upload", form, files=files, timeout=60).status_code

    with session, ThreadPoolExecutor(2 * UPLOADS_AT_ONCE + 1) as threads:
        yield lambda: threads.submit(upload)


_CLICK_TWICE = """button => {
  button.click();
  (async () => {
    while (await (await fetch("/requests-sent")).text() === "0");
    button.click();
    await fetch("/clicked-again");
  })();
}"""


def test_a_form_is_sent_only_once_and_its_password_can_be_shown(page: Page) -> None:
    page.goto("/register")
    page.get_by_label("E-mail").fill("twice@example.org")
    password = page.get_by_label("Password")
    password.fill(PASSWORD)
    page.get_by_role("button", name="Show Password").click()
    expect(password).to_have_attribute("type", "text")
    expect(password).to_be_focused()
    page.get_by_role("button", name="Hide Password").click()
    expect(password).to_have_attribute("type", "password")
    sent: list[Route] = []

    def hold_the_first(route: Route) -> None:
        sent.append(route)
        if len(sent) > 1:
            route.continue_()

    def continue_the_first(route: Route) -> None:
        route.fulfill()
        sent[0].continue_()

    page.route("**/register", hold_the_first)
    page.route("**/requests-sent", lambda route: route.fulfill(body=str(len(sent))))
    page.route("**/clicked-again", continue_the_first)
    page.get_by_role("button", name="Create account").evaluate(_CLICK_TWICE)
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    assert len(sent) == 1


_USE_CAMERA = """() => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotReadableError"));
}"""
_CAMERA = "video => video.srcObject?.getVideoTracks()[0].getSettings().deviceId"


def test_camera_of_a_computer_adds_a_photo(page: Page) -> None:
    register(page, "carl@example.org")
    page.locator("label[for=camera]").click()
    take, use = page.get_by_role("button", name="Take photo"), page.get_by_role("button", name="Use photo")
    expect(take).to_be_focused()
    take.click()
    expect(use).to_be_focused()
    page.get_by_role("button", name="Take again").click()
    other = page.get_by_role("button", name="Other camera")
    first = page.locator("#camera-video").evaluate(_CAMERA)
    other.click()
    page.wait_for_function(
        f"before => ({_CAMERA})(document.getElementById('camera-video')) !== before", arg=first
    )
    take.click()
    use.click()
    expect(page.locator("#queue li")).to_contain_text("camera.jpg")
    page.evaluate(_USE_CAMERA)  # like another program that uses the camera
    page.locator("label[for=camera]").click()
    expect(page.get_by_text("The camera is used by another program.")).to_be_visible()
    close = page.locator("#camera-close")
    expect(close).to_be_focused()
    close.click()
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.locator(".grid .badge")).to_have_text("Waiting")


_SLOW_CAMERA = """() => {
  const { mediaDevices } = navigator, ask = mediaDevices.getUserMedia.bind(mediaDevices);
  window.cameras = [];
  mediaDevices.getUserMedia = async (wish) => {
    const camera = await ask(wish);
    window.cameras.push(camera);
    await new Promise((resolve) => addEventListener("permit", resolve, { once: true }));
    return camera;
  };
}"""


def test_a_camera_that_is_permitted_too_late_is_switched_off(page: Page) -> None:
    register(page, "curt@example.org")
    page.evaluate(_SLOW_CAMERA)
    for count in (1, 2):
        page.locator("label[for=camera]").click()
        page.wait_for_function("count => window.cameras.length === count", arg=count)
        if count == 1:
            page.locator("#camera-close").click()
    page.evaluate("dispatchEvent(new Event('permit'))")
    expect(page.get_by_role("button", name="Take photo")).to_be_focused()
    states = "window.cameras.map((camera) => camera.getTracks()[0].readyState)"
    assert page.evaluate(states) == ["ended", "live"]


def test_upload_works_without_scripts(browser: Browser, site: Site, photos: Path) -> None:
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    register_by_form(page, "dora@example.org")
    page.set_input_files("#photos", [photos / "notes.jpg", photos / "coffee.png"])
    page.get_by_label("Caption").fill("A cup")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="1 of 2 photos stored")).to_be_visible()
    page.get_by_role("link", name="My photos").first.click()
    expect(page.get_by_text("A cup")).to_be_visible()
    context.close()


def test_oversized_request_gets_an_error_page(browser: Browser, site: Site, tmp_path: Path) -> None:
    (tmp_path / "huge.jpg").write_bytes(bytes(40_000_000))
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    register_by_form(page, "emil@example.org")
    page.set_input_files("#photos", [tmp_path / "huge.jpg"])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Too large")).to_be_visible()
    expect(page.get_by_text("up to 4 photos")).to_be_visible()
    context.close()


def test_client_that_sends_before_it_reads_gets_the_response(site: Site) -> None:
    """Most clients, unlike Chromium, do not read a response after the connection is reset."""
    with closing(http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=60)) as connection:
        connection.request("POST", "/login", body=bytes(40_000_000), headers={"Accept": "application/json"})
        assert connection.getresponse().status == 413
