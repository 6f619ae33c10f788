"""``catloader models calibrate``: reviewed photos make a profile, and the site uses it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from click.testing import CliRunner
from PIL import Image
from sqlalchemy import update

from catloader.checks.dispatch import Off
from catloader.cli import main
from catloader.cli.models.calibrate import warn_if_unusable
from catloader.intake.upload import Uploaded, upload
from catloader.server.database import migrated_database
from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.wiring import Services, build, load_classifier_and_rule
from checker.decision.operating_point import SHIPPED_PROFILES
from checker.decision.profile import load_profile
from checker.evaluation.fit import FEATURE_PENALTY
from tests.support import openvino_variants

ROOT = Path(__file__).resolve().parents[4]
OF_EACH = 50
VARIANT = ("--runtime", "openvino", "--precision", "fp32")
"""fp32, because int8 would also be measured in torch, which takes four times as long."""


def test_help_shows_the_default_penalty() -> None:
    output = CliRunner().invoke(main, ["models", "calibrate", "--help"]).output
    assert f"[default: {FEATURE_PENALTY:g}]" in " ".join(output.split())


def crops(name: str, seed: int) -> list[bytes]:
    """Return different crops of one of scikit-image's photos."""
    source = Image.fromarray(getattr(skimage.data, name)())
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(OF_EACH):
        side = int(min(source.size) * rng.uniform(0.7, 1.0))
        left = int(rng.integers(0, source.width - side + 1))
        top = int(rng.integers(0, source.height - side + 1))
        buffer = io.BytesIO()
        source.crop((left, top, left + side, top + side)).resize((160, 160)).save(buffer, "JPEG", quality=80)
        files.append(buffer.getvalue())
    return files


def uploaded(services: Services, files: list[bytes]) -> list[int]:
    """Upload the photos of one owner; return their ids."""
    owner = services.users.by_email("ada@example.org")
    assert owner is not None
    results = upload(
        [(f"{number}.jpg", data) for number, data in enumerate(files)],
        [],
        owner.id,
        settings=services.settings,
        prepare=services.decoders.prepare,
        photos=services.photos,
        objects=services.objects,
        dispatcher=Off(),
    )
    return [result.photo_id for result in results if isinstance(result, Uploaded)]


def review(services: Services, ids: list[int], verdict: str) -> None:
    values = {"human_verdict": verdict, "human_verdict_at": utcnow()}
    with writing(services.engine) as connection:
        connection.execute(update(photos).where(photos.c.id.in_(ids)).values(values))


COMMAND = ["models", "calibrate", "database", "--model", "efficientnet_lite0", *VARIANT]


def environ(data_dir: Path) -> dict[str, str]:
    return {
        "CATLOADER_DATA_DIR": str(data_dir),
        "CATLOADER_MIN_FREE_BYTES": "0",
        "CATCHECK_WEIGHTS_DIR": str(openvino_variants.folder("fp32")),
    }


