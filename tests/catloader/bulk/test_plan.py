"""Plans on disk, without a site: what is refused, left behind or counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from catloader.bulk.commands import make_plan
from catloader.bulk.engines.sources import TABLE
from catloader.bulk.flips import Flips
from catloader.bulk.inputs.objects import _Renditions
from catloader.bulk.kept.keep import keep_of
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError
from catloader.bulk.shadow import shadow_plans
from catloader.store.db.checks.bulk import BulkTable
from checker.values import Rendition


def _photos(count: int) -> list[PlannedPhoto]:
    return [
        PlannedPhoto(number, f"{number}", "", None, None, 10, None, None, None) for number in range(count)
    ]


def test_photos_that_cannot_be_listed_leave_no_folder_and_a_plan_is_not_replaced(tmp_path: Path) -> None:
    def cut_off() -> Iterator[PlannedPhoto]:
        yield from _photos(3)  # the first unit is written by then
        raise ConnectionError

    with pytest.raises(ConnectionError):
        make_plan(tmp_path / "plan", cut_off(), "model", 2, TABLE)
    assert not (tmp_path / "plan").exists()
    plan = make_plan(tmp_path / "plan", _photos(3), "model", 2, TABLE)
    with pytest.raises(BulkError, match="exists already; give the plan another name"):
        make_plan(tmp_path / "plan", _photos(1), "model", 2, TABLE)
    assert (plan.facts.photos, plan.units, plan.done()) == (3, 2, 0)


def test_a_cancelled_plan_runs_again_and_one_that_runs_is_told(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "plan", _photos(1), "model", 2, TABLE)
    plan.cancel()
    with plan.running():
        assert (plan.cancelled, plan.is_running) == (False, True)
        with pytest.raises(BulkError, match="running already"), plan.running():
            pass
    assert not plan.is_running


def test_a_damaged_description_of_kept_results_is_named(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "plan", _photos(1), "model", 2, TABLE)
    assert keep_of(plan) is None
    for content in ("{", "{}", '{"subject": 1}'):
        (plan.folder / "kept.json").write_text(content)
        with pytest.raises(BulkError, match=r"kept\.json is damaged; make the plan again"):
            keep_of(plan)


def test_plans_of_other_models_are_not_compared(tmp_path: Path) -> None:
    for name in ("current", "candidate"):
        make_plan(tmp_path / name, _photos(1), name, 2, TABLE)
    table = cast("BulkTable", None)  # the plans exist
    assert len(shadow_plans(table, tmp_path, ("current", "candidate"), 2)) == 2
    for models in (("current", "third"), ("candidate", "current")):
        with pytest.raises(BulkError, match="compares current with candidate; give the plan another name"):
            shadow_plans(table, tmp_path, models, 2)


def test_only_a_photo_with_another_verdict_before_is_a_flip() -> None:
    flips = Flips()
    rows = [("cat", "cat"), (None, "cat"), ("not_cat", "cat"), ("cat", None)]
    found = [flips.add({"old_status": old, "verdict": verdict}) for old, verdict in rows]
    assert found == [False, False, True, False]
    assert (flips.photos, flips.without_verdict, flips.changes.total()) == (4, 1, 1)


def test_renditions_are_made_once_for_a_photo_and_again_after_a_failure() -> None:
    made: list[bytes] = []

    def make(data: bytes) -> dict[Rendition, bytes]:
        made.append(data)
        if data == b"broken":
            raise ValueError
        return dict.fromkeys(Rendition, data)

    renditions = _Renditions(make)
    for key in ("a", "b"):
        assert [renditions.get(key, one, str.encode) for one in Rendition] == [key.encode()] * 2
    for _ in range(2):
        with pytest.raises(ValueError):
            renditions.get("broken", Rendition.PHOTO, str.encode)
    assert renditions.get("b", Rendition.PHOTO, str.encode) == b"b"
    assert made == [b"a", b"b", b"broken", b"broken", b"b"]
