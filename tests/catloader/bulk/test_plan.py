"""Plans on disk, without a site: refusals, leftovers of killed runs, and counts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine, delete

from catloader.bulk.engines.sources import TABLE
from catloader.bulk.flips import Flips
from catloader.bulk.inputs.labelled import files
from catloader.bulk.inputs.objects import LooseFiles, _Renditions, listed_files
from catloader.bulk.kept.keep import keep_of
from catloader.bulk.manifest import PlannedPhoto
from catloader.bulk.plan import BulkError, Plan, write_atomically
from catloader.bulk.planning import make_plan
from catloader.bulk.shadow import compared, shadow_plans
from catloader.cli.bulk.flips import show_flips
from catloader.cli.bulk.run import state_of
from catloader.errors import StartupError
from catloader.store.db.checks.bulk import BulkTable
from catloader.store.db.engine import writing
from catloader.store.db.schema import photos
from checker.errors import CheckerError, ObjectMissing, StoreUnavailable
from checker.evaluation.photos import LabelledPhoto
from checker.pixels.isolated import IsolatedDecoder
from checker.values import Claim, Rendition
from tests.support.rows import add_photos

_ON_SQLITE = pytest.mark.parametrize("_migrated", ["sqlite"], indirect=True)


def _photos(count: int) -> list[PlannedPhoto]:
    return [
        PlannedPhoto(number, f"{number}", "", None, None, 10, None, None, None) for number in range(count)
    ]


def _result(number: int, verdict: str | None, old: str = "cat") -> dict[str, Any]:
    """Return a row of results."""
    return {
        "photo_id": number,
        "key": f"{number}",
        "sha256": None,
        "old_status": old,
        "old_score": None,
        "old_checked_at": None,
        "verdict": verdict,
        "score": verdict and 0.75,
        "error": None,
        "log": json.dumps({"model": None}),
    }


def test_photos_that_cannot_be_listed_leave_no_folder_and_a_plan_is_not_replaced(tmp_path: Path) -> None:
    def cut_off() -> Iterator[PlannedPhoto]:
        yield from _photos(3)  # enough for the first unit to be written
        raise ConnectionError

    with pytest.raises(ConnectionError):
        make_plan(tmp_path / "plan", cut_off(), "model", 2, TABLE)
    assert not (tmp_path / "plan").exists()
    plan = make_plan(tmp_path / "plan", _photos(3), "model", 2, TABLE)
    with pytest.raises(BulkError, match="exists already; give the plan another name"):
        make_plan(tmp_path / "plan", _photos(1), "model", 2, TABLE)
    assert (plan.facts.photos, plan.units, plan.done()) == (3, 2, 0)


def test_a_plan_that_was_killed_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    (folder / "manifest").mkdir(parents=True)
    for name in ("manifest/00000.parquet", "kept.json", "plan.draft", "lock"):
        (folder / name).touch()
    plan = make_plan(folder, _photos(3), "model", 2, TABLE)
    assert [len(unit) for _, unit in plan.remaining()] == [2, 1]
    assert keep_of(plan) is None, "the leftover description of a labelled plan was used"


def _damaged(path: Path, damage: str) -> None:
    data = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut off": data[: len(data) // 2],
        "altered": data[:10] + bytes(200) + data[210:],
    }
    path.write_bytes(damaged[damage])


@pytest.mark.parametrize("damage", ["empty", "cut off", "altered"])
def test_a_damaged_file_of_a_plan_is_named_with_the_remedy(damage: str, tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "plan", _photos(300), "model", 300, TABLE)
    manifest = plan.folder / "manifest" / "00000.parquet"
    _damaged(manifest, damage)
    with pytest.raises(StartupError) as error:
        list(plan.remaining())
    assert str(error.value) == f"{manifest} is damaged or missing: make a new plan."

    plan.write(0, [_result(number, "cat") for number in range(300)], {})
    (results,) = (plan.folder / "results").rglob("*.parquet")
    _damaged(results, damage)
    with pytest.raises(StartupError) as error:
        list(plan.results())
    assert str(error.value) == (
        f"{results} is damaged or missing: delete it, and the run checks its photos again."
    )


@pytest.mark.parametrize(
    "name",
    ["manifest/00000.parquet", "results/00000/000000000.parquet", "variant.json", "kept.json", "plan.json"],
)
def test_a_file_of_a_plan_that_cannot_be_read_now_is_not_called_damaged(name: str, tmp_path: Path) -> None:
    """A loop of links is an error of the system that root gets too, unlike a missing permission."""
    plan = make_plan(tmp_path / "plan", _photos(3), "model", 2, TABLE)
    plan.write(0, [_result(number, "cat") for number in range(2)], {})
    path = plan.folder / name
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)
    with pytest.raises(StartupError) as error:
        plan = Plan(plan.folder)
        assert (keep_of(plan), plan.variant) == (None, None)
        list(plan.results())
        list(plan.remaining())
    assert str(error.value) == f"{path} can't be read: Too many levels of symbolic links."


def test_a_manifest_is_on_disk_before_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def fsync(descriptor: int, *, really: Any = os.fsync) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make_plan(tmp_path / "plan", _photos(3), "model", 2, TABLE)
    assert synced == ["00000.parquet", "plan.draft"]


def test_a_plan_is_not_made_twice_at_the_same_time(tmp_path: Path) -> None:
    def begun_again() -> Iterator[PlannedPhoto]:
        yield from _photos(3)
        with pytest.raises(BulkError, match=r"^The plan current is being made already\.$"):
            shadow_plans(table, tmp_path, ("current", "candidate"), 2)

    table = cast("BulkTable", SimpleNamespace(decided=lambda _: begun_again()))
    plans = shadow_plans(table, tmp_path, ("current", "candidate"), 2)
    assert [len(list(plan.remaining())) for plan in plans] == [2, 2]


def test_a_cancelled_plan_runs_again_and_a_running_plan_is_refused(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "plan", _photos(1), "model", 2, TABLE)
    plan.cancel()
    with plan.running():
        assert (plan.cancelled, plan.is_running) == (False, True)
        with pytest.raises(BulkError, match="running already"), plan.running():
            pass
        assert state_of(plan) == "0 of 1 unit done, 1 photo, model: running."
    assert not plan.is_running


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": "a"}'])
def test_a_folder_without_a_description_is_not_a_plan(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(BulkError, match="is not a plan; `catloader bulk plan` makes one"):
        Plan(tmp_path)


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


@_ON_SQLITE
def test_both_plans_of_a_comparison_have_the_same_sample(engine: Engine, tmp_path: Path) -> None:
    ids = add_photos(engine, 5, status="cat")
    plans = shadow_plans(BulkTable(engine), tmp_path, ("current", "candidate"), 2, sample=3)
    assert [plan.facts.model for plan in plans] == ["current", "candidate"]
    planned, other = ([photo.photo_id for _, unit in plan.remaining() for photo in unit] for plan in plans)
    assert planned == other
    assert (len(planned), plans[1].facts.photos) == (3, 3)
    assert set(planned) < set(ids)


@_ON_SQLITE
@pytest.mark.parametrize("left", ["current/manifest/part", "candidate/manifest/part", "candidate"])
def test_a_comparison_that_was_killed_while_it_was_planned_is_planned_again(
    engine: Engine, tmp_path: Path, left: str
) -> None:
    add_photos(engine, 3, status="cat")
    table, models = BulkTable(engine), ("current", "candidate")
    if left.startswith("candidate"):
        shadow_plans(table, tmp_path, models, 2)
        shutil.rmtree(tmp_path / "candidate")
    if left.endswith("part"):
        (tmp_path / left).parent.mkdir(parents=True)
        (tmp_path / left).touch()
    plans = shadow_plans(table, tmp_path, models, 2)
    assert [plan.facts.photos for plan in plans] == [3, 3]
    assert not list(tmp_path.glob("*/manifest/part"))


def test_files_of_others_are_not_removed_for_a_plan(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    (tmp_path / "current/photo.jpg").touch()
    table = cast("BulkTable", SimpleNamespace(decided=lambda _: []))
    with pytest.raises(BulkError, match="exists already; give the plan another name"):
        shadow_plans(table, tmp_path, ("current", "candidate"), 2)
    assert (tmp_path / "current/photo.jpg").exists()


@_ON_SQLITE
def test_photos_that_both_models_have_judged_are_compared(engine: Engine, tmp_path: Path) -> None:
    first, second, deleted, unreadable = add_photos(engine, 4, status="cat", human_verdict="cat")
    table = BulkTable(engine)
    plans = shadow_plans(table, tmp_path, ("current", "candidate"), 3)
    for plan, verdict in zip(plans, ("cat", "not_cat"), strict=True):
        lost = "unreadable" if verdict == "not_cat" else verdict
        for unit, planned in list(plan.remaining()):
            ids = [photo.photo_id for photo in planned]
            plan.write(unit, [_result(id, lost if id == unreadable else verdict) for id in ids], {})
    with writing(engine) as connection:
        connection.execute(delete(photos).where(photos.c.id == deleted))
    results = [
        one and (one.photo.photo_id, one.photo.human_verdict, one.current.verdict, one.candidate.verdict)
        for one in compared(plans, table)
    ]
    assert results == [(first, "cat", "cat", "not_cat"), (second, "cat", "cat", "not_cat"), None, None]


def test_results_are_in_the_order_of_their_units(tmp_path: Path) -> None:
    """Engines finish units in any order, and a folder lists its files in any order."""
    plan = make_plan(tmp_path / "plan", _photos(9), "model", 1, TABLE)
    for unit in (4, 0, 7, 2, 8, 5, 1, 6, 3):
        plan.write(unit, [_result(unit, "cat")], {})
    assert [row["photo_id"] for rows in plan.results() for row in rows] == list(range(9))


def test_a_file_that_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "plan.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_twenty_of_many_flips_are_shown_and_all_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(tmp_path / "plan", _photos(26), "model", 26, TABLE)
    plan.write(0, [*(_result(number, "not_cat") for number in range(25)), _result(25, None)], {})
    show_flips(plan)
    shown = capsys.readouterr().out.splitlines()
    assert shown[:20] == [f"photo {number:>8}  cat -> not_cat 0.7500" for number in range(20)]
    assert shown[20:] == [
        "... and 5 more.",
        "26 photos checked: not_cat 25.",
        "  cat -> not_cat           25",
        "1 photo without a verdict; `bulk flips --csv` shows why.",
    ]


@pytest.mark.parametrize(("old_status", "lines"), [("cat", ["No verdict would change."]), (None, [])])
def test_a_plan_without_flips_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old_status: str | None, lines: list[str]
) -> None:
    """Photos of a folder have no verdict to compare with."""
    plan = make_plan(tmp_path / "plan", _photos(2), "model", 2, TABLE)
    plan.write(0, [{**_result(number, "cat"), "old_status": old_status} for number in range(2)], {})
    show_flips(plan)
    assert capsys.readouterr().out.splitlines() == ["2 photos checked: cat 2.", *lines]


def test_files_that_cannot_be_planned_are_named(tmp_path: Path) -> None:
    with pytest.raises(BulkError, match="missing is neither a folder nor an address such as s3://"):
        list(listed_files(f"{tmp_path}/missing"))
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"x")
    with pytest.raises(BulkError, match=r"\\xe9\.jpg: a plan can't hold a name that is not UTF-8\.$"):
        list(listed_files(str(tmp_path)))
    labelled = LabelledPhoto("cafe", "cat", dict, path=str(path))
    with pytest.raises(BulkError, match=r"\\xe9\.jpg: a plan can't hold a name that is not UTF-8\.$"):
        list(files([labelled]))


def test_a_file_that_vanishes_while_its_folder_is_listed_ends_no_plan(tmp_path: Path) -> None:
    """Its check will find no file; the others are checked."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(b"xyz")
    (tmp_path / "link.jpg").symlink_to("missing")
    planned = listed_files(str(tmp_path))
    photos = [next(planned)]
    (tmp_path / "b.jpg").unlink()
    photos += planned
    assert [(Path(photo.photo_key).name, photo.size_bytes) for photo in photos] == [
        ("a.jpg", 3), ("b.jpg", 0), ("c.jpg", 3), ("link.jpg", 0)
    ]  # fmt: skip
    labelled = LabelledPhoto("b", "cat", dict, path=str(tmp_path / "b.jpg"))
    assert [photo.size_bytes for photo in files([labelled])] == [0]


