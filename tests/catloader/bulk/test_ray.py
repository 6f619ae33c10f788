"""Bulk work with the engine ``ray``, in its own processes, on 100 photos in a real S3 and two cores."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from catloader.bulk.plan import Plan
from catloader.demo.client import free_port
from scripts.bulk.requests import CountedRequests
from tests.catloader.bulk.conftest import MANY, BulkSite, results
from tests.support.environ import environ_without_settings

UNIT = 10
ON_RAY = ("--engine", "ray")


@pytest.fixture
def site(many: BulkSite) -> BulkSite:
    return many


def _decisions(plan: Plan) -> list[tuple[Any, ...]]:
    """Return the complete decision on each photo, by its id."""
    rows = (row for rows in plan.results() for row in rows)
    decisions = []
    for row in rows:
        log = json.loads(row["log"])
        decisions.append(
            (row["photo_id"], row["verdict"], row["score"], log["labels"], log["subject_scores"])
        )
    return sorted(decisions)


@pytest.mark.timeout(600)
def test_killed_on_ray_it_resumes_there_and_decides_like_local_bit_for_bit(site: BulkSite) -> None:
    for name in ("here", "ray"):
        site.type("bulk", "plan", name, "--unit-rows", str(UNIT))
    here, on_ray = (Plan(site.folder / "bulk" / name) for name in ("here", "ray"))
    site.kill_amid(on_ray.folder, "bulk", "run", "ray", *ON_RAY, CATCHECK_WORKERS="2", units=2)
    done = {path: path.stat().st_mtime_ns for path in results(on_ray.folder)}
    assert 2 <= len(done) < MANY / UNIT
    with CountedRequests(site.settings.s3_endpoint_url).running() as requests:
        counted = {"CATCHECK_WORKERS": "2", "AWS_ENDPOINT_URL_S3": requests.url}
        assert site.start("bulk", "resume", "ray", *ON_RAY, **counted).wait(240) == 0
    assert requests.counts["GET"] >= 2 * (MANY - UNIT * len(done))
    assert requests.counts.keys() <= {"GET", "HEAD"}, "nothing is listed"
    assert {path: path.stat().st_mtime_ns for path in done} == done, "nothing was done twice"
    site.type("bulk", "run", "here")
    assert len(results(on_ray.folder)) == on_ray.units
    decided = _decisions(on_ray)
    assert len({id for id, *_ in decided}) == len(decided) == MANY
    assert decided == _decisions(here)


_RUN = """
import sys
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.bulk.ray_engine import run_ray
from catloader.settings import Settings
photo = PlannedPhoto(1, "a.jpg", "b.jpg", None, None, 1, "cat", 0.5, None)
try:
    list(run_ray([(0, [photo])], Settings.from_environment(), "table", ""))
except BulkError as error:
    sys.exit(str(error))
"""


@pytest.mark.timeout(600)
def test_failure_of_a_worker_process_is_one_sentence_in_the_driver(site: BulkSite) -> None:
    nowhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}", "CATCHECK_WORKERS": "1"}
    variables = environ_without_settings(**{**site.environ, **nowhere})
    run = [sys.executable, "-c", _RUN]
    done = subprocess.run(run, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("The object store at http://127.0.0.1:")
    assert "did not answer" in sentence
    assert "Traceback" not in done.stderr
