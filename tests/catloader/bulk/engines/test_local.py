"""Bulk work with the engine ``local``, on 200 photos in a real S3."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from catloader.bulk.plan import BulkError, Plan
from catloader.bulk.run import run
from catloader.cli import main
from catloader.cli.bulk.run import duration, run_and_tell, size
from catloader.store.db.schema import check_log
from catloader.wiring import build
from tests.catloader.bulk.conftest import MANY, BulkSite, decisions, decisions_of_check_run, results

UNIT = 5


@pytest.fixture
def site(many: BulkSite) -> BulkSite:
    return many


def _all(plan: Plan) -> list[dict[str, Any]]:
    return [row for rows in plan.results() for row in rows]


def test_sizes_and_durations_have_fitting_units() -> None:
    sizes = {1: "1 byte", 999: "999 bytes", 18_400: "18.4 kB", 18_400_000: "18.4 MB", 10**12: "1000.0 GB"}
    assert {value: size(value) for value in sizes} == sizes
    durations = {
        0: "less than a minute",
        61: "about 1 minute",
        700: "about 12 minutes",
        9000: "about 2.5 hours",
    }
    assert {value: duration(value) for value in durations} == durations


def test_verdicts_equal_those_of_check_run_bit_for_bit_without_a_listing(site: BulkSite) -> None:
    output = site.type("bulk", "plan", "same", "--unit-rows", str(UNIT)).output
    assert re.match(r"200 photos, 1\d\.\d MB, in 40 units\.\nAt the speed of the last checks with ", output)
    plan = Plan(site.folder / "bulk/same")
    services = build(site.settings, checker=False)
    seen = [(progress.photos, progress.left) for progress in run(services, plan)]
    services.close()
    assert seen == [(done, MANY - done) for done in range(UNIT, MANY + 1, UNIT)]
    requests = {
        sample.labels["operation"]
        for metric in services.metrics.s3_s.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    }
    assert requests == {"get"}

    in_bulk = decisions(plan)
    assert in_bulk == decisions_of_check_run(site)
    assert len({score for _, _, score, _, _ in in_bulk}) > MANY / 2
    assert "200 photos checked: " in site.type("bulk", "flips", "same").output
    assert "->" not in site.type("bulk", "flips", "same").output


def test_a_killed_run_resumes(site: BulkSite) -> None:
    site.type("bulk", "plan", "killed", "--unit-rows", str(UNIT))
    folder = site.folder / "bulk/killed"
    for _ in range(2):
        site.kill_amid(folder, "bulk", "run", "killed", units=4)
        assert "not running" in site.type("bulk", "status", "killed").output
    done = {path: path.stat().st_mtime_ns for path in results(folder)}
    assert 8 <= len(done) < MANY / UNIT
    output = site.type("bulk", "resume", "killed").output
    assert output.endswith("40 of 40 units done, 200 photos, efficientnet_lite0: done.\n")
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a finished unit was done again"
    ids = [row["photo_id"] for row in _all(Plan(folder))]
    assert len(ids) == len(set(ids)) == MANY


def test_a_cancelled_run_stops_and_resumes_later_and_its_progress_is_printed(
    site: BulkSite, capsys: pytest.CaptureFixture[str]
) -> None:
    site.type("bulk", "plan", "stop", "--unit-rows", str(UNIT))
    plan = Plan(site.folder / "bulk/stop")
    services = build(site.settings, checker=False)
    for _ in run(services, plan):
        with pytest.raises(BulkError, match="running already"):
            next(run(services, plan))
        output = site.type("bulk", "cancel", "stop").output
        assert (
            output
            == "The plan stop stops after its current units; `catloader bulk resume stop` continues it.\n"
        )
    assert plan.done() == 1
    assert "cancelled" in site.type("bulk", "status", "stop").output
    run_and_tell(services, plan, every_s=0)
    services.close()
    left = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines() if " left, " in line]
    assert left == list(range(MANY - 2 * UNIT, 0, -UNIT)), "each unit except the last must have a line"
    assert plan.done() == plan.units


def test_a_plan_that_is_not_running_cannot_be_cancelled(site: BulkSite) -> None:
    output = site.type("bulk", "plan", "idle", "--model", "efficientnet_lite2").output
    sentence = "efficientnet_lite2 has not checked photos here yet: `bulk run` will show its speed.\n"
    assert output.endswith(f", in 2 units.\n{sentence}")
    refused = CliRunner().invoke(main, ["bulk", "cancel", "idle"], env=site.environ)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: Nothing to cancel: 0 of 2 units done, ")
    assert refused.stderr.endswith(", efficientnet_lite2: not running.\n")
    assert not Plan(site.folder / "bulk/idle").cancelled


@pytest.mark.parametrize("condition", [("--status", "unreadable"), ("--since", "2999-01-01")])
def test_a_plan_has_only_photos_that_meet_its_conditions(site: BulkSite, condition: tuple[str, str]) -> None:
    none = "0 photos, 0 bytes, in 0 units.\nNo photo matches, so there is nothing to run.\n"
    assert site.type("bulk", "plan", "none", *condition).output == none


def test_a_plan_is_continued_with_its_variant_although_a_faster_one_was_made_since(site: BulkSite) -> None:
    finished = select(check_log.c.finished_at).order_by(check_log.c.finished_at.desc())
    since = site.rows(finished.offset(3 * UNIT).limit(1))[0].finished_at  # torch is slow
    site.type("bulk", "plan", "slow", "--unit-rows", str(UNIT), "--since", since.isoformat())
    plan = Plan(site.folder / "bulk/slow")
    slow, auto = (
        build(site.settings.with_changes(runtime=runtime, precision=precision, device="cpu"), checker=False)
        for runtime, precision in (("torch", "fp32"), ("auto", "auto"))
    )
    next(run(slow, plan))
    slow.close()
    list(run(auto, plan))
    auto.close()
    assert plan.done() == plan.units > 1
    logs = [json.loads(row["log"]) for rows in plan.results() for row in rows]
    assert {(log["runtime"], log["precision"]) for log in logs} == {("torch", "fp32")}


def test_another_model_cannot_continue_a_plan(site: BulkSite) -> None:
    site.type("bulk", "plan", "mixed", "--unit-rows", str(UNIT))
    plan = Plan(site.folder / "bulk/mixed")
    services = build(site.settings, checker=False)
    next(run(services, plan))
    services.close()
    other = build(site.settings.with_changes(runtime="torch", precision="fp32"), checker=False)
    with pytest.raises(BulkError, match=r"begun with efficientnet_lite0 .* checks with .* torch fp32"):
        list(run(other, plan))
    other.close()
