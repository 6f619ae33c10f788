"""axe-core finds no violation on any page, at phone and desktop width, in the light and the dark theme."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, expect

from catloader.languages import LANGUAGES
from catloader.store.db.accounts.api_tokens import ApiTokens
from catloader.store.db.accounts.identities import Identities
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.users import Users
from catloader.store.db.checks.measured_profiles import MeasuredProfiles
from catloader.store.db.checks.model_choices import ModelChoices, ShadowReport
from catloader.store.db.engine import make_engine, utcnow
from catloader.store.db.schema import Status
from catloader.store.db.staff.random_audits import RandomAudits
from catloader.store.db.staff.takedowns import Takedowns
from tests.catloader.web.route_rows import ROWS
from tests.support.accessibility import DESK, PHONE, problems, too_wide, unfold, violations, window
from tests.support.browser import Site, register
from tests.support.page_sequences import pages_of_administrator, pages_of_user
from tests.support.rows import add_appeals, add_photos

_OF_VISITORS = {
    "GET /": "/",
    "GET /login": "/login",
    "GET /register": "/register",
    "GET /album": "/album",
    "GET /album/<id>": "/album/1",
    "GET /docs/api": "/docs/api",
    "GET /forgotten-password": "/forgotten-password",
    "an expired link": "/new-password/x",
    "not found": "/nothing",
}
_OF_ADMINISTRATORS = {
    "GET /photos": "/photos",
    "a search": "/photos?q=nothing",
    "GET /photos/<id>": "/photos/1",
    "an appeal": "/photos/2",
    "a duplicate": "/photos/3",
    "GET /photos/<id>/square": "/photos/1/square",
    "GET /upload": "/upload",
    "the album": "/album",
    "a photo of it": "/album/1",
    "GET /bin": "/bin",
    "GET /account": "/account",
    "GET /account/tokens": "/account/tokens",
    "GET /account/passkeys": "/account/passkeys",
    "GET /review": "/review",
    "GET /review/<id>": "/review/2",
    "GET /review/audit": "/review/audit",
    "GET /review/taken-down": "/review/taken-down",
    "GET /admin": "/admin",
    "GET /admin/users": "/admin/users",
    "their own account": "/admin/users/2",
    "GET /admin/users/<id>": "/admin/users/1",
    "GET /admin/audit": "/admin/audit",
    "GET /admin/failed": "/admin/failed",
    "GET /admin/models": "/admin/models",
    "GET /admin/thresholds": "/admin/thresholds",
    "GET /admin/storage": "/admin/storage",
    "not found": "/nothing",
}
_BEHIND_FORMS = {
    "GET /s/<token>",
    "GET /account/second-factor",
    "GET /login/second-step",
    "GET /deleted/<token>",
    "GET /new-password/<token>",
    "GET /confirm-email/<token>",
}
_NO_PAGES = re.compile(
    r"/static|z$|/metrics|json$|/export$|manifest$|\.jpg$|\.js$|/login/oidc|/api/|/checkcatimages"
    r"|/account/(email|password|delete|provider)$"
)
"""Addresses that are not pages: files, responses to programs, and redirects."""
_EMAIL = "ada@example.org"
_ISSUER = "https://id.example.org"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with mail settings and an OpenID provider, because it has more pages and forms."""
    mail = {"CATLOADER_SMTP_HOST": "127.0.0.1", "CATLOADER_SMTP_SENDER": "cats@example.org"}
    address = {"CATLOADER_PUBLIC_URL": "https://cats.example.org"}
    provider = {"CATLOADER_OIDC_ISSUER": _ISSUER, "CATLOADER_OIDC_CLIENT_ID": "cats"}
    provider["CATLOADER_OIDC_NAME"] = "the Example Identity Provider of this company"
    with Site(tmp_path_factory.mktemp("site"), **mail, **address, **provider).running() as site:
        yield site


