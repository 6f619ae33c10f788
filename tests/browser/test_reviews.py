"""Appeals in a browser: the owner appeals, a reviewer decides by keyboard, and the owner reads the note."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base
from playwright.sync_api import Page, Route, expect
from sqlalchemy import insert

from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.engine import make_engine, utcnow, writing
from catloader.store.db.schema import check_log
from catloader.store.db.staff.audit_log import AuditLog
from tests.support.browser import PASSWORD, Site, press, register, submit_without_scripts
from tests.support.rows import add_photos


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A separate site, so that its list of appeals contains photos of these tests only."""
    with Site(tmp_path_factory.mktemp("site")).running() as site:
        yield site


def test_owner_appeals_and_reviewer_decides_by_keyboard(page: Page, site: Site, photos: Path) -> None:
    register(page, "jana@example.org")
    page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "coffee.png"])
    page.get_by_role("button", name="Upload 2 photos").click()
    page.wait_for_url("**/photos")
    site.check()
    for shown, reason in (("cat", "A fox."), ("not_cat", 20 * "I know my cup. ")):
        page.goto(f"/photos?show={shown}")
        page.locator(".grid a").click()
        page.wait_for_url("**/photos/*")
        page.get_by_label("Reason").fill(reason)
        page.get_by_role("button", name="Ask a reviewer").click()
        expect(page.get_by_text("Thank you. A reviewer will look at this photo.")).to_be_visible()

    site.promote_reviewer("jana@example.org")
    page.goto("/photos")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/review.js", hold)
    with page.expect_request("**/review.js"):
        page.get_by_role("link", name="Review", exact=True).click()
    expect(page.get_by_text("2 appeals")).to_be_visible()
    expect(page.get_by_text("A fox.")).to_be_visible()
    page.get_by_label("Keyboard shortcuts").uncheck()  # WCAG 2.1.4; before the script runs
    held[0].continue_()
    page.unroute("**/review.js")
    press(page, "n")
    page.reload()
    expect(page.get_by_label("Keyboard shortcuts")).not_to_be_checked()
    expect(page.get_by_text("A fox.")).to_be_visible()
    page.get_by_label("Keyboard shortcuts").check()
    page.set_viewport_size({"width": 1280, "height": 900})
    before = page.locator("#decide-cat").bounding_box()
    press(page, "n")
    expect(page.get_by_text("I know my cup.")).to_be_visible()
    page.wait_for_load_state()  # before the style sheets are there, the text is elsewhere
    assert page.locator("#decide-cat").bounding_box() == before  # a long reason must not move the buttons
    press(page, "u")
    expect(page.get_by_text("A fox.")).to_be_visible()
    expect(page.get_by_text("Your last decision was undone.")).to_be_visible()
    press(page, "m")
    page.keyboard.type("Nice cat, no fox")
    press(page, "Escape")
    press(page, "c")
    expect(page.get_by_text("1 appeal,")).to_be_visible()
    press(page, "s")
    expect(page.get_by_text("No more photos from here on.")).to_be_visible()

    page.goto("/photos?show=cat")
    page.locator(".grid a").first.click()
    expect(page.get_by_role("heading", name="A reviewer decided: this photo shows a cat.")).to_be_visible()
    expect(page.locator("#verdict").get_by_text("Nice cat, no fox")).to_be_visible()


_MARKUP = [
    f"{before}<{element}>"
    for before in ("", '">', "'>", "</title>", "--></textarea>")
    for element in (
        "script>wounded()</script",
        "img src=x onerror=wounded()",
        "svg onload=wounded()",
        "details open ontoggle=wounded()",
        "iframe srcdoc='<script>parent.wounded()</script>'",
        "input autofocus onfocus=wounded()",
        "base href=//evil.example",
        "style>*{display:none}</style",
    )
]
_MADE = """() => document.querySelectorAll(
  "[onerror], [onload], [ontoggle], [onfocus], iframe, base, style, " +
  "script:not([src]):not([type='application/json'])"
).length"""


_PARTS = [_MARKUP[first : first + 10] for first in range(0, 40, 10)]
"""The markup in parts that are short enough for a caption, a reason and a note."""


