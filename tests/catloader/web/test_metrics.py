"""``/metrics`` needs its token and sums up all processes; and the health pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from catloader.demo.client import until
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.accounts_site import accounts_site
from tests.support.object_stores import settings_of
from tests.support.processes import until_gone
from tests.support.serving import Serving, form_token, plain_session, registered, serving
from tests.support.site import jpeg, services_of

_TOKEN = "a token of the operator"
_CHECKED = r"catcheck_images_total\{.*\}"
_ROOT = Path(__file__).resolve().parents[3]
_METRIC = re.compile(r"\b(?:catcheck|catloader)_[a-z0-9_]+\b")


@pytest.fixture(scope="module")
def store(s3_server: EmbeddedS3, shared_objects: ObjectStore) -> dict[str, object]:
    """Settings of a store that is already running."""
    return settings_of(s3_server, shared_objects)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, store: dict[str, object]) -> Iterator[Serving]:
    settings = {
        **store,
        "CATLOADER_METRICS_TOKEN": _TOKEN,
        "CATLOADER_WEB_PROCESSES": 2,
        "CATCHECK_DISPATCH": "thread",
        "CATCHECK_MODEL": "efficientnet_lite0",
        "CATCHECK_WORKERS": 1,
        # The process that takes an upload checks it: no other one looks for photos after its start.
        "CATCHECK_SWEEP_S": 3600,
    }
    with serving(tmp_path_factory.mktemp("metrics"), **settings) as site:
        for _ in until(120, "Not every process has loaded its model"):
            if all(_get(site, "/readyz").json()["checker"]["state"] == "ready" for _ in range(20)):
                break
        yield site


def _get(site: Serving, path: str, token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    with plain_session() as session:  # a new connection may reach any of the processes
        return session.get(site.url + path, headers=headers, timeout=60)


def _numbers(site: Serving) -> dict[str, float]:
    text = _get(site, "/metrics", _TOKEN).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def _sum(numbers: dict[str, float], pattern: str) -> float:
    return sum(value for name, value in numbers.items() if re.fullmatch(pattern, name))


@pytest.mark.slow
def test_metrics_need_the_token(site: Serving) -> None:
    assert _get(site, "/metrics").status_code == 401
    assert _get(site, "/metrics", "another").status_code == 401
    answer = _get(site, "/metrics", _TOKEN)
    assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")


@pytest.mark.slow
def test_every_process_reports_the_same_total(site: Serving) -> None:
    name = r'catloader_http_request_seconds_count\{.*endpoint="health.healthz".*\}'
    before = _sum(_numbers(site), name)
    for _ in range(40):
        assert _get(site, "/livez").ok
        assert _get(site, "/healthz").ok
    assert {_sum(_numbers(site), name) for _ in range(12)} == {before + 80}


def _upload_and_check(site: Serving) -> None:
    """Upload a photo and a file that is not a photo; wait for the verdict."""
    checked = _sum(_numbers(site), _CHECKED)
    person = registered(site.url)
    form = {"csrf_token": form_token(person, site.url + "/upload")}
    for name, data, status in (("a.jpg", jpeg(), 201), ("b.jpg", b"no photo", 415)):
        answer = person.post(site.url + "/upload", data=form, files={"photos": (name, data)}, timeout=60)
        assert answer.status_code == status
    for _ in until(60, "The photo was not checked"):
        if _sum(_numbers(site), _CHECKED) == checked + 1:
            break


@pytest.fixture(scope="module")
def used_site(site: Serving) -> Serving:
    """A site that has checked one photo."""
    _upload_and_check(site)
    return site


@pytest.mark.slow
def test_an_upload_and_its_check_are_counted(used_site: Serving) -> None:
    numbers = _numbers(used_site)
    assert _sum(numbers, r'catcheck_images_total\{model="efficientnet_lite0",outcome="\w+"\}') == 1
    assert numbers["catcheck_inference_seconds_count"] == numbers["catcheck_queue_seconds_count"] == 1
    assert 0 < numbers["catcheck_inference_seconds_sum"] < 30
    assert numbers['catloader_refusals_total{reason="not_an_image"}'] == 1
    assert numbers['catloader_s3_request_seconds_count{operation="put",result="ok"}'] == 2
    reads = r'catloader_s3_request_seconds_count\{operation="get".*\}'
    assert _sum(numbers, reads) == 0, "the checker fetched an object that its own process had just stored"
    assert numbers["catcheck_oldest_pending_seconds"] == 0
    assert numbers['catcheck_photos{status="pending"}'] == 0


def test_the_dashboard_counts_figures_of_the_database_once() -> None:
    """Every process reports them, so their sum would count each photo once for each process."""
    dashboard = json.loads((_ROOT / "docs/grafana/catloader.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for name in ("catcheck_photos", "catcheck_oldest_pending_seconds", "catloader_database_dead_rows"):
        shown = [expression for expression in expressions if name in expression]
        assert shown
        for expression in shown:
            assert re.search(rf"max( by \(\w+\) )?\({name}", expression), expression


@pytest.mark.slow
def test_dashboard_and_documentation_name_exactly_the_existing_metrics(used_site: Serving) -> None:
    families = list(text_string_to_metric_families(_get(used_site, "/metrics", _TOKEN).text))
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    # Families without a sample here have one on PostgreSQL only.
    known = set(labels) | {family.name for family in families if not family.samples}
    dashboard = json.loads((_ROOT / "docs/grafana/catloader.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for expression in expressions for name in _METRIC.findall(expression)}
    assert used - known == set()
    page = (_ROOT / "docs/operations.md").read_text("utf-8")
    documented = set(_METRIC.findall(page))
    for family in families:
        assert any(name.startswith(family.name) for name in used), f"{family.name} is in no panel"
        assert any(name.startswith(family.name) for name in documented), f"{family.name} is not documented"
    for expression in expressions:
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
            given = set(re.findall(r"(\w+)=", selector)) - {"job"}
            assert given <= labels.get(name, given), expression
        for group in re.findall(r"by \(([^)]*)\)", expression):
            (name,) = set(_METRIC.findall(expression))
            assert set(group.split(", ")) <= labels.get(name, {"table"}), expression


@pytest.mark.slow
def test_readiness_reports_the_oldest_waiting_photo(used_site: Serving) -> None:
    for _ in until(60, "The site was not ready"):
        if _get(used_site, "/readyz").ok:
            break
    state = _get(used_site, "/readyz").json()
    assert state["oldest_waiting_s"] == 0
    assert state["last_checks"] == "ok"
    assert state["checker"]["precision"]


def test_visitors_create_no_labels(tmp_path: Path) -> None:
    with accounts_site(tmp_path) as app:
        for n in range(20):
            app.test_client().open(f"/nothing-{n}", method=f"METHOD{n}")
            app.test_client().open("/login", method="GET")
        (family,) = services_of(app).metrics.http_s.collect()
    labels = {(sample.labels["method"], sample.labels["endpoint"]) for sample in family.samples}
    assert labels == {("other", "none"), ("GET", "auth.login")}


@pytest.mark.slow
def test_the_next_start_removes_the_files_of_a_killed_site_and_a_stop_its_own(
    tmp_path: Path, store: dict[str, object]
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    settings = {**store, "CATLOADER_METRICS_TOKEN": _TOKEN, "TMPDIR": temporary}

    def folders() -> list[Path]:
        return list(temporary.glob("catloader-metrics-*"))

    with serving(tmp_path, **settings) as site:
        processes = site.web_processes()
        site.process.kill()
        site.process.wait()
        until_gone(processes)
    (left,) = folders()
    with serving(tmp_path, **settings) as site:
        (used,) = folders()
        assert used != left
        assert site.stop() == 0
    assert folders() == []


def test_without_a_configured_token_metrics_are_not_found(tmp_path: Path) -> None:
    with accounts_site(tmp_path) as app:
        empty = {"Authorization": "Bearer "}
        assert app.test_client().get("/metrics", headers=empty).status_code == 404
