"""Two sites with one PostgreSQL and one object store, behind the nginx of ``deploy/``; one is killed."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import requests

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.harness.audit import Figures, audit
from tests.faults.harness.client import Ledger, Person, uploading, wait_for
from tests.faults.harness.stage import Stage, kill
from tests.support.postgres import server
from tests.support.proxies import running_balancer
from tests.support.serving import form_token, plain_session
from tests.support.site import PASSWORD

_BETWEEN = 4
_BACK_S = 60.0
"""Time for uploads to succeed again: the other site continues, and users retry after a moment."""
_FORGETS_S = 5.0
"""``fail_timeout`` of deploy/nginx.conf: the time for which nginx sends no requests to a restarted site."""
_GUESSES = 10
"""Number of passwords that all sites together check for one account."""
_EXPLAIN_S = 120.0


def kill_sites(folder: Path, store: EmbeddedS3, *, times: int, pause_s: float = 0.0) -> Figures:
    """Kill the sites in turn, each with all its processes, and restart them.

    Args:
        pause_s: pause of each user after an acknowledged upload.
    """
    figures, ledger = Figures(counts={"sites killed": times}), Ledger()
    homes = [folder / name for name in ("first", "second", "proxy")]
    for home in homes:
        home.mkdir()
    with server() as postgres:
        common: dict[str, Any] = {
            "DATABASE_URL": postgres.url,
            "CATLOADER_SECRET_KEY": secrets.token_hex(32),
            "CATLOADER_TRUSTED_PROXIES": 1,
        }
        with (
            Stage(homes[0], store, **common) as first,
            Stage(homes[1], store, **common, **_buckets(first)) as second,
        ):
            stages = (first, second)
            sites = [stage.serve() for stage in stages]
            first.start("worker")
            with running_balancer([stage.url for stage in stages], homes[2]) as url:
                with uploading(url, ledger, pause_s=pause_s) as people:
                    for number in range(times):
                        if number:
                            time.sleep(_FORGETS_S)
                        wait_for(ledger, _BETWEEN)
                        one = number % len(stages)
                        for process in stages[one].web_processes(sites[one]):
                            kill(process)
                        kill(sites[one])
                        if not wait_for(ledger, _BETWEEN, _BACK_S):
                            figures.broken.append("no upload succeeds while one of two sites is dead")
                        sites[one] = stages[one].serve()
                    wait_for(ledger, _BETWEEN)
                _note_answers(figures, ledger, times * len(people))
                _guess(figures, [stage.url for stage in stages])
                audit(first, ledger, figures)
                _explain(figures, people[0], [stage.url for stage in stages])
    return figures


def _buckets(stage: Stage) -> dict[str, Any]:
    return {name: stage.environ[name] for name in ("CATLOADER_PHOTOS_BUCKET", "CATLOADER_THUMBNAILS_BUCKET")}


def _note_answers(figures: Figures, ledger: Ledger, at_most: int) -> None:
    """Count the responses. Uploads may break at a kill, but sessions stay valid, so no 401 is allowed."""
    answers = dict(ledger.answers)
    for status in (201, 503):
        answers.pop(status, None)
    # 0: the site died in the middle of its response, so the proxy could only close the connection.
    died = sum(answers.pop(status, 0) for status in (0, 502, 504))
    figures.counts["uploads that died with a site"] = died
    if died > at_most:
        figures.broken.append(f"{died} uploads died, with at most {at_most} under way")
    if answers:
        figures.broken.append(f"other answers to uploads: {answers} {ledger.broken}")


def _guess(figures: Figures, urls: list[str]) -> None:
    """Guess a password on both sites in turn. The last attempt has the right password and must be refused."""
    email, session = f"{secrets.token_hex(8)}@example.org", plain_session()
    form = {"csrf_token": form_token(session, urls[0] + "/register"), "email": email, "password": PASSWORD}
    assert session.post(urls[0] + "/register", data=form, timeout=30).ok
    statuses = [
        _log_in(urls[number % len(urls)], email, PASSWORD if number == _GUESSES else f"wrong {number}")
        for number in range(_GUESSES + 1)
    ]
    if statuses[-1] != requests.codes.too_many_requests or statuses[:-1].count(statuses[-1]):
        figures.broken.append(f"{_GUESSES} guesses on two sites and the right password: {statuses}")


def _log_in(url: str, email: str, password: str) -> int:
    session = plain_session()
    form = {"csrf_token": form_token(session, url + "/login"), "email": email, "password": password}
    return session.post(url + "/login", data=form, timeout=30).status_code


def _explain(figures: Figures, person: Person, urls: list[str]) -> None:
    """Compare the explanation on both sites: each must serve the one that the first of them made."""
    id = person.ids[0]
    answers = [person.session.get(f"{url}/photos/{id}/explanation.jpg", timeout=_EXPLAIN_S) for url in urls]
    if {answer.status_code for answer in answers} != {200} or len({a.content for a in answers}) != 1:
        figures.broken.append(f"explanations on two sites: {[answer.status_code for answer in answers]}")
