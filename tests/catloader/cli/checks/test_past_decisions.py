"""``check verify`` and ``recheck``, as an operator types them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from click.testing import Result
from sqlalchemy import Engine, func, select, update

from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.schema import check_log, photos
from tests.catloader.cli.results import statuses

Run = Callable[..., Result]


def test_verify_reports_differences_and_exits_with_1(on_site: Run, engine: Engine) -> None:
    same = on_site("check", "verify")
    assert (same.exit_code, same.output) == (0, "2 decisions replayed, all identical.\n")
    assert on_site("check", "verify", "--sample", "1").output == "1 decision replayed, all identical.\n"
    assert on_site("check", "verify", "--since", "2999-01-01").output == "0 decisions replayed.\n"
    other = on_site("check", "verify", CATCHECK_MODEL="efficientnet_lite2")
    skipped = (
        "0 decisions replayed; 2 by another model, variant or profile, or on replaced objects, skipped.\n"
    )
    assert (other.exit_code, other.output) == (0, skipped)
    with writing(engine) as connection:
        first = select(func.min(check_log.c.id)).scalar_subquery()
        connection.execute(update(check_log).where(check_log.c.id == first).values(verdict="unsure"))
    bad = on_site("check", "verify")
    assert bad.exit_code == 1
    assert re.search(r"^photo \d+  check \d+  unsure \d.\d+ was logged, now it is cat", bad.output)
    assert bad.output.endswith("2 decisions replayed, 1 differs.\n")


def test_recheck_counts_first_and_keeps_verdicts_of_people(on_site: Run, engine: Engine) -> None:
    with writing(engine) as connection:
        decided = {"human_verdict": "cat", "human_verdict_at": utcnow()}
        connection.execute(update(photos).where(photos.c.status == "cat").values(decided))
        digest = connection.execute(select(check_log.c.weights_sha256).limit(1)).scalar_one()
    words = ("check", "recheck", "--model-digest", digest[:12])
    would = "Would re-check 1 photo (dry run; nothing changed).\n1 photo decided by people stays unchanged.\n"
    assert on_site(*words, "--dry-run").output == would
    assert statuses(engine) == ["cat", "not_cat"]
    everything = ("check", "recheck", "--since", "2000-01-01", "--dry-run")
    assert on_site(*everything, "--limit", "5").output.startswith("Would re-check 1 photo (")
    assert on_site(*words, "--limit", "1").output.startswith("Queued 1 photo for another check.")
    assert statuses(engine) == ["cat", "pending"]
    assert on_site("check", "run").output == "1 photo checked.\n"
    assert statuses(engine) == ["cat", "not_cat"]
    for option in ("--status", "--band"):
        assert on_site("check", "recheck", option, "unsure").output == "Queued 0 photos for another check.\n"


@pytest.mark.parametrize("words", [("check", "recheck"), ("bulk", "plan", "of-others")], ids=lambda w: w[1])
def test_weights_that_made_no_check_are_refused_with_those_that_did(
    on_site: Run, engine: Engine, words: tuple[str, ...]
) -> None:
    with reading(engine) as connection:
        digest = connection.execute(select(check_log.c.weights_sha256).limit(1)).scalar_one()
    refused = on_site(*words, "--model-digest", "ffff")
    assert refused.exit_code == 1
    sentence = "No check used weights whose sha256 begins with ffff; used so far: "
    assert refused.output == f"Error: {sentence}{digest[:8]} (efficientnet_lite0).\n"
    assert not on_site("check", "recheck", "--model-digest", digest[:12].upper(), "--dry-run").exit_code
    with writing(engine) as connection:
        connection.execute(update(check_log).values(verdict=None))
    failed = on_site(*words, "--model-digest", digest[:12])
    assert (failed.exit_code, failed.output.rpartition("; ")[2]) == (1, "used so far: none.\n")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--model-digest", "%"),
        ("--status", "pending"),
        ("--band", "pending"),
        ("--since", "yesterday"),
        ("--dry-run",),
    ],
)
def test_recheck_needs_a_condition(typed: Run, words: tuple[str, ...]) -> None:
    assert typed("check", "recheck", *words).exit_code == 2