@pytest.fixture(scope="module")
def session(browser: Browser, site: Site, photos: Path) -> StorageState:
    """Log in an administrator who has a cat in the album, a photo with an appeal, and one in the bin."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    register(page, "bea@example.org")
    context.clear_cookies()
    register(page, _EMAIL)
    for name in ("chelsea.jpg", "coffee.png"):
        page.goto("/upload")
        page.set_input_files("#photos", photos / name)
        page.get_by_role("button", name="Upload 1 photo").click()
        page.wait_for_url("**/photos")
    site.check()
    page.goto("/upload")
    page.set_input_files("#photos", [photos / "coffee.png", photos / "chelsea.jpg"])
    page.get_by_role("button", name="Upload 2 photos").click()
    expect(page.get_by_text("Stored again. You already had this photo.")).to_have_count(2)
    site.promote_administrator(_EMAIL)
    page.goto("/photos/1")
    with page.expect_navigation():
        page.get_by_role("button", name="Publish").click()
    page.goto("/photos/2")
    page.get_by_label("Reason").fill("My cup.")
    with page.expect_navigation():
        page.get_by_role("button", name="Ask a reviewer").click()
    page.goto("/photos/4")
    page.get_by_text("Delete photo").first.click()
    page.get_by_role("button", name="Delete photo").click()
    expect(page.get_by_text("Photo moved to the bin.")).to_be_visible()
    _work_of_staff(site)
    state = context.storage_state()
    context.close()
    return state


def _work_of_staff(site: Site) -> None:
    """Add rows to the lists of staff (shadow run, measurement, audit, takedown) and of the account."""
    engine, now = make_engine(site.database), utcnow()
    counts = dict.fromkeys(("compared", "towards_cat", "away", "become_wrong", "become_right"), 1)
    flips, flip = {"cat -> unsure": 1}, [1, "cat", 0.9, "unsure", 0.4, None]
    ModelChoices(engine).add_report(ShadowReport(now, "resnet18", "resnet50", counts, flips, [flip]))
    store = MeasuredProfiles(engine)
    job = store.begin("a profile", 2, now)
    assert job
    store.write(job, now, done=1, total=1, error="Not measured.", flips=flips)
    assert RandomAudits(engine).draw("cat", 1, 2, now) == 1
    (shown,) = add_photos(engine, 1, status="cat", on_air=True)
    for status in ("failed", "checking"):  # their badges are the longest
        add_photos(engine, 1, status=status, owner_id=2, lease_until=now + timedelta(days=1))
    assert Takedowns(engine).take_down(shown, 2, "Not a photo of yours.", now)
    name = "The program on the shelf that checks what the camera at the door sees"
    ApiTokens(engine, most=1).add("token", 2, name, ["check"], now=now, expires_at=None)
    Passkeys(engine).add(2, "credential", b"key", 0, name=name[:60], now=now)
    assert Identities(engine).link(2, _ISSUER, "17", now, by_owner=True)
    engine.dispose()


def test_every_page_of_the_route_table_is_examined() -> None:
    pages = {row for row in ROWS if row.startswith("GET ") and not _NO_PAGES.search(row)}
    visited = {*_OF_VISITORS, *_OF_ADMINISTRATORS, *_BEHIND_FORMS}
    assert pages == {name for name in visited if name.startswith("GET ")}


@pytest.mark.parametrize("role", ["visitor", "administrator"])
def test_no_page_has_a_violation(browser: Browser, site: Site, session: StorageState, role: str) -> None:
    pages, state = (_OF_VISITORS, None) if role == "visitor" else (_OF_ADMINISTRATORS, session)
    found: list[str] = []
    with window(browser, site.url, state) as page:
        for name, path in pages.items():
            answer = page.goto(path)
            assert answer
            assert answer.status == (404 if name in ("not found", "an expired link") else 200), path
            found += problems(page, name)
    assert found == []


def test_no_page_behind_a_form_has_a_violation(browser: Browser, site: Site, session: StorageState) -> None:
    seen, found = set[str](), list[str]()
    with window(browser, site.url) as visitor, window(browser, site.url, session) as administrator:
        for sequence in (pages_of_user(visitor, site), pages_of_administrator(administrator)):
            for page, name in sequence:
                seen.add(name)
                found += problems(page, name)
    assert found == []
    assert {name for name in seen if name.startswith("GET ")} == _BEHIND_FORMS


@pytest.mark.parametrize("language", ["de", "it"])
def test_longer_texts_of_other_languages_fit_on_a_phone(
    browser: Browser, site: Site, session: StorageState, language: str
) -> None:
    found: list[str] = []
    for state, pages in ((None, _OF_VISITORS), (session, _OF_ADMINISTRATORS)):
        with window(browser, site.url, state) as page:
            page.set_extra_http_headers({"Accept-Language": language})
            page.set_viewport_size({"width": 320, "height": 640})
            for path in pages.values():
                page.goto(path)
                assert page.evaluate("document.documentElement.lang") == language
                unfold(page)
                found += [f"{path}: {fault}" for fault in too_wide(page)]
    assert found == []


def test_every_badge_fits_on_a_phone(browser: Browser, site: Site) -> None:
    with window(browser, site.url) as page:
        register(page, "badges@example.org")
        engine = make_engine(site.database)
        owner = Users(engine).by_email("badges@example.org")
        assert owner
        for status in Status:
            ids = add_photos(engine, 1, status=status, on_air=True, owner_id=owner.id, caption=status)
            add_appeals(engine, ids)
        engine.dispose()
        found: list[str] = []
        for language in LANGUAGES:
            page.set_extra_http_headers({"Accept-Language": language})
            page.goto("/photos")
            expect(page.locator(".badge.mark")).to_have_count(len(Status))
            for width in (320, 360, 390):
                page.set_viewport_size({"width": width, "height": 640})
                found += [f"{language}, {width} px: {fault}" for fault in too_wide(page)]
                found += page.evaluate(_OUTSIDE)
    assert found == []


_OUTSIDE = """() => [...document.querySelectorAll(".grid .badge.mark")].filter((one) => {
  const badge = one.getBoundingClientRect();
  const photo = one.closest("a").querySelector("img").getBoundingClientRect();
  return badge.bottom > photo.bottom || badge.top < photo.top;
}).map((one) => `outside of the photo: ${one.outerHTML}`)"""

_STUCK = """() => [
  ...document.querySelectorAll(".hint + .button, .hint + .lead, form + p, details + form"),
  ...document.querySelectorAll("details input + .button"),
].filter((one) => {
  return one.getBoundingClientRect().top - one.previousElementSibling.getBoundingClientRect().bottom < 8;
}).map((one) => one.outerHTML)"""
"""Finds elements that are less than 8 px below a hint, a form or a field."""


def test_elements_keep_a_distance_from_hints_forms_and_fields(
    browser: Browser, site: Site, session: StorageState
) -> None:
    with window(browser, site.url, session) as page:
        for path in (
            "/account",
            "/account/passkeys",
            "/photos/1",
            "/review/audit",
            "/admin/failed",
            "/admin/models",
        ):
            page.goto(path)
            unfold(page)
            assert page.evaluate(_STUCK) == [], path


def test_a_button_narrower_than_its_text_is_found(
    browser: Browser, site: Site, session: StorageState
) -> None:
    with window(browser, site.url, session) as page:
        page.goto("/account")
        assert too_wide(page) == []
        page.evaluate("document.querySelector('.button.wide').style.whiteSpace = 'nowrap'")
        page.evaluate("document.querySelector('.button.wide').textContent = 'Unlink '.repeat(20)")
        assert any("the text is wider than" in fault for fault in too_wide(page))


_CROSS = """() => {
  const colour = (one, part) => getComputedStyle(one, part).backgroundColor;
  return colour(document.querySelector(".remove"), "::before") !== colour(document.body);
}"""


def test_chosen_photos_fit_on_small_phones(
    browser: Browser, site: Site, session: StorageState, photos: Path, tmp_path: Path
) -> None:
    long = tmp_path / f"{'a long name ' * 10}.jpg"
    long.write_bytes((photos / "chelsea.jpg").read_bytes())
    with window(browser, site.url, session) as page:
        page.goto("/upload")
        page.set_input_files("#photos", [photos / "chelsea.jpg", photos / "notes.jpg", long])
        expect(page.get_by_role("button", name="Square crop chelsea.jpg")).to_be_visible()
        found = problems(page, "chosen photos")
        page.emulate_media(forced_colors="active")
        assert page.evaluate(_CROSS), "in forced colours the cross has the colour of the page"
        page.emulate_media(forced_colors="none")
        for width in (320, 360):
            page.set_viewport_size({"width": width, "height": 780})
            found += [f"{width} px: {fault}" for fault in too_wide(page)]
    assert found == []


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_measured_rates_and_the_buttons_of_a_photo_fit(
    browser: Browser, site: Site, session: StorageState, language: str
) -> None:
    context = browser.new_context(base_url=site.url, storage_state=session, locale=language)
    page = context.new_page()
    page.goto("/photos/1")
    unfold(page)
    for width in (390, 1160):
        page.set_viewport_size({"width": width, "height": 780})
        inner, outer = page.locator(".table").evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert inner == outer, (width, inner, outer)
    page.set_viewport_size({"width": 320, "height": 256})  # of a desktop at 400 %
    page.locator(".table").focus()
    for key in ("ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)  # scrolls
    page.wait_for_timeout(300)
    assert page.url.endswith("/photos/1"), "an arrow key in the table led to another photo"
    assert page.locator("ol.history").get_attribute("reversed") is not None  # the oldest event has number 1
    page.set_viewport_size({"width": 390, "height": 780})
    page.locator("#shown-photo").evaluate(
        "img => Object.assign(img.style, { width: '60px', height: '9rem' })"
    )
    left = "one => one.getBoundingClientRect().x"
    is_inside = page.locator("#enlarge .badge").evaluate(left) >= page.locator("#enlarge").evaluate(left)
    assert is_inside, "the badge is wider than a narrow photo"
    page.locator("#enlarge").click()
    buttons = page.locator("#viewer .button:visible:not(#viewer-close)")
    tops = buttons.evaluate_all("all => new Set(all.map((one) => one.getBoundingClientRect().y)).size")
    assert tops == 1, "in one row"
    page.locator("#viewer-close").click()
    page.goto("/admin/models")
    rates = page.locator(".panels .table").first
    inner, outer = rates.evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert inner == outer, (inner, outer)
    context.close()


def test_on_a_phone_wide_tables_of_staff_are_rows_of_names_and_values(
    browser: Browser, site: Site, session: StorageState
) -> None:
    with window(browser, site.url, session) as page:
        for path in ("/admin/users", "/admin/audit", "/admin/failed", "/review/taken-down"):
            page.goto(path)
            table = page.locator(".table")
            inner, outer = table.evaluate("one => [one.scrollWidth, one.clientWidth]")
            assert inner == outer, (path, inner, outer)
            label = table.locator("tbody [data-label]").first
            name = label.evaluate("one => getComputedStyle(one, '::before').content.slice(1, -1)")
            assert name == label.get_attribute("data-label")
            assert name in table.locator("thead").inner_text()
            page.set_viewport_size(DESK)  # type: ignore[arg-type]
            assert label.evaluate("one => getComputedStyle(one, '::before').content") == "none"
            page.set_viewport_size(PHONE)  # type: ignore[arg-type]


def test_a_planted_violation_is_found(browser: Browser, site: Site, session: StorageState) -> None:
    with window(browser, site.url, session) as page:
        page.goto("/photos")
        page.evaluate("document.querySelector('.grid img').removeAttribute('alt')")
        found = violations(page)
    assert {fault.partition(":")[0] for fault in found} <= {"image-alt", "link-name"}
    assert found


def test_the_chart_of_checks_has_local_times(browser: Browser, site: Site, session: StorageState) -> None:
    context = browser.new_context(base_url=site.url, storage_state=session, timezone_id="Asia/Kolkata")
    page = context.new_page()
    page.goto("/admin")
    half_past = re.compile(r"^\d{1,2}:30\b")  # in a zone 5.5 hours from UTC, full UTC hours are at half past
    expect(page.locator(".hours-ends time")).to_have_text(half_past)
    expect(page.locator(".hours title").first).to_have_text(half_past)
    assert "UTC" not in page.locator("main").inner_text()
    context.close()


def test_a_press_next_to_the_box_selects_a_failed_photo(
    browser: Browser, site: Site, session: StorageState
) -> None:
    context = browser.new_context(base_url=site.url, storage_state=session)
    page = context.new_page()
    page.goto("/admin/failed")
    box = page.get_by_label("Select photo").first
    area = box.locator("xpath=..").bounding_box()
    assert area
    assert min(area["width"], area["height"]) >= 24
    page.mouse.click(area["x"] + 3, area["y"] + 3)
    expect(box).to_be_checked()
    context.close()


_ROWS = """(links) => new Set(links.map((link) => {
  const { top, bottom } = link.getBoundingClientRect();
  return Math.round((top + bottom) / 20);
})).size"""


@pytest.mark.parametrize("language", ["en", "de", "it"])
def test_menus_take_one_or_two_rows_on_a_phone(
    browser: Browser, site: Site, session: StorageState, language: str
) -> None:
    with window(browser, site.url) as user, window(browser, site.url, session) as administrator:
        register(user, f"{language}@example.org")
        for page in (user, administrator):
            page.set_extra_http_headers({"Accept-Language": language})
            page.set_viewport_size({"width": 360, "height": 740})
        user.goto("/photos")
        assert user.locator(".bar nav a").evaluate_all(_ROWS) == 1
        for path in ("/admin", "/admin/failed", "/admin/users"):
            administrator.goto(path)
            assert administrator.locator(".bar nav a").evaluate_all(_ROWS) == 2
            assert administrator.locator(".chips.all a").evaluate_all(_ROWS) == 2


@pytest.mark.parametrize("language", ["en", "de", "it"])
def test_the_header_of_visitors_is_one_row_on_a_phone(browser: Browser, site: Site, language: str) -> None:
    context = browser.new_context(base_url=site.url, locale=language, viewport={"width": 360, "height": 740})
    page = context.new_page()
    page.goto("/")
    brand, links = page.locator(".brand").bounding_box(), page.locator(".bar nav").bounding_box()
    assert brand
    assert links
    assert links["y"] < brand["y"] + brand["height"]
    assert links["x"] + links["width"] <= 360
    context.close()


def test_printed_tables_show_all_columns(browser: Browser, site: Site, session: StorageState) -> None:
    with window(browser, site.url, session) as page:
        page.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
        page.emulate_media(media="print")
        for path in ("/admin/users", "/admin/audit", "/admin/models"):
            page.goto(path)
            for table in page.locator(".table").all():
                inner, outer = table.evaluate("one => [one.scrollWidth, one.clientWidth]")
                assert inner == outer, (path, inner, outer)
