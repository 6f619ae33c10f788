"""The second step of a log-in: an authenticator app (pyotp instead of a phone) and recovery codes."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from threading import Barrier, Thread

import pyotp
import pytest
from flask import Flask
from sqlalchemy import Engine, select, update

from catloader.store.db.accounts.second_factors import SecondFactors
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import recovery_codes, second_factors, sessions
from catloader.web.http import cookies
from tests.support.rows import some_user
from tests.support.signed import aged
from tests.support.site import PASSWORD, Person, acts_of_staff, services_of

_PAGE, _STEP = "/account/second-factor", "/login/second-step"


@pytest.fixture
def app(accounts_app: Flask) -> Flask:
    return accounts_app


class Phone:
    """An authenticator app with a person's secret."""

    def __init__(self, person: Person) -> None:
        page = person.get(_PAGE).text
        found = re.search(r'<code class="secret">([A-Z2-7]{32})</code>', page)
        setup = re.search(r'name="setup" value="([^"]+)"', page)
        assert found
        assert setup
        self._totp = pyotp.TOTP(found[1])
        self.used = self.code(0)
        wrong = {"setup": setup[1], "code": "000000", "password": PASSWORD}
        assert person.post(_PAGE, {**wrong, "password": "wrong", "code": self.used}).status_code == 403
        refused = person.post(_PAGE, wrong)
        assert (refused.status_code, found[1] in refused.text) == (400, True), "another secret was shown"
        shown = person.post(_PAGE, {**wrong, "code": self.used})
        assert shown.status_code == 200, shown.text
        self.recovery_codes = re.findall(r"<li><code>([a-z2-7-]{19})</code>", shown.text)
        # A second set-up would replace the recovery codes.
        again = person.post(_PAGE, {**wrong, "code": self.code()})
        assert (again.status_code, "is already set up" in again.text) == (400, True)

    def code(self, steps: int = 1) -> str:
        """Return the code of ``steps`` times 30 seconds from now; the next one is valid and unused."""
        return self._totp.at(int(time.time()) + 30 * steps)


def _focused(page: str) -> str:
    """Return the name of the field with ``autofocus``."""
    (field,) = re.findall(r"<input[^>]* autofocus[^>]*>", page)
    name = re.search(r' name="(\w+)"', field)
    assert name
    return name[1]


def test_the_field_with_the_wrong_value_has_the_focus(anna: Person) -> None:
    setup = re.search(r'name="setup" value="([^"]+)"', anna.get(_PAGE).text)
    assert setup
    fields = {"setup": setup[1], "code": "000000"}
    assert _focused(anna.post(_PAGE, {**fields, "password": PASSWORD}).text) == "code"
    assert _focused(anna.post(_PAGE, {**fields, "password": "wrong"}).text) == "password"


def _log_in(person: Person, code: str) -> tuple[int, bool]:
    """Return the status of the second step and whether the browser has a session afterwards."""
    other = Person(person.app)
    other.email = person.email
    first = other.log_in()
    assert first.location.startswith(_STEP), first.text
    assert other.get("/photos").status_code == 303
    answer = other.post(_STEP, {"code": code})
    return answer.status_code, other.get("/photos").status_code == 200


def test_a_session_begins_only_after_the_second_step(app: Flask, anna: Person) -> None:
    phone = Phone(anna)
    assert ": on" in anna.get("/account").text
    anna.log_out()
    engine = services_of(app).engine
    answer = anna.post("/login", {"email": anna.email, "password": PASSWORD, "next": "/album"})
    assert answer.location == f"{_STEP}?next=/album"
    with reading(engine) as connection:
        assert connection.execute(select(sessions)).all() == []
    assert anna.client.get_cookie(cookies.SESSION) is None
    assert anna.get("/photos").status_code == 303
    assert anna.post(_STEP, {"code": "000000"}).status_code == 401
    assert anna.get("/photos").status_code == 303
    code = phone.code()
    done = anna.post(_STEP, {"code": f" {code[:3]} {code[3:]}", "next": "/album"})
    assert done.location == "/album"
    assert anna.get("/photos").status_code == 200
    assert anna.client.get_cookie(cookies.FIRST_STEP) is None


def test_each_code_and_each_recovery_code_is_accepted_once(app: Flask, anna: Person) -> None:
    phone = Phone(anna)
    assert len(set(phone.recovery_codes)) == 10
    assert _log_in(anna, phone.used) == (401, False), "the code that confirmed the set-up was accepted again"
    code = phone.code()
    in_full_width = code.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    assert [_log_in(anna, each) for each in (in_full_width, code)] == [(303, True), (401, False)]
    assert _log_in(anna, phone.code(5)) == (401, False), "a code of a wrong clock was accepted"
    first, second, *_ = phone.recovery_codes
    typed = first.upper().replace("-", " ")
    assert [_log_in(anna, typed), _log_in(anna, first), _log_in(anna, second)] == [
        (303, True),
        (401, False),
        (303, True),
    ]
    assert "Recovery codes left: 8." in anna.get(_PAGE).text
    with reading(services_of(app).engine) as connection:
        kept = [row.code_sha256 for row in connection.execute(select(recovery_codes))]
    plain = {code.replace("-", "") for code in phone.recovery_codes}
    assert len(kept) == 8
    assert not plain.intersection(kept)


