"""``models shadow``, as an operator types it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from click.testing import Result
from sqlalchemy import Engine, update

from catloader.checks.shadow import Compared
from catloader.cli.models.shadow_report import ShadowReport
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.photos.photo_rows import DecidedPhoto
from catloader.store.db.schema import photos
from checker.values import Verdict
from models.catalogue import entry_named
from tests.catloader.cli.results import one_line, statuses
from tests.support.inverted_profile import inverted_profile

Run = Callable[..., Result]


def test_shadow_lists_changed_verdicts_and_compares_them_with_decisions_of_people(
    on_site: Run, engine: Engine, tmp_path: Path
) -> None:
    rates = {"CATCHECK_MODEL": "efficientnet_lite0"}
    same = on_site("models", "shadow", "efficientnet_lite0", **rates)
    assert same.stdout == "2 photos compared: 0 would move towards cat, 0 away from it.\n"
    assert same.stderr == "Loading the models ...\n"
    inverted_profile(tmp_path / "profiles")
    with writing(engine) as connection:
        human = {"human_verdict": "cat", "human_verdict_at": utcnow()}
        connection.execute(update(photos).where(photos.c.status == "cat").values(human))
    before = statuses(engine)
    result = on_site("models", "shadow", "efficientnet_lite2", **rates)
    assert result.exit_code == 0
    cat, other, *summary = result.stdout.splitlines()
    assert re.fullmatch(r"photo +\d+ +cat \d\.\d+ -> not_cat \d\.\d+  a person says cat", cat)
    assert re.fullmatch(r"photo +\d+  not_cat \d\.\d+ -> +unsure \d\.\d+", other)
    assert [" ".join(line.split()) for line in summary] == [
        "2 photos compared: 1 would move towards cat, 1 away from it.",
        "cat -> not_cat 1",
        "not_cat -> unsure 1",
        "Where people decided: 1 would become wrong, 0 right.",
    ]
    sample = on_site("models", "shadow", "efficientnet_lite2", "--sample", "1", **rates).output
    assert len(re.findall("^photo ", sample, re.MULTILINE)) == 1
    assert statuses(engine) == before
    assert "no model called" in one_line(on_site("models", "shadow", "resnet5"))
    assert "not on disk" in one_line(on_site("models", "shadow", "resnet50"))


def test_shadow_compares_with_the_next_model_if_the_weights_of_the_best_are_damaged(
    on_site: Run, tmp_path: Path
) -> None:
    (weights := tmp_path / "weights").mkdir()
    (weights / entry_named("resnet50_v1").file).write_bytes(b"truncated")
    result = on_site("models", "shadow", "efficientnet_lite0", CATCHECK_MODEL="auto")
    assert result.stdout == "2 photos compared: 0 would move towards cat, 0 away from it.\n"


class _Judged(NamedTuple):
    verdict: Verdict
    score: float


def test_report_counts_every_photo_and_lists_a_bounded_number_of_flips() -> None:
    report = ShadowReport()
    cat, other = _Judged(Verdict.CAT, 0.9), _Judged(Verdict.NOT_CAT, 0.1)
    for number in range(300):
        photo = DecidedPhoto(number, "", "", None, None, "cat" if number < 2 else None)
        assert report.add(Compared(photo, other, cat))
    assert report.add(None) is None
    assert report.add(Compared(DecidedPhoto(300, "", "", None, None, "cat"), cat, cat)) is None
    stored = report.result("a", "b", utcnow())
    assert stored.counts == {
        "compared": 301, "towards_cat": 300, "away": 0, "become_wrong": 0, "become_right": 2, "unreadable": 1
    }  # fmt: skip
    assert (stored.flips, len(stored.photos)) == ({"not_cat -> cat": 300}, 200)
    assert list(report.summary())[-2:] == [
        "Where people decided: 0 would become wrong, 2 right.",
        "1 photo could not be read.",
    ]