@pytest.mark.parametrize("planned", [True, False])
def test_a_missing_file_gets_no_verdict_while_its_folder_is_there(tmp_path: Path, *, planned: bool) -> None:
    folder = tmp_path / "planned"
    folder.mkdir()
    (folder / "other.jpg").touch()
    files = LooseFiles(
        cast("IsolatedDecoder", SimpleNamespace(renditions=dict)), planned * str(folder), fast=True
    )

    def refusal(path: Path) -> type[BaseException]:
        with pytest.raises(CheckerError) as error:
            files.get(Claim(1, "token", f"{path}", "", 1), Rendition.PHOTO)
        return error.type

    assert refusal(folder / "gone.jpg") is ObjectMissing
    assert refusal(folder / "gone" / "gone.jpg") is (ObjectMissing if planned else StoreUnavailable)
    (folder / "other.jpg").unlink()
    assert refusal(folder / "gone.jpg") is (StoreUnavailable if planned else ObjectMissing)
    folder.rmdir()
    assert refusal(folder / "gone.jpg") is StoreUnavailable


def test_only_a_photo_with_another_verdict_before_is_a_flip() -> None:
    flips = Flips()
    rows = [("cat", "cat"), (None, "cat"), ("not_cat", "cat"), ("cat", None)]
    are_flips = [flips.add({"old_status": old, "verdict": verdict}) for old, verdict in rows]
    assert are_flips == [False, False, True, False]
    assert (flips.photos, flips.without_verdict, flips.changes.total()) == (4, 1, 1)


def test_renditions_are_made_once_for_a_photo_and_again_after_a_failure() -> None:
    decoded: list[bytes] = []

    def make(data: bytes) -> dict[Rendition, bytes]:
        decoded.append(data)
        if data == b"broken":
            raise ValueError
        return dict.fromkeys(Rendition, data)

    renditions = _Renditions(make)
    for key in ("a", "b"):
        assert [renditions.get(key, rendition, str.encode) for rendition in Rendition] == [key.encode()] * 2
    for _ in range(2):
        with pytest.raises(ValueError):
            renditions.get("broken", Rendition.PHOTO, str.encode)
    assert renditions.get("b", Rendition.PHOTO, str.encode) == b"b"
    assert decoded == [b"a", b"b", b"broken", b"broken", b"b"]