def test_reviewed_photos_make_a_profile_and_the_site_uses_it(tmp_path: Path) -> None:
    openvino_variants.made("fp32")
    settings = Settings(data_dir=tmp_path, model="efficientnet_lite0", device="cpu", min_free_bytes=0)
    with migrated_database(settings, may_create=True), shared_or_own_object_store(settings) as with_s3:
        services = build(with_s3, checker=False)
        services.users.create("ada@example.org", "hash", utcnow())
        ids = {
            verdict: uploaded(services, crops(name, seed))
            for seed, (verdict, name) in enumerate((("cat", "chelsea"), ("not_cat", "coffee")))
        }
        assert [len(of_one) for of_one in ids.values()] == [OF_EACH, OF_EACH]
        for verdict, of_one in ids.items():
            review(services, of_one[:-1], verdict)
        too_few = CliRunner().invoke(main, COMMAND, env=environ(tmp_path), catch_exceptions=False)
        assert (too_few.exit_code, too_few.stderr.count("\n")) == (1, 1), too_few.stderr
        assert "at least 50 photos of either label are needed; there are 49 of cat" in too_few.stderr
        for verdict, of_one in ids.items():
            review(services, of_one[-1:], verdict)
        services.close()
    # No site is running: the command starts the embedded object store by itself.
    done = subprocess.run(
        [sys.executable, "-m", "catloader", *COMMAND],
        cwd=ROOT,
        env={**os.environ, **environ(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fp32 cannot use this profile: a maximum false positive rate of 0.01 is" in done.stderr
    assert "A site checks with another variant of the model if" in done.stderr
    classifier, rule = load_classifier_and_rule(
        settings.with_changes(
            runtime="openvino",
            precision="fp32",
            weights_dir=openvino_variants.folder("fp32"),
            max_false_positive_rate=0.05,
            max_false_negative_rate=0.05,
        )
    )
    classifier.close()
    assert rule.profile is not None
    assert rule.profile.folder == tmp_path / "profiles"
    assert done.stdout.splitlines().count(rule.profile_id) == 1, "the id of the profile is not printed once"
    assert rule.profile_id in done.stderr
    assert rule.profile.made["data"]["counts"] == {"cat": OF_EACH, "not_cat": OF_EACH}


def test_int8_that_loses_too_many_cats_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A site would refuse the profile; with few photos, one cat is already too many."""
    profile = load_profile(SHIPPED_PROFILES / "efficientnet_lite0-openvino-int8-house_cat.json")
    warn_if_unusable(profile, Settings())
    assert capsys.readouterr().err == ""
    warn_if_unusable(replace(profile, fp32_recall=dict.fromkeys(profile.fp32_recall, 1.0)), Settings())
    warning = capsys.readouterr().err
    assert "openvino int8 cannot use this profile: at a false positive rate of 0.01 int8 finds" in warning
    assert "photos wait" in warning


def test_a_site_that_never_started_is_refused_in_one_sentence(tmp_path: Path) -> None:
    refused = CliRunner().invoke(main, COMMAND, env=environ(tmp_path), catch_exceptions=False)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: There is no site in the database ")
    assert refused.stderr.count("\n") == 1
    CliRunner().invoke(main, ["db", "migrate"], env=environ(tmp_path), catch_exceptions=False)
    refused = CliRunner().invoke(main, COMMAND, env=environ(tmp_path), catch_exceptions=False)
    assert refused.stderr.startswith("Error: database: photos of both labels are needed, cat and not_cat")
    assert refused.stderr.count("\n") == 1


def test_folder_that_cannot_be_written_is_named_before_the_photos_are_measured(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(50):
            (tmp_path / label / f"{number}.jpg").write_text(f"{label} {number}, which no decoder reads")
    out = tmp_path / "cat/0.jpg/profiles"
    command = ["models", "calibrate", str(tmp_path), "--model", "efficientnet_lite0", "--out", str(out)]
    assert CliRunner().invoke(main, command).output == f"Error: {out} can't be used: Not a directory.\n"


def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = CliRunner().invoke(main, ["models", "calibrate", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == (
        "Error: Calibration needs the package scikit-learn: pip install 'catloader[calibrate]'.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "Error: nowhere: no such folder or file"),
        (["nowhere", "--model", "resnet1000"], "called 'resnet1000'; the models are "),
        (["nowhere", "--runtime", "openvino", "--precision", "fp16"], "openvino has no precision 'fp16'"),
    ],
)
def test_unusable_arguments_are_refused_in_one_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["models", "calibrate", *arguments])
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--fp32-run", "first"], "--fp32-run needs --from-run."),
        (["nowhere", "--penalty", "5"], "--penalty needs --fit-head."),
        (
            ["nowhere", "--fit-head", "--penalty", "nan"],
            "Invalid value for '--penalty': nan is not a finite ",
        ),
        (["nowhere", "--out", "here", "--shipped"], "Give either --out or --shipped."),
        (["nowhere", "--out", ""], "Invalid value for '--out': It is empty; `.` is the folder in which"),
    ],
)
def test_options_without_effect_are_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["models", "calibrate", *arguments])
    assert result.exit_code == 2
    assert message in result.output
