"""Writing a plan's verdicts into the table, and photos that cannot be checked."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, update

from catloader.bulk.plan import Plan
from catloader.cli import main
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import check_log, photos
from catloader.store.kinds import ObjectKind
from catloader.wiring import build_object_store
from models.catalogue import entry_named
from tests.catloader.bulk.conftest import BulkSite
from tests.support.bombs import slow_tiff
from tests.support.copies import Copy, copy_of, fill_from
from tests.support.fakes import photo
from tests.support.inverted_profile import inverted_profile
from tests.support.object_stores import delete_object

_FIRST = 4


@pytest.fixture(scope="module")
def checked(make_site: Callable[[int], Any]) -> Copy:
    with make_site(_FIRST) as site:
        return copy_of(site.engine, build_object_store(site.settings))


@pytest.fixture
def site(make_site: Callable[[int], Any], checked: Copy) -> Iterator[BulkSite]:
    """A site for each test, whose photos were checked once for all tests."""
    with make_site(0) as site:
        fill_from(checked, site.engine, build_object_store(site.settings))
        yield site


def _set(site: BulkSite, id: int, **columns: Any) -> None:
    with writing(site.engine) as connection:
        connection.execute(update(photos).where(photos.c.id == id).values(columns))


def _statuses(site: BulkSite) -> dict[int, str]:
    return {row.id: row.status for row in site.rows(select(photos.c.id, photos.c.status))}


def _logged(site: BulkSite) -> int:
    return int(site.rows(select(func.count(check_log.c.id)))[0][0])


def test_apply_shows_flips_then_writes_photos_that_did_not_change_meanwhile(site: BulkSite) -> None:
    right = _statuses(site)
    for id in right:
        _set(site, id, status="unsure", score=0.3)
    _set(site, 4, human_verdict="cat", status="cat")
    output = site.type("bulk", "plan", "back", "--status", "unsure").output
    assert output.startswith("3 photos, ")
    for command in ("flips", "apply"):
        refused = CliRunner().invoke(main, ["bulk", command, "back"], env=site.environ)
        sentence = "Error: The plan back has no verdicts yet: `catloader bulk run back` makes them.\n"
        assert (refused.exit_code, refused.stderr) == (1, sentence)
    site.type("bulk", "run", "back")
    assert _statuses(site) == {1: "unsure", 2: "unsure", 3: "unsure", 4: "cat"}, (
        "the run wrote a verdict into the table"
    )
    # During the run a person decided on one photo, and another one was checked again.
    _set(site, 2, human_verdict="not_cat", status="not_cat")
    _set(site, 3, checked_at=utcnow())
    logged = _logged(site)

    declined = CliRunner().invoke(main, ["bulk", "apply", "back"], env=site.environ, input="n\n")
    assert (declined.exit_code, "Write these results into the table? [y/N]: n\n" in declined.output) == (
        1,
        True,
    )
    assert _statuses(site)[1] == "unsure"
    output = site.type("bulk", "apply", "back", "--yes").output
    assert f"photo        1  unsure 0.3000 -> {right[1]}" in output
    assert output.endswith(
        "1 result written into the table.\n"
        "2 photos have changed since the plan was made, perhaps because its results were written before, "
        "and were not written.\n"
    )
    assert _statuses(site) == {1: right[1], 2: "not_cat", 3: "unsure", 4: "cat"}
    assert _logged(site) == logged + 1
    again = site.type("bulk", "apply", "back", "--yes").output
    assert "0 results written into the table." in again, "the second command wrote results again"
    assert _logged(site) == logged + 1


def test_apply_keeps_a_verdict_that_a_person_has_confirmed(site: BulkSite) -> None:
    wrong = {"cat": "not_cat"}.get(_statuses(site)[1], "cat")
    _set(site, 1, status=wrong, checked_at=utcnow())
    site.type("bulk", "plan", "confirmed", "--since", "2020-01-01")
    site.type("bulk", "run", "confirmed")
    _set(site, 1, human_verdict=wrong)
    assert (
        "1 photo has changed since the plan was made"
        in site.type("bulk", "apply", "confirmed", "--yes").output
    )
    assert _statuses(site)[1] == wrong


def test_bulk_recheck_shows_changes_and_writes_them(site: BulkSite) -> None:
    right = _statuses(site)
    for id in right:
        _set(site, id, status="unsure", score=0.3)
    words = ("check", "recheck", "--status", "unsure", "--limit", "3", "--bulk", "again", "--yes")
    assert site.type(*words, "--dry-run").output.startswith("Would re-check 3 photos")
    (weights := site.folder / "weights").mkdir()
    (weights / entry_named("resnet50_v1").file).write_bytes(b"truncated")
    auto = {"CATCHECK_MODEL": "auto", "CATCHECK_RUNTIME": "torch", "CATCHECK_PRECISION": "fp32"}
    output = site.type(*words, **auto, CATCHECK_WEIGHTS_DIR=str(weights)).output
    assert output.startswith("3 photos planned. If this is interrupted, continue with ")
    assert f"photo        1  unsure 0.3000 -> {right[1]}" in output
    assert output.endswith("3 results written into the table.\n")
    assert _statuses(site) == {**right, 4: "unsure"}


def test_bulk_shadow_reports_like_shadow_and_again_without_a_model(site: BulkSite) -> None:
    _set(site, 1, human_verdict="cat", status="cat")
    rates = {"CATCHECK_RUNTIME": "torch", "CATCHECK_PRECISION": "fp32"}
    inverted_profile(site.folder / "profiles")
    plain = site.type("models", "shadow", "efficientnet_lite2", **rates).stdout
    assert plain.count("->") >= 3, "the changes of the photos and their totals"
    words = ("models", "shadow", "efficientnet_lite2", "--bulk", "beside")
    assert site.type(*words, **rates).output.endswith(plain)
    assert _statuses(site)[1] == "cat"
    # The plans are finished, so that no model is loaded: a missing device does not matter.
    assert site.type(*words, CATCHECK_DEVICE="cuda").output.endswith(plain)
    states = site.type("bulk", "status", "beside").output.splitlines()
    models = ("efficientnet_lite0", "efficientnet_lite2")
    assert [state.partition(" done, ")[2] for state in states] == [
        f"4 photos, {name}: done." for name in models
    ]
    with Plan(site.folder / "bulk/beside/candidate").running():
        output = site.type("bulk", "cancel", "beside").output
    assert output.endswith("; the same `catloader models shadow` continues it.\n")
    assert Plan(site.folder / "bulk/beside/candidate").cancelled


def test_photo_that_defeats_its_decoder_is_one_row_and_a_missing_one_keeps_its_verdict(
    site: BulkSite,
) -> None:
    slow, missing = site.add(slow_tiff(), photo(9))
    for id in (slow, missing):
        _set(site, id, status="cat", checked_at=utcnow())
    ((key,),) = site.rows(select(photos.c.photo_key).where(photos.c.id == missing))
    delete_object(build_object_store(site.settings), ObjectKind.PHOTO, key)
    before = _statuses(site)
    site.type("bulk", "plan", "trouble")
    site.type("bulk", "run", "trouble", CATLOADER_DECODE_CPU_S="1")
    path = site.folder / "trouble.csv"
    assert "6 results written" in site.type("bulk", "flips", "trouble", "--csv", str(path)).output
    rows = {int(row["photo_id"]): row for row in csv.DictReader(path.read_text().splitlines())}
    assert len(rows) == 6
    assert rows[slow]["verdict"] == "unreadable"
    assert rows[slow]["error"] == "Decoding this photo takes too long."
    assert (rows[missing]["verdict"], rows[missing]["error"]) == ("", "The photo is not in the store.")
    output = site.type("bulk", "apply", "trouble", "--yes").output
    assert "1 photo without a verdict" in output
    assert _statuses(site) == {**before, slow: "unreadable"}


def test_objects_of_a_prefix_are_checked_without_the_site(site: BulkSite, tmp_path: Path) -> None:
    store = build_object_store(site.settings)
    for number, name in enumerate(("=in/a.jpg", "=in/deep/b.jpg", "=in/text.txt", "out/c.jpg")):
        store.put(ObjectKind.PHOTO, name, b"no photo" if name.endswith("txt") else photo(number))
    bucket = site.settings.s3_photos_bucket
    folder = tmp_path / "loose"
    assert site.type("bulk", "plan", f"{folder}", "--from", f"s3://{bucket}/=in/").output.startswith(
        "3 photos"
    )
    site.type("bulk", "run", str(folder))
    path = tmp_path / "loose.csv"
    site.type("bulk", "flips", str(folder), "--csv", str(path))
    verdicts = {row["key"]: row["verdict"] for row in csv.DictReader(path.read_text().splitlines())}
    right = _statuses(site)  # photos 0 and 1 are also the first two of the site
    assert verdicts == {"'=in/a.jpg": right[1], "'=in/deep/b.jpg": right[2], "'=in/text.txt": "unreadable"}


def test_a_network_share_that_is_away_stops_the_run(
    site: BulkSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else here makes the kernel return this error."""
    loose, plan = tmp_path / "loose", tmp_path / "plan"
    loose.mkdir()
    (loose / "a.jpg").write_bytes(photo(0))
    site.type("bulk", "plan", str(plan), "--from", str(loose))

    def away(path: str, *options: Any, really: Callable[..., int] = os.open, **more: Any) -> int:
        if str(path).endswith("/a.jpg"):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
        return really(path, *options, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", away)
        stopped = CliRunner().invoke(main, ["bulk", "run", str(plan)], env=site.environ)
    assert stopped.exit_code == 1
    assert f"{loose}/a.jpg: The file can't be read: Stale file handle." in stopped.output
    assert site.type("bulk", "resume", str(plan)).output.startswith("1 of 1 unit done")


@pytest.mark.parametrize("empty", [False, True])
def test_a_network_share_that_is_not_mounted_stops_the_run(
    site: BulkSite, tmp_path: Path, *, empty: bool
) -> None:
    loose, plan, mounted = tmp_path / "loose", tmp_path / "plan", tmp_path / "mounted"
    loose.mkdir()
    (loose / "a.jpg").write_bytes(photo(0))
    site.type("bulk", "plan", str(plan), "--from", str(loose))
    loose.rename(mounted)
    if empty:
        loose.mkdir()  # as a mount point remains
    stopped = CliRunner().invoke(main, ["bulk", "run", str(plan)], env=site.environ)
    assert stopped.exit_code == 1
    assert f"The folder {loose} is missing or empty: is its network share mounted?" in stopped.output
    if empty:
        loose.rmdir()
    mounted.rename(loose)
    assert site.type("bulk", "resume", str(plan)).output.startswith("1 of 1 unit done")


def test_files_of_a_folder_are_checked_without_the_site(site: BulkSite, tmp_path: Path) -> None:
    loose, plan, path = tmp_path / "loose", tmp_path / "plan", tmp_path / "loose.csv"
    for number, name in enumerate(("a.jpg", "deep/b.jpg", "broken.jpg", "gone.jpg", "text.txt")):
        (loose / name).parent.mkdir(parents=True, exist_ok=True)
        (loose / name).write_bytes(photo(number) if number < 2 else b"no photo")
    assert site.type("bulk", "plan", str(plan), "--from", str(loose)).output.startswith("4 photos")
    (loose / "gone.jpg").unlink()
    site.type("bulk", "run", str(plan))
    shown = site.type("bulk", "flips", str(plan), "--csv", str(path)).output
    assert "1 photo without a verdict; `bulk flips --csv` shows why." in shown
    rows = list(csv.DictReader(path.read_text().splitlines()))
    right = _statuses(site)  # photos 0 and 1 are also the first two of the site
    assert {row["key"]: row["verdict"] for row in rows} == {
        f"{loose}/a.jpg": right[1],
        f"{loose}/deep/b.jpg": right[2],
        f"{loose}/broken.jpg": "unreadable",
        f"{loose}/gone.jpg": "",
    }
    (gone,) = (row for row in rows if row["key"].endswith("gone.jpg"))
    assert gone["error"] == "The file can't be read: No such file or directory."
    refused = CliRunner().invoke(main, ["bulk", "apply", str(plan), "--yes"], env=site.environ)
    assert (refused.exit_code, "These photos are not the site's;" in refused.output) == (2, True)
