"""The upload page: while other tabs log in and out, with dropped folders, and over a bad connection."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import PASSWORD, Site, log_in, log_out, register, share
from tests.support.cutting_proxy import CuttingProxy
from tests.support.many_photos import choose_many, many_photos, span_of_cuts, stored_captions
from tests.support.packet_loss import lossy_listener

MANY = 12
"""Number of photos sent over a bad connection. ``tests.faults.mobile_upload`` sends 80 over a slow one."""
CUTS = 20
LOSS = 0.01


@pytest.fixture
def dialogs(page: Page) -> list[str]:
    """The messages of the dialogs that the page opens; they are dismissed."""
    opened: list[str] = []

    def refuse(dialog: object) -> None:
        opened.append(str(dialog))
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", refuse)
    return opened


def _choose(page: Page, photos: Path) -> None:
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_label("Caption of chelsea.jpg").fill("Chelsea")
    page.get_by_label("Caption of coffee.png").fill("A cup")


def _assert_stored(page: Page) -> None:
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(2)
    for caption in ("Chelsea", "A cup"):
        expect(page.get_by_text(caption, exact=True)).to_be_visible()


def test_an_open_upload_page_still_works_after_a_new_log_in_in_another_tab(page: Page, photos: Path) -> None:
    register(page, "fred@example.org")
    _choose(page, photos)
    other = page.context.new_page()
    log_out(other)
    log_in(other, "fred@example.org")
    page.bring_to_front()
    page.get_by_role("button", name="Upload 2 photos").click()
    _assert_stored(page)


def test_a_log_out_in_another_tab_is_reported_once_and_loses_nothing(
    page: Page, photos: Path, dialogs: list[str]
) -> None:
    register(page, "gina@example.org")
    _choose(page, photos)
    other = page.context.new_page()
    log_out(other)
    page.bring_to_front()
    page.get_by_role("button", name="Upload 2 photos").click()
    notice = page.get_by_role("alert")
    expect(notice).to_have_count(1)
    expect(notice).to_contain_text("You are logged out. Your photos and captions are still here")
    expect(page.get_by_label("Caption of chelsea.jpg")).to_have_value("Chelsea")
    again = page.get_by_role("button", name="Try 2 photos again")
    expect(again).to_be_enabled()
    again.click()
    expect(notice).to_contain_text("You are logged out.")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in in a new tab").click()
    log_in(opened.value, "gina@example.org")
    opened.value.close()
    page.bring_to_front()
    again.click()
    _assert_stored(page)
    assert dialogs == []


def test_a_piece_that_was_sent_with_an_ended_session_is_sent_again_with_the_new_one(
    page: Page, photos: Path, dialogs: list[str]
) -> None:
    """On a slow line another tab changes the password while a piece is on its way."""
    register(page, "fritz@example.org")
    _choose(page, photos)
    statuses: list[int] = []

    def change_password_meanwhile(route: Route) -> None:
        ended = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in page.context.cookies())
        if not statuses:
            form = re.search(r'name="csrf_token" value="([^"]+)"', page.request.get("/account").text())
            assert form
            passwords = {"old_password": PASSWORD, "new_password": "another horse battery"}
            page.request.post("/account/password", form={"csrf_token": form[1], **passwords})
        response = route.fetch(headers={**route.request.headers, "cookie": ended})
        statuses.append(response.status)
        route.fulfill(response=response)

    page.route(re.compile("/upload/resumable"), change_password_meanwhile)
    page.get_by_role("button", name="Upload 2 photos").click()
    _assert_stored(page)
    assert (401 in statuses, dialogs) == (True, [])


def test_photos_do_not_go_to_another_account(page: Page, photos: Path) -> None:
    register(page, "hans@example.org")
    other = page.context.new_page()
    log_out(other)
    register(other, "ida@example.org")
    other.goto("/upload")
    log_out(other)
    log_in(other, "hans@example.org")
    page.bring_to_front()
    page.reload()
    _choose(page, photos)
    log_out(other)
    log_in(other, "ida@example.org")
    page.bring_to_front()
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_role("alert")).to_contain_text("Another account is logged in now.")
    other.reload()
    expect(other.get_by_text("No photos yet.")).to_be_visible()


def _drop(page: Page, *paths: Path, onto: str = "#drop") -> None:
    """Drop files or folders like a file manager does; wait until the page's script handles drops."""
    page.wait_for_load_state()
    page.locator(onto).scroll_into_view_if_needed()
    box = page.locator(onto).bounding_box()
    assert box
    tools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        position = {"x": box["x"] + 20, "y": box["y"] + 20}
        tools.send("Input.dispatchDragEvent", {"type": kind, **position, "data": data})