def test_codes_are_limited_like_passwords(app: Flask, anna: Person) -> None:
    phone = Phone(anna)
    codes = [_log_in(anna, "000000")[0] for _ in range(11)]
    assert codes == [401] * 10 + [429]
    assert _log_in(anna, phone.code()) == (429, False), "the right code was checked"
    assert anna.get("/photos").status_code == 200, "an existing session was ended"


def test_the_first_step_ends_with_the_password_the_account_and_after_ten_minutes(
    app: Flask, anna: Person
) -> None:
    phone, services = Phone(anna), services_of(app)
    for ending in ("password", "disabled"):
        other = Person(app)
        other.email = anna.email
        other.log_in()
        if ending == "password":
            change = {"old_password": PASSWORD, "new_password": "a completely new one"}
            assert anna.post("/account/password", change, page="/account").status_code == 303
            stale = other.client.get_cookie(cookies.FIRST_STEP)
            other.log_in("a completely new one")
            fresh = other.client.get_cookie(cookies.FIRST_STEP)
            assert stale
            other.client.set_cookie(cookies.FIRST_STEP, stale.value)
        else:
            other.log_in("a completely new one")
            services.administration.disable(anna.id, anna.id, utcnow())
        assert other.post(_STEP, {"code": phone.code()}, page="/login").location.startswith("/login")
        assert other.get("/photos").status_code == 303
    assert stale
    assert fresh
    forged = Person(app)
    forged.client.set_cookie(cookies.FIRST_STEP, stale.value[:-2] + "xx")
    assert forged.get(_STEP).location == "/login"
    assert fresh.max_age == 600


def test_removing_the_second_factor_needs_the_password(app: Flask, anna: Person) -> None:
    Phone(anna)
    refused = anna.post(f"{_PAGE}/remove", {"password": "wrong"}, page=_PAGE)
    assert (refused.status_code, refused.text.count(" autofocus")) == (403, 1)
    assert services_of(app).second_factors.of(anna.id)
    assert anna.post(f"{_PAGE}/remove", {"password": PASSWORD}, page=_PAGE).status_code == 303
    anna.log_out()
    assert anna.log_in().location == "/photos"


def test_an_administrator_removes_the_second_factor_of_others_and_that_is_recorded(
    app: Flask, anna: Person
) -> None:
    administrator = Person(app, "boss@example.org")
    services_of(app).users.grant(administrator.id, "admin")
    path = f"/admin/users/{anna.id}"
    assert "Remove the second factor" not in administrator.get(path).text
    Phone(anna)
    assert administrator.post(f"{path}/second-factor/remove", page=path).status_code == 303
    assert services_of(app).second_factors.of(anna.id) is None
    Phone(administrator)
    own = f"/admin/users/{administrator.id}/second-factor/remove"
    assert administrator.post(own, page=path).status_code == 400
    acts = [(entry.act, entry.target) for entry in acts_of_staff(app)]
    assert acts == [("removed the second factor", anna.email)]


def test_a_set_up_of_another_account_is_refused(app: Flask, anna: Person) -> None:
    eve = Person(app, "eve@example.org")
    page = eve.get(_PAGE).text
    setup = re.search(r'name="setup" value="([^"]+)"', page)
    secret = re.search(r'<code class="secret">([A-Z2-7]{32})</code>', page)
    assert setup
    assert secret
    code = pyotp.TOTP(secret[1]).now()
    taken = anna.post(_PAGE, {"setup": setup[1], "code": code, "password": PASSWORD})
    assert taken.status_code == 400
    assert services_of(app).second_factors.of(anna.id) is None


def test_one_of_two_concurrent_uses_is_accepted(engine: Engine) -> None:
    factors, id = SecondFactors(engine), some_user(engine).id
    factors.set_up(id, "A" * 32, 5, ["a" * 64], utcnow())
    with writing(engine) as connection:
        connection.execute(update(second_factors).values(set_up_at=utcnow() - timedelta(days=1)))
    assert [factors.accept(id, step) for step in (5, 4, 7, 6)] == [False, False, True, False]
    barrier, accepted = Barrier(4), []

    def use() -> None:
        barrier.wait()
        accepted.append((factors.accept(id, 8), factors.use_recovery_code(id, "a" * 64)))

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(kind) for kind in zip(*accepted, strict=True)] == [1, 1]
    factors.set_up(id, "A" * 32, 11, ["b" * 64], utcnow())
    codes = [factors.accept(id, step) for step in (9, 8, 8)]
    assert codes == [False, True, False], "a step of a clock that was ahead was accepted"


def test_the_first_step_is_valid_for_ten_minutes(app: Flask, anna: Person) -> None:
    Phone(anna)
    for age_s, status in ((590, 200), (610, 303)):
        browser = Person(app)
        browser.email = anna.email
        browser.log_in()
        kept = browser.client.get_cookie(cookies.FIRST_STEP)
        assert kept
        browser.client.set_cookie(cookies.FIRST_STEP, aged(app, "first step", kept.value, age_s))
        assert browser.get(_STEP).status_code == status


def test_the_form_of_a_new_factor_is_valid_for_an_hour(app: Flask, anna: Person) -> None:
    page = anna.get(_PAGE).text
    secret, setup = (
        re.findall(pattern, page)[0]
        for pattern in (r'class="secret">([A-Z2-7]+)<', r'"setup" value="([^"]+)"')
    )
    for age_s, status in ((3610, 400), (3590, 200)):
        form = {"setup": aged(app, "new second factor", setup, age_s), "code": pyotp.TOTP(secret).now()}
        assert anna.post(_PAGE, {**form, "password": PASSWORD}).status_code == status
