"""A refused log-in does the same work whatever account there is, so its time reveals none."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

from catloader.oidc.identity import Identity
from catloader.oidc.log_in import new_user
from catloader.passwords import hash_password
from catloader.store.db.engine import utcnow
from tests.support.accounts_site import accounts_site
from tests.support.site import PASSWORD, Person, services_of

_TRIES = 15
_MUCH = "100000 per minute"


def test_wrong_passwords_cost_the_same_work_for_every_kind_of_account(tmp_path: Path) -> None:
    """Measured as the core time of the request's thread, which other processes hardly change."""
    with accounts_site(tmp_path, password_rate=_MUCH, login_rate=_MUCH) as app:
        services, now = services_of(app), utcnow()
        kinds = {"known", "disabled", "two-steps"}
        made = {
            kind: services.users.create(f"{kind}@example.org", hash_password(PASSWORD), now) for kind in kinds
        }
        services.administration.disable(made["disabled"].id, made["known"].id, now)
        services.second_factors.set_up(made["two-steps"].id, "A" * 32, 0, ["0" * 64], now)
        new_user(services.identities, Identity("https://id", "1", "provider@example.org", True), None, now)
        services.users.create("locked@example.org", "!", now)  # as an administrator's SQL may set it
        spent_s: dict[str, list[float]] = {kind: [] for kind in (*kinds, "provider", "locked", "unknown")}
        visitor = Person(app)
        token = visitor.token("/login")
        for number in range(_TRIES + 1):
            for kind in random.sample(list(spent_s), len(spent_s)):
                form = {"csrf_token": token, "email": f"{kind}@example.org", "password": f"wrong {number}"}
                begun_s = time.thread_time()
                assert visitor.client.post("/login", data=form).status_code == 401
                spent_s[kind].append(time.thread_time() - begun_s)
    medians = {
        kind: statistics.median(times[1:]) for kind, times in spent_s.items()
    }  # the first one compiles
    assert max(medians.values()) < 1.25 * min(medians.values()), medians
