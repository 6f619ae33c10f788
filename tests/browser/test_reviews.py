"""A wrong verdict in a browser: the owner appeals, a reviewer decides by keyboard, the owner reads why."""

from __future__ import annotations

import io
from base64 import b64encode
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.browser import PASSWORD, Site, press, register


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


def test_texts_of_people_are_never_markup(page: Page, site: Site) -> None:
    assert len(_MARKUP) == 40
    page.add_init_script("window.wounded = () => document.documentElement.setAttribute('wounded', '')")
    register(page, "mallory@example.org")
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "JPEG")
    photo = b64encode(file.getvalue()).decode()
    for texts in (_MARKUP[:20], _MARKUP[20:]):
        page.goto("/upload")
        # As a browser without scripts sends them: the names come back, also those of files that are too many.
        page.evaluate(
            """([texts, photo]) => {
              const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
              const chosen = new DataTransfer();
              for (const text of texts) chosen.items.add(new File([bytes], text.replaceAll("/", "|")));
              document.getElementById("photos").files = chosen.files;
              document.getElementById("caption").value = texts.slice(0, 12).join("");
              HTMLFormElement.prototype.submit.call(document.getElementById("upload"));
            }""",
            [texts, photo],
        )
        expect(page.locator(".results li")).to_have_count(len(texts))
        names = page.locator(".results .name").all_text_contents()
        assert names == [text.replace("/", "|") for text in texts]
        _is_unharmed(page)
    site.check()
    site.promote_administrator("mallory@example.org")
    page.goto("/photos")
    expect(page.locator(".grid .caption").last).to_have_text("".join(_MARKUP[:12]))
    _is_unharmed(page)
    page.locator(".grid a").first.click()
    page.locator("[name=wish]").first.check()
    page.get_by_label("Reason").fill("".join(_MARKUP[12:24]))
    page.get_by_role("button", name="Ask a reviewer").click()
    expect(page.locator(".appeal .quote")).to_contain_text(_MARKUP[12])
    _is_unharmed(page)
    page.goto("/review")
    while _MARKUP[12] not in page.locator(".quote").inner_text():  # the appeals of other tests come first
        with page.expect_navigation():
            page.locator("#skip").click()
    _is_unharmed(page)
    page.get_by_label("Note to the owner").fill("".join(_MARKUP[28:38]))
    with page.expect_navigation():
        page.locator("#decide-cat").click()
    page.goto("/account")
    page.locator("#new_email").evaluate("(field) => (field.type = 'text')")
    page.locator("#new_email").fill('"><svg/onload=wounded()>@evil.example')
    page.locator("#email_password").fill(PASSWORD)
    page.get_by_role("button", name="Change e-mail").click()
    expect(page.get_by_text("E-mail changed.")).to_be_visible()
    for path in (
        "/account",
        "/admin/users",
        "/admin/users/1",
        "/admin/audit",
        "/admin",
        "/photos?q=%3Csvg%20onload%3D",
    ):
        page.goto(path)
        _is_unharmed(page)


def _is_unharmed(page: Page) -> None:
    assert page.locator("html").get_attribute("wounded") is None
    assert page.evaluate(_MADE) == 0
