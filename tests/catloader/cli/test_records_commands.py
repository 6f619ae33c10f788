"""``check verify|recheck`` and ``models shadow|promote|rollback``, as an operator types them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from click.testing import CliRunner, Result
from sqlalchemy import Engine, func, select, update

from catloader.checks.dispatch import Off
from catloader.checks.promotion import model_in_force
from catloader.cli import main
from catloader.intake.upload import upload
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import reading, utcnow, writing
from catloader.store.db.photos.photos import Photos
from catloader.store.db.schema import check_log, photos
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from checker.runtimes.processor import cpu_flags, instruction_sets
from models import openvino_ir
from models.catalogue import entry_named
from tests.support.copies import Copy, copy_of, fill_from
from tests.support.inverted_profile import inverted_profile
from tests.support.preparing import prepare_here

PHOTOS = ("chelsea.png", "coffee.png")
Run = Callable[..., Result]


@pytest.fixture
def typed(tmp_path: Path) -> Run:
    """Run a command on an empty data folder, with the default ``CATCHECK_MODEL``."""

    def run(*words: str, **environ: str) -> Result:
        env = {
            "CATLOADER_DATA_DIR": str(tmp_path),
            "CATLOADER_MIN_FREE_BYTES": "0",
            "CATCHECK_WEIGHTS_DIR": str(tmp_path / "weights"),
            "CATCHECK_DEVICE": "cpu",
            "CATCHECK_RUNTIME": "torch",
            "CATCHECK_PRECISION": "fp32",
            "CATCHECK_MODEL": "",
            **environ,
        }
        return CliRunner().invoke(main, words, env=env, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def copies() -> dict[str, Copy]:
    """The photos of the first site, on each kind of database."""
    return {}


@pytest.fixture
def where(engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore) -> dict[str, str]:
    """The settings of database and object store."""
    return {
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "CATLOADER_PHOTOS_BUCKET": objects.photos_bucket,
        "CATLOADER_THUMBNAILS_BUCKET": objects.thumbnails_bucket,
    }


@pytest.fixture
def on_site(
    typed: Run, where: dict[str, str], engine: Engine, objects: ObjectStore, copies: dict[str, Copy]
) -> Run:
    """Run a command on a site with two photos that `catloader check run` has checked."""

    def run(*words: str, **environ: str) -> Result:
        return typed(*words, **{**where, **environ})

    kind = engine.dialect.name
    if kind in copies:
        fill_from(copies[kind], engine, objects)
        return run
    pictures = Path(skimage.__file__).parent / "data"
    upload(
        [(name, (pictures / name).read_bytes()) for name in PHOTOS],
        [],
        Users(engine).create("ada@example.org", "hash", utcnow()).id,
        settings=Settings(min_free_bytes=0),
        prepare=prepare_here(),
        photos=Photos(engine),
        objects=objects,
        dispatcher=Off(),
    )
    assert run("check", "run").output == "2 photos checked.\n"
    copies[kind] = copy_of(engine, objects)
    return run


def _one_line(result: Result) -> str:
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    return result.output


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
    assert _statuses(engine) == ["cat", "not_cat"]
    everything = ("check", "recheck", "--since", "2000-01-01", "--dry-run")
    assert on_site(*everything, "--limit", "5").output.startswith("Would re-check 1 photo (")
    assert on_site(*words, "--limit", "1").output.startswith("Queued 1 photo for another check.")
    assert _statuses(engine) == ["cat", "pending"]
    assert on_site("check", "run").output == "1 photo checked.\n"
    assert _statuses(engine) == ["cat", "not_cat"]
    for option in ("--status", "--band"):
        assert on_site("check", "recheck", option, "unsure").output == "Queued 0 photos for another check.\n"


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


def test_shadow_lists_changed_verdicts_and_compares_them_with_people(
    on_site: Run, engine: Engine, tmp_path: Path
) -> None:
    rates = {"CATCHECK_MODEL": "efficientnet_lite0"}
    same = on_site("models", "shadow", "efficientnet_lite0", **rates)
    assert same.output == "2 photos compared: 0 would move towards cat, 0 away from it.\n"
    inverted_profile(tmp_path / "profiles")
    with writing(engine) as connection:
        human = {"human_verdict": "cat", "human_verdict_at": utcnow()}
        connection.execute(update(photos).where(photos.c.status == "cat").values(human))
    before = _statuses(engine)
    result = on_site("models", "shadow", "efficientnet_lite2", **rates)
    assert result.exit_code == 0
    cat, other, *summary = result.output.splitlines()
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
    assert _statuses(engine) == before
    assert "no model called" in _one_line(on_site("models", "shadow", "resnet5"))
    assert "not on disk" in _one_line(on_site("models", "shadow", "resnet50"))


def test_promote_and_rollback(typed: Run, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, weights_dir=tmp_path / "weights")
    assert "none to return to" in _one_line(typed("models", "rollback"))
    assert model_in_force(settings) == "auto"

    assert typed("models", "promote", "efficientnet_lite2").output.startswith(
        "efficientnet_lite2 is promoted (efficientnet_lite2, torch fp32, "
    )
    assert model_in_force(settings) == "efficientnet_lite2"
    assert re.search(r"^\* efficientnet_lite2", typed("models", "ls").output, re.MULTILINE)
    typed("models", "promote", "efficientnet_lite2")  # the second time, the previous model is still known
    kept = json.loads((tmp_path / "model.json").read_text())
    assert kept == {"current": "efficientnet_lite2", "previous": "auto"}

    output = typed("models", "rollback").output
    assert output.startswith("auto is back (efficientnet_lite0, ")
    assert "Running checkers take it within 15 seconds." in output
    assert re.search(r"^\* efficientnet_lite0", typed("models", "ls").output, re.MULTILINE)
    typed("models", "rollback")
    assert model_in_force(settings) == "efficientnet_lite2"


def test_explicit_model_wins_over_a_promotion(typed: Run, tmp_path: Path) -> None:
    output = typed("models", "promote", "efficientnet_lite2", CATCHECK_MODEL="efficientnet_lite0").output
    assert "CATCHECK_MODEL=efficientnet_lite0 is set and wins" in output
    ls = typed("models", "ls", CATCHECK_MODEL="efficientnet_lite0").output
    assert re.search(r"^\* efficientnet_lite0", ls, re.MULTILINE)


def test_list_names_the_measured_variants(typed: Run, tmp_path: Path) -> None:
    shown = typed("models", "ls", CATCHECK_RUNTIME="", CATCHECK_PRECISION="").output
    lite0 = next(line for line in shown.splitlines() if line.startswith("* efficientnet_lite0"))
    assert "yes; measured: openvino int8, " in lite0
    assert lite0.endswith(", torch fp32")
    kind = instruction_sets(cpu_flags())
    assert re.search(rf"^efficientnet_lite0 checks here as .* \(cpu, {kind}\)\.", shown, re.MULTILINE)
    assert "nothing measured" in typed("models", "ls", CATCHECK_SUBJECT="dog").output
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / entry_named("resnet50").file).write_bytes(b"not these")
    refused = next(line for line in typed("models", "ls").output.splitlines() if " resnet50 " in line)
    assert "refused: " in refused and "truncated, altered, or another file" in refused


def test_verify_shows_and_checks_every_digest(typed: Run, tmp_path: Path) -> None:
    (shipped,) = (
        manifest for manifest in openvino_ir.manifests(entry_named("efficientnet_lite0"), tmp_path, "int8")
    )
    lines = typed("models", "verify", "efficientnet_lite0").output.splitlines()
    assert [line.split() for line in lines] == [
        ["efficientnet_lite0", "ok", "sha256", entry_named("efficientnet_lite0").sha256[:16]],
        ["efficientnet_lite0", "openvino", "int8", "ok", "sha256", shipped.weights_sha256[:16]],
    ]
    weights = tmp_path / "weights"
    weights.mkdir()
    for part in (".xml", ".bin", ".json"):
        shutil.copy(shipped.path.with_suffix(part), weights)
    (weights / shipped.path.name).write_text("altered")
    broken = typed("models", "verify", "efficientnet_lite0")
    assert broken.exit_code == 1
    assert "openvino int8  refused" in broken.output
    assert "1 file does not match the catalogue" in broken.output


def test_files_are_checked_with_the_settings_of_the_site(typed: Run, tmp_path: Path) -> None:
    cat = str(Path(skimage.__file__).parent / "data" / "chelsea.png")
    done = typed(
        "check", "files", "--json", cat, CATCHECK_SUBJECT="feline", CATCHECK_MODEL="efficientnet_lite2"
    )
    row = json.loads(done.stdout)
    assert (row["subject"], row["model"], row["runtime"]) == ("feline", "efficientnet_lite2", "torch")
    assert json.loads(typed("check", "files", "--json", cat, "--subject", "dog").stdout)["subject"] == "dog"
    out = tmp_path / "why.png"
    assert typed("check", "files", "explain", cat, "-o", str(out), CATCHECK_SUBJECT="feline").exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    refused = typed("check", "files", cat, CATCHECK_MAX_FALSE_POSITIVE_RATE="0.0002")
    assert refused.exit_code == 2
    assert "0.0002" in refused.stderr


def test_model_that_cannot_serve_is_not_promoted(typed: Run, tmp_path: Path) -> None:
    assert "not on disk" in _one_line(typed("models", "promote", "resnet50"))
    assert "no model called" in _one_line(typed("models", "promote", "auto"))
    _broken_profile(tmp_path / "profiles")
    assert "self-test" in _one_line(typed("models", "promote", "efficientnet_lite0"))
    assert not (tmp_path / "model.json").exists()
    assert typed("models", "promote", "efficientnet_lite2").exit_code == 0
    # A rollback would return to the catalogue's choice, whose self-test fails.
    assert "self-test" in _one_line(typed("models", "rollback"))
    assert json.loads((tmp_path / "model.json").read_text())["current"] == "efficientnet_lite2"


def test_promoted_model_without_weights_is_named(typed: Run, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"current": "resnet50", "previous": "auto"}')
    refused = _one_line(typed("check", "verify", AWS_ENDPOINT_URL_S3="", DATABASE_URL=""))
    assert "promoted model resnet50 are not on disk" in refused
    assert "catloader models rollback" in refused
    (tmp_path / "model.json").write_text("{")
    assert "model.json can't be read" in _one_line(typed("models", "ls"))


def test_photos_wait_while_the_self_test_fails(on_site: Run, engine: Engine, tmp_path: Path) -> None:
    on_site("check", "recheck", "--since", "2000-01-01")
    broken = _broken_profile(tmp_path / "profiles")
    assert "self-test" in _one_line(on_site("check", "run"))
    assert _statuses(engine) == ["pending", "pending"]
    with reading(engine) as connection:
        assert set(connection.execute(select(photos.c.attempts)).scalars()) == {0}
    broken.unlink()
    assert on_site("check", "run").output == "2 photos checked.\n"
    assert _statuses(engine) == ["cat", "not_cat"]


def _broken_profile(folder: Path) -> Path:
    """Write a profile of Lite0 whose golden photo has other labels than the model returns."""
    shipped = Path("models/profiles/efficientnet_lite0-torch-fp32-house_cat.json")
    profile = json.loads(shipped.read_text())
    profile["golden"]["labels"]["photo"] = {"coffee mug": 0.9}
    folder.mkdir()
    (folder / "golden.jpg").write_bytes(shipped.with_name("golden.jpg").read_bytes())
    broken = folder / "broken.json"
    broken.write_text(json.dumps(profile))
    return broken


def _statuses(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return sorted(connection.execute(select(photos.c.status)).scalars())