def test_a_dropped_folder_gives_its_photos(page: Page, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "deeper").mkdir(parents=True)
    (folder / "chelsea.jpg").write_bytes((photos / "chelsea.jpg").read_bytes())
    (folder / "deeper" / "COFFEE.PNG").write_bytes((photos / "coffee.png").read_bytes())
    (folder / "notes.txt").write_text("no photo")
    (folder / ".DS_Store").write_text("no photo")
    register(page, "jo@example.org")
    _drop(page, folder, photos / "coffee.png")
    rows = page.locator("#queue li .name")
    expect(rows).to_have_text(["coffee.png", "chelsea.jpg", "COFFEE.PNG"])
    expect(page.get_by_role("alert")).to_have_text("2 files that are not photos were left out.")
    page.get_by_role("button", name="Upload 3 photos").click()
    # The cup was dropped twice: inside the folder and as a file.
    expect(page.get_by_text("Stored again. You already had this photo.")).to_be_visible()
    page.goto("/photos")
    expect(page.locator(".grid .badge")).to_have_count(3)


def test_photos_of_a_dropped_folder_are_in_the_order_of_their_names(
    page: Page, photos: Path, tmp_path: Path
) -> None:
    names = [f"trip {number}.png" for number in range(1, 13)]
    for name in sorted(names):
        (tmp_path / name).write_bytes((photos / "coffee.png").read_bytes())
    register(page, "lin@example.org")
    _drop(page, tmp_path)
    expect(page.locator("#queue li .name")).to_have_text(names)