def test_user_texts_are_never_interpreted_as_markup(page: Page, site: Site) -> None:
    assert len(set(_MARKUP)) == 40
    page.add_init_script("window.wounded = () => document.documentElement.setAttribute('wounded', '')")
    register(page, "mallory@example.org")
    photo = _photo_with_markup()
    for part in _PARTS:
        page.goto("/upload")
        # Without scripts the response lists the names of all files, including refused ones.
        names = [text.replace("/", "|") for text in part]
        submit_without_scripts(page, photo, names, caption="".join(part), keep_date=True)
        expect(page.locator(".results li")).to_have_count(len(part))
        assert page.locator(".results .name").all_text_contents() == names
        _is_unharmed(page)
    site.check()
    site.promote_administrator("mallory@example.org")
    page.goto("/photos")
    assert page.locator(".grid .caption").all_text_contents() == ["".join(part) for part in _PARTS[::-1]]
    _is_unharmed(page)
    addresses = [str(link.get_attribute("href")) for link in page.locator(".grid a").all()]
    for address, part in zip(addresses, _PARTS, strict=True):
        page.goto(address)
        page.locator("[name=wish]").first.check()
        page.get_by_label("Reason").fill("".join(part))
        page.get_by_role("button", name="Ask a reviewer").click()
        expect(page.locator(".appeal .quote")).to_contain_text("".join(part))
        _is_unharmed(page)
        assert b"wounded" not in page.request.get(f"{address}/photo.jpg").body()
    page.goto("/review")
    left = list(_PARTS)
    while left:
        quote = page.locator(".quote").inner_text()
        part = next((part for part in left if "".join(part) in quote), [])
        if not part:  # the appeal of another test
            with page.expect_navigation():
                page.locator("#skip").click()
            continue
        left.remove(part)
        _is_unharmed(page)
        page.get_by_label("Note to the owner").fill("".join(part))
        with page.expect_navigation():
            page.locator("#decide-cat").click()
    for address, part in zip(addresses, _PARTS, strict=True):
        page.goto(address)
        expect(page.locator("#verdict .quote")).to_contain_text("".join(part))
        _is_unharmed(page)
    page.goto("/account")
    page.locator("#new_email").evaluate("(field) => (field.type = 'text')")
    page.locator("#new_email").fill('"><svg/onload=wounded()>@evil.example')
    page.locator("#email_password").fill(PASSWORD)
    page.get_by_role("button", name="Change e\N{NON-BREAKING HYPHEN}mail").click()
    expect(page.get_by_text("E-mail changed.")).to_be_visible()
    _plant(site)
    for path, shown in (
        ("/account", 0),
        ("/admin/users", 40),
        ("/admin/users/2", 0),
        ("/admin/audit", 40),
        ("/admin/failed", 40),
        ("/admin", 0),
        ("/admin/storage", 0),
        ("/photos?q=%3Csvg%20onload%3D", 0),
    ):
        page.goto(path)
        _is_unharmed(page)
        text = page.locator("main").inner_text()
        assert sum(markup in text for markup in _MARKUP) >= shown, path


def _photo_with_markup() -> bytes:
    """Return a JPEG whose EXIF fields contain markup."""
    file, exif = io.BytesIO(), Image.Exif()
    for place, tag in enumerate(
        (Base.ImageDescription, Base.Artist, Base.Copyright, Base.Software, Base.Make)
    ):
        exif[tag] = "".join(_MARKUP[8 * place : 8 * place + 8])
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = _MARKUP[1]
    Image.new("RGB", (64, 64), "teal").save(file, "JPEG", exif=exif, comment="".join(_MARKUP).encode())
    return file.getvalue()


def _plant(site: Site) -> None:
    """Add an account, an audit log entry and a failed photo with an error for each piece of markup."""
    engine, now = make_engine(site.database), utcnow()
    for text in _MARKUP:
        user = Users(engine).create(f"{text}@evil.example", "hash", now)
        AuditLog(engine).add(user.id, "acted", text, now)
    for text in _MARKUP:  # add_photos makes an account for each photo
        (photo,) = add_photos(engine, 1, status="failed", check_error=text, caption=text)
        with writing(engine) as connection:
            row = {"photo_id": photo, "attempt": 1, "finished_at": now, "error": text}
            connection.execute(insert(check_log).values(row))
    engine.dispose()


def _is_unharmed(page: Page) -> None:
    assert page.locator("html").get_attribute("wounded") is None
    assert page.evaluate(_MADE) == 0


def test_a_measurement_shows_its_progress_and_its_result(page: Page, site: Site) -> None:
    register(page, "boss@example.org")
    site.promote_administrator("boss@example.org")
    engine = make_engine(site.database)
    store = MeasuredProfiles(engine)
    job = store.begin("a profile", 1, utcnow())
    assert job
    store.write(job, utcnow(), done=0, total=90)
    page.goto("/admin/thresholds")
    page.evaluate("window.notReloaded = true")
    store.write(job, utcnow(), done=30)
    expect(page.get_by_text("30 of 90 photos compared")).to_be_visible()
    assert page.locator("progress").evaluate("(bar) => [bar.value, bar.max]") == [30, 90]
    assert page.evaluate("window.notReloaded")
    store.write(job, utcnow(), error="There are too few.")
    expect(page.get_by_text("There are too few.")).to_be_visible()
    engine.dispose()