_DROP_TEXT = """() => ["dragover", "drop"].map((kind) => {
  const text = new DataTransfer();
  text.setData("text/plain", "Tom");
  const event = new DragEvent(kind, { dataTransfer: text, bubbles: true, cancelable: true });
  document.getElementById("caption").dispatchEvent(event);
  return event.defaultPrevented;
})"""
_PASTE_TEXT = """() => {
  const data = new DataTransfer();
  data.setData("text/plain", "Tom");
  data.setData("text/html", "<b>Tom</b>");
  data.items.add(new File(["bytes"], "image.png", { type: "image/png" }));
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.getElementById("caption").dispatchEvent(event);
  return event.defaultPrevented;
}"""
_BRING = """(kind) => {
  const files = new DataTransfer();
  const bytes = Uint8Array.from(atob(window.photo), (letter) => letter.charCodeAt(0));
  files.items.add(new File([bytes], "tom.jpg", { type: "image/jpeg" }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: files, ...options })
    : new DragEvent("drop", { dataTransfer: files, ...options });
  document.body.dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_my_photos_accepts_dropped_photos_and_their_square_can_be_chosen(
    page: Page, photos: Path, kind: str
) -> None:
    register(page, f"{kind}@example.org")
    page.goto("/photos")
    page.wait_for_load_state()
    photo = b64encode((photos / "chelsea.jpg").read_bytes()).decode()
    page.evaluate("photo => { window.photo = photo; }", photo)
    page.evaluate(_BRING, kind)
    expect(page.locator("#queue li .name")).to_have_text(["tom.jpg"])
    page.get_by_role("button", name="Square crop tom.jpg").click()
    page.get_by_label("Side (px)").fill("100")
    page.get_by_label("From the left (px)").fill("351")
    page.get_by_label("From the left (px)").press("Tab")
    page.get_by_role("button", name="Use this square").click()
    page.get_by_role("button", name="Upload 1 photo").click()
    page.locator(".grid a").click()
    page.get_by_role("link", name="Square crop").click()
    expect(page.get_by_label("Side (px)")).to_have_value("100")
    expect(page.get_by_label("From the left (px)")).to_have_value("351")


def test_photos_are_dropped_on_every_page_and_on_the_field_for_a_replacement(
    page: Page, photos: Path
) -> None:
    register(page, "doreen@example.org")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.locator(".grid a").click()
    page.wait_for_load_state()
    own = page.url
    page.get_by_text("Replace photo").first.click()
    _drop(page, photos / "chelsea.jpg", onto="#replacement")
    page.wait_for_function("document.getElementById('replacement').files[0]?.name === 'chelsea.jpg'")
    assert page.url == own
    for path in (own, "/album", "/account", "/bin"):
        other = page.context.new_page()
        other.goto(path)
        _drop(other, photos / "chelsea.jpg", onto="#main")
        expect(other.locator("#queue li .name")).to_have_text(["chelsea.jpg"])
        other.close()


_DRAG_OWN = """() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(["bytes"], "thumbnail.jpg", { type: "image/jpeg" }));
  const sign = document.querySelector(".drop-sign"), img = document.querySelector(".grid img");
  const send = (kind, target) => target.dispatchEvent(
    new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
  send("dragstart", img);
  const left = ["dragenter", "dragover", "drop"].map((kind) => send(kind, document.body) && sign.hidden);
  send("dragend", img);
  send("dragenter", document.body);
  return [...left, sign.hidden];
}"""


def test_a_photo_that_is_dragged_within_its_page_is_not_uploaded_again(page: Page, photos: Path) -> None:
    """Chrome with a window offers an image of the page as a file when it is dragged, perhaps by accident."""
    register(page, "rosa@example.org")
    page.set_input_files("#photos", photos / "chelsea.jpg")
    page.get_by_role("button", name="Upload 1 photo").click()
    page.wait_for_url("**/photos")
    page.wait_for_load_state()
    assert page.evaluate(_DRAG_OWN) == [True, True, True, False]  # the last drag comes from outside


def test_a_dropped_folder_without_photos_is_reported_by_name(page: Page, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    register(page, "kim@example.org")
    _drop(page, tmp_path / "empty")
    expect(page.get_by_role("alert")).to_have_text("There are no photos in empty.")
    expect(page.locator("#queue li")).to_have_count(0)
    assert page.evaluate(_DROP_TEXT) == [False, False]  # the browser inserts the text
    expect(page.get_by_role("alert")).to_have_text("There are no photos in empty.")


def test_my_photos_tells_what_was_left_out_of_a_drop(page: Page, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "chelsea.jpg").write_bytes((photos / "chelsea.jpg").read_bytes())
    (tmp_path / "notes.txt").write_text("no photo")
    register(page, "lea@example.org")
    page.goto("/photos")
    _drop(page, tmp_path, onto="#main")
    expect(page.locator("#queue li .name")).to_have_text(["chelsea.jpg"])
    expect(page.get_by_role("alert")).to_have_text("1 file that is not a photo was left out.")
    page.reload()
    expect(page.locator("#notice")).to_be_hidden()


def test_photos_that_the_browser_cannot_keep_are_asked_for_again(page: Page) -> None:
    register(page, "mia@example.org")
    page.goto("/photos")
    page.wait_for_load_state()
    page.evaluate(
        "() => { window.photo = ''; IDBFactory.prototype.open = () => { throw new Error('none'); }; }"
    )
    page.evaluate(_BRING, "drop")
    sentence = "The browser could not bring the photos to this page. Add them here again."
    expect(page.get_by_role("alert")).to_have_text(sentence)


def test_text_of_an_office_program_is_pasted_into_a_caption_without_its_image(page: Page) -> None:
    register(page, "nora-pastes@example.org")
    page.wait_for_load_state()
    assert page.evaluate(_PASTE_TEXT) is False  # the browser inserts the text
    expect(page.locator("#queue li")).to_have_count(0)


def test_a_file_that_is_gone_is_refused_and_the_others_are_stored(
    page: Page, photos: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.jpg"
    gone.write_bytes((photos / "chelsea.jpg").read_bytes())
    register(page, "nils@example.org")
    page.set_input_files("#photos", [gone, photos / "coffee.png"])
    expect(page.get_by_role("button", name="Square crop gone.jpg")).to_be_visible()
    gone.unlink()
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.locator("#queue .refused-file")).to_contain_text("This file can't be read any more")
    expect(page.locator("#progress-news")).to_have_text("1 photo stored, 1 not stored.")
    expect(page.get_by_role("link", name="See my photos")).to_be_focused()


def test_a_file_that_is_gone_is_reported_when_its_square_is_chosen(
    page: Page, photos: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.jpg"
    gone.write_bytes((photos / "chelsea.jpg").read_bytes())
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    register(page, "greta@example.org")
    page.set_input_files("#photos", gone)
    gone.unlink()
    page.get_by_role("button", name="Square crop gone.jpg").click()
    expect(page.locator("#queue li")).to_contain_text("This file can't be read any more")
    expect(page.locator("#square-dialog")).to_be_hidden()
    assert errors == []


def test_a_double_click_on_square_crop_opens_it_and_reports_nothing(page: Page, photos: Path) -> None:
    register(page, "gitte@example.org")
    page.set_input_files("#photos", photos / "chelsea.jpg")
    button = page.get_by_role("button", name="Square crop chelsea.jpg")
    expect(button).to_be_visible()
    button.evaluate("button => { button.click(); button.click(); }")
    expect(page.locator("#square-dialog")).to_be_visible()
    page.get_by_role("button", name="Use this square").click()
    expect(page.locator("#queue li canvas.preview")).to_be_visible()
    expect(page.locator("#queue li .state")).to_be_hidden()


def test_after_an_upload_the_focus_is_on_the_file_that_was_refused(page: Page, photos: Path) -> None:
    register(page, "olaf@example.org")
    page.set_input_files("#photos", photos / "notes.jpg")
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_role("button", name="Remove notes.jpg")).to_be_focused()


def test_refused_files_are_listed_in_the_order_chosen(page: Page, photos: Path) -> None:
    register(page, "uma@example.org")
    held: list[Route] = []

    def refuse(route: Route) -> None:
        """Refuse each upload when it begins, but hold back the first one until the end."""
        if not held:
            return held.append(route)
        return route.fulfill(status=413, json={"error": "You have 8 of 8 photos."})

    page.route("**/upload/resumable", refuse)
    page.set_input_files("#photos", [photos / name for name in ("notes.jpg", "coffee.png", "chelsea.jpg")])
    page.get_by_role("button", name="Upload 3 photos").click()
    expect(page.locator(".refused-file")).to_have_count(2)
    held[0].fulfill(status=413, json={"error": "You have 8 of 8 photos."})
    expect(page.get_by_text("0 photos stored, 3 not stored.")).to_be_visible()
    shown = [name.get_attribute("title") for name in page.locator("#queue .name").all()]
    assert shown == ["notes.jpg", "coffee.png", "chelsea.jpg"]


def test_photos_beyond_the_quota_can_be_sent_again_after_others_were_deleted(
    page: Page, photos: Path, site: Site
) -> None:
    register(page, "vera@example.org")
    site.limit_photos("vera@example.org", 1)
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_label("Caption of coffee.png").fill("A cup")
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.locator(".refused-file")).to_contain_text("You have 1 of 1 photo.")
    again = page.get_by_role("button", name="Try 1 photo again")
    expect(again).to_be_focused()
    again.click()  # nothing was deleted yet
    expect(page.locator(".refused-file")).to_contain_text("You have 1 of 1 photo.")
    site.limit_photos("vera@example.org", 2)
    again.click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(2)
    expect(page.get_by_text("A cup", exact=True)).to_be_visible()


def test_photos_shared_by_another_app_wait_on_the_upload_page(page: Page) -> None:
    register(page, "ottilie@example.org")
    page.wait_for_function("async () => (await navigator.serviceWorker.getRegistration('/upload/'))?.active")
    page.goto("/photos")
    share(page, ["Größe & co.png"])
    expect(page.locator("#queue li .name")).to_have_text(["Größe & co.png"])
    expect(page.locator("#queue li")).to_contain_text("Shared with CatLoader by another app")
    page.reload()
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    page.wait_for_load_state()
    assert page.evaluate("caches.keys()") == []
    share(page, [f"{number}.png" for number in range(101)])
    expect(page.locator("#queue li")).to_have_count(100)
    expect(page.get_by_role("alert")).to_contain_text("1 shared photo could not be kept in this browser")
    page.reload()
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    page.wait_for_load_state()
    share(page, ["again.png"])
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.locator(".grid .badge")).to_have_count(1)


def test_photos_are_shared_with_a_phone_that_never_opened_the_upload_page(
    page: Page, browser: Browser, site: Site
) -> None:
    """A log-in leads to My photos, where people install the site as an app."""
    register(page, "odile@example.org")
    with browser.new_context(base_url=site.url) as phone:
        other = phone.new_page()
        log_in(other, "odile@example.org")
        other.wait_for_load_state()
        other.wait_for_function("async () => (await navigator.serviceWorker.getRegistrations())[0]?.active")
        share(other, ["cat.png"])
        expect(other.locator("#queue li .name")).to_have_text(["cat.png"])


def test_shared_photos_for_which_the_device_has_no_room_are_reported(page: Page) -> None:
    register(page, "viola@example.org")
    page.wait_for_function("async () => (await navigator.serviceWorker.getRegistration('/upload/'))?.active")
    tools = page.context.new_cdp_session(page)
    origin = page.evaluate("location.origin")
    tools.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 1})
    share(page, ["a.png", "b.png"])
    expect(page.get_by_role("heading", name="Upload photos")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("2 shared photos could not be kept in this browser")
    tools.send("Storage.overrideQuotaForOrigin", {"origin": origin})


def test_the_upload_page_stays_open_to_point_out_duplicates(page: Page, photos: Path) -> None:
    register(page, "hugo@example.org")
    _choose(page, photos)
    page.get_by_role("button", name="Upload 2 photos").click()
    _assert_stored(page)
    page.goto("/upload")
    page.set_input_files("#photos", photos / "coffee.png")
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_text("Stored again. You already had this photo.")).to_be_visible()
    copies = "1 photo stored. The stored photo is another copy of a photo that you already had."
    expect(page.get_by_text(copies)).to_be_in_viewport()
    page.get_by_role("link", name="See my photos").click()
    expect(page.locator(".grid .badge")).to_have_count(3)


def test_photos_arrive_once_and_in_order_over_an_interrupted_connection_that_loses_packets(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    files = many_photos(tmp_path, MANY)
    line = CuttingProxy(
        int(site.url.rpartition(":")[2]),
        cuts=CUTS,
        span=span_of_cuts(files, CUTS),
        seed=7,
        listener=lossy_listener(LOSS),
    )
    with line.running(), closing(browser.new_context(base_url=line.url)) as context:
        page = context.new_page()
        register(page, "lena@example.org")
        choose_many(page, files)
        line.armed = True
        page.get_by_role("button", name=f"Upload {MANY} photos").dblclick()
        expect(page.get_by_role("heading", name="My photos")).to_be_visible(timeout=180_000)
        assert line.cuts == CUTS
        assert stored_captions(page) == [file.stem for file in files]


def test_a_piece_that_stalls_is_sent_again_in_smaller_pieces(page: Page, tmp_path: Path) -> None:
    """A browser does not notice a dead connection, for example after a phone has changed its network."""
    register(page, "paul@example.org")
    page.clock.install()
    page.goto("/upload")
    Image.frombytes("RGB", (540, 540), os.urandom(3 * 540 * 540)).save(tmp_path / "noise.png")
    page.set_input_files("#photos", tmp_path / "noise.png")
    stalled: list[str] = []
    offsets: list[int] = []

    def stall_twice_then_be_slow(route: Route) -> None:
        if route.request.method == "PATCH":
            offsets.append(int(route.request.headers["upload-offset"]))
        if not stalled or (offsets and len(stalled) < 2):
            stalled.append(route.request.method)
            return
        if offsets:
            page.clock.fast_forward(20_000)
        route.continue_()

    page.route(re.compile("/upload/resumable"), stall_twice_then_be_slow)
    with page.expect_request("**/upload/resumable*"):
        page.get_by_role("button", name="Upload 1 photo").click()
    page.clock.fast_forward(59_000)
    expect(page.locator("#overall-text")).to_contain_text("0 of 1")
    page.clock.fast_forward(2_000)
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    with page.expect_request(lambda request: request.method == "PATCH"):
        page.clock.fast_forward(2_000)
    page.clock.fast_forward(61_000)
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    page.clock.fast_forward(2_000)
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(1)
    assert stalled == ["POST", "PATCH"]
    assert offsets == [0, 0, 2**18, 2**19, 3 * 2**18], "not larger after one that took 20 s"


def test_a_site_that_loses_pieces_gets_each_file_in_one_request(page: Page, tmp_path: Path) -> None:
    """The cause may be a proxy that sends each request to another machine."""
    files = many_photos(tmp_path, 2)
    register(page, "nora@example.org")
    page.set_input_files("#photos", files)
    page.route("**/upload/resumable/*", lambda route: route.fulfill(status=404))
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(2)


def test_pieces_are_sent_by_post_if_a_firewall_refuses_patch(page: Page, tmp_path: Path) -> None:
    sent: list[str] = []

    def refuse_patch(route: Route) -> None:
        sent.append(route.request.headers.get("x-http-method-override", route.request.method.lower()))
        if route.request.method == "PATCH":
            route.fulfill(status=403, body="<h1>Forbidden</h1>")
        else:
            route.continue_()

    register(page, "otto@example.org")
    page.set_input_files("#photos", many_photos(tmp_path, 3))
    page.route("**/upload/resumable/*", refuse_patch)
    page.get_by_role("button", name="Upload 3 photos").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(3)
    assert (sent.count("patch"), sent.count("PATCH")) == (1, 2), sent


def test_a_piece_that_a_proxy_waited_for_too_long_is_sent_again(page: Page, tmp_path: Path) -> None:
    """HAProxy and Apache respond with 408 to a request whose body stalls, and so does the site."""
    refused: list[str] = []

    def be_impatient(route: Route) -> None:
        if route.request.method in ("POST", "PATCH") and len(refused) < 2:
            refused.append(route.request.method)
            route.fulfill(status=408, body="<h1>Request Timeout</h1>")
        else:
            route.continue_()

    register(page, "silke@example.org")
    page.set_input_files("#photos", many_photos(tmp_path, 1))
    page.route(re.compile("/upload/resumable"), be_impatient)
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(1)
    assert len(refused) == 2


_RECORD = """() => new MutationObserver(() => {
  window.shown = (window.shown ?? "") + document.querySelector("main").innerText;
}).observe(document.body, { subtree: true, childList: true, characterData: true })"""


def test_a_file_in_one_request_is_not_sent_again_without_end(page: Page, tmp_path: Path) -> None:
    """It is not sent in pieces because the site has lost them, so each attempt sends all of it."""
    sent: list[int] = []

    def lose_two_pieces_then_time_out(route: Route) -> None:
        has_body = "content-type" in route.request.headers
        if not sent:  # so that the file is sent in pieces
            sent.append(413)
        elif route.request.method == "PATCH" and len(sent) < 3:
            sent.append(404)
        elif has_body and len(sent) >= 3:
            sent.append(408)
        else:
            return route.continue_()
        return route.fulfill(status=sent[-1], body="<h1>Refused</h1>")

    register(page, "wilma@example.org")
    Image.frombytes("RGB", (540, 540), os.urandom(3 * 540 * 540)).save(tmp_path / "noise.png")
    page.set_input_files("#photos", tmp_path / "noise.png")
    page.evaluate(_RECORD)
    page.route(re.compile("/upload/resumable"), lose_two_pieces_then_time_out)
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_text("This took too long. Please try again.")).to_be_visible()
    assert sent == [413, 404, 404, 408, 408, 408]
    shown = page.evaluate("window.shown")
    assert ("The site is busy." in shown, "Connection lost" in shown) == (True, False)
    page.unroute(re.compile("/upload/resumable"))
    page.get_by_role("button", name="Try 1 photo again").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(1)


def test_a_page_of_another_server_is_not_taken_for_the_response(page: Page, tmp_path: Path) -> None:
    """In another network the site's address may lead to a device that responds with its own page."""
    sent: list[str] = []

    def be_another_server(route: Route) -> None:
        sent.append(route.request.method)
        route.fulfill(status=200, content_type="text/html", body="<h1>Router</h1>")

    register(page, "tilda@example.org")
    page.clock.install()
    page.goto("/upload")
    page.set_input_files("#photos", many_photos(tmp_path, 1))
    page.route(re.compile("/upload/resumable"), be_another_server)
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_text("Trying again in a moment")).to_be_visible()
    assert len(sent) == 1, "each further request would send the photo again at once"
    page.unroute(re.compile("/upload/resumable"))
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(1)


def test_a_new_token_that_cannot_be_read_ends_the_run(page: Page, tmp_path: Path) -> None:
    register(page, "urs@example.org")
    page.route("**/upload", _with_expired_token)
    page.goto("/upload")
    page.set_input_files("#photos", many_photos(tmp_path, 1))
    page.route("**/api/form", lambda route: route.fulfill(status=200, body="<h1>Please log in</h1>"))
    page.get_by_role("button", name="Upload 1 photo").click()
    expect(page.get_by_role("alert")).to_have_text("The site does not answer. Please try again in a moment.")
    page.unroute("**/api/form")
    page.get_by_role("button", name="Try 1 photo again").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()


def _with_expired_token(route: Route) -> None:
    response = route.fetch()
    body = re.sub('name="csrf_token" value="[^"]+"', 'name="csrf_token" value="a.b"', response.text())
    route.fulfill(response=response, body=body)


def test_an_upload_can_be_paused_continued_and_cancelled_and_leaving_asks_once(
    page: Page, tmp_path: Path, dialogs: list[str]
) -> None:
    files = many_photos(tmp_path, 3)
    register(page, "mara@example.org")
    page.set_input_files("#photos", files)
    box = page.locator("#drop").bounding_box()
    assert box
    assert box["height"] < 200  # of 844 px: most of the window must show the chosen photos
    first = page.get_by_label("Caption of 00.jpg")
    first.focus()
    first.dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # accepts a Japanese word
    expect(first).to_be_focused()
    first.press("Enter")
    expect(page.get_by_label("Caption of 01.jpg")).to_be_focused()
    page.get_by_label("Caption of 02.jpg").fill("The last one")
    page.get_by_role("navigation").get_by_role("link", name="My photos").click()
    expect(page.get_by_role("button", name="Upload 3 photos")).to_be_visible()
    assert len(dialogs) == 1
    line = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    line.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("button", name="Upload 3 photos").click()
    overall = page.locator("#overall-text")
    expect(overall).to_contain_text("0 of 3 · ")
    page.get_by_role("button", name="Pause").click()
    expect(overall).to_contain_text("paused")
    page.get_by_role("button", name="Continue").click()
    expect(overall).not_to_contain_text("paused")
    page.get_by_role("button", name="Remove 01.jpg").click()
    page.get_by_role("button", name="Cancel").click()
    expect(overall).to_be_hidden()
    expect(page.get_by_label("Caption of 02.jpg")).to_have_value("The last one")
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_role("heading", name="My photos")).to_be_visible()
    expect(page.locator(".grid .badge")).to_have_count(2)
    expect(page.get_by_text("The last one", exact=True)).to_be_visible()
    assert len(dialogs) == 1


def test_a_language_that_the_browser_reports_but_refuses_stops_no_script(page: Page, photos: Path) -> None:
    languages = "Object.defineProperty(navigator, 'languages', { get: () => ['en-US@posix', 'en-x-'] })"
    page.add_init_script(languages)
    register(page, "noemi@example.org")
    page.set_input_files("#photos", photos / "chelsea.jpg")
    expect(page.get_by_role("button", name="Upload 1 photo")).to_be_visible()
    page.goto("/account")
    american = re.compile(r"^[A-Z][a-z]+ \d+, \d{4}, .+[AP]M$")
    expect(page.locator("#sessions time").first).to_have_text(american)


def test_dates_of_the_server_and_of_the_scripts_have_one_form(browser: Browser, site: Site) -> None:
    """There is no French translation, so a French browser gets the page in English."""
    session = None
    for language, form in (
        ("en-US", r"[A-Z][a-z]+ \d+, \d{4}"),
        ("en-GB", r"\d+ [A-Z][a-z]+ \d{4}"),
        ("fr", r"\d+ [A-Z][a-z]+ \d{4}"),
    ):
        context = browser.new_context(base_url=site.url, locale=language, storage_state=session)
        page = context.new_page()
        if session is None:
            register(page, "ida@example.org")
            session = context.storage_state()
        page.goto("/account")
        page.wait_for_load_state()
        shown = page.locator("time").all_text_contents()
        context.close()
        assert len(shown) >= 3
        dates = {match[0] for text in shown if (match := re.match(form, text))}
        assert len(dates) == 1, (language, shown)
        assert all(text.startswith(tuple(dates)) for text in shown), (language, shown)
