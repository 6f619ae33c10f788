"""The photos that people reviewed on a site make a profile, and the site serves by it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sqlalchemy import update

from catloader.checks.dispatch import Off
from catloader.intake.upload import Uploaded, upload
from catloader.server.database import migrated_database
from catloader.server.object_store import shared_or_own_object_store
from catloader.settings import Settings
from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from catloader.wiring import build, load_classifier_and_rule

ROOT = Path(__file__).resolve().parents[3]
OF_EACH = 50


def pieces(name: str, seed: int) -> list[bytes]:
    """Different crops of one of scikit-image's photos."""
    picture = Image.fromarray(getattr(skimage.data, name)())
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(OF_EACH):
        side = int(min(picture.size) * rng.uniform(0.7, 1.0))
        left = int(rng.integers(0, picture.width - side + 1))
        top = int(rng.integers(0, picture.height - side + 1))
        buffer = io.BytesIO()
        picture.crop((left, top, left + side, top + side)).resize((160, 160)).save(buffer, "JPEG", quality=80)
        found.append(buffer.getvalue())
    return found


def test_reviewed_photos_make_a_profile_and_the_site_serves_by_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, model="efficientnet_lite0", device="cpu", min_free_bytes=0)
    with migrated_database(settings), shared_or_own_object_store(settings) as with_s3:
        services = build(with_s3, checker=False)
        owner = services.users.create("ada@example.org", "hash", utcnow()).id
        for verdict, pictures in (("cat", pieces("chelsea", 1)), ("not_cat", pieces("coffee", 2))):
            files = [(f"{verdict}-{number}.jpg", data) for number, data in enumerate(pictures)]
            said = upload(
                files,
                [],
                owner,
                settings=settings,
                photos=services.photos,
                objects=services.objects,
                dispatcher=Off(),
                now=utcnow,
            )
            ids = [one.photo_id for one in said if isinstance(one, Uploaded)]
            assert len(ids) == OF_EACH
            with writing(services.engine) as connection:
                reviewed = {"human_verdict": verdict, "human_verdict_at": utcnow()}
                connection.execute(update(photos).where(photos.c.id.in_(ids[:-1])).values(reviewed))
        command = [sys.executable, "scripts/calibrate.py", "database", "--model", settings.model]
        environ = {"CATLOADER_DATA_DIR": str(tmp_path), "CATLOADER_MIN_FREE_BYTES": "0"}

        def calibrated() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, "--precision", "fp32"],
                cwd=ROOT,
                env={**os.environ, **environ},
                capture_output=True,
                text=True,
                check=False,
            )

        # One of each kind was reviewed by nobody: too few are left.
        early = calibrated()
        assert (early.returncode, early.stderr.count("\n")) == (2, 1), early.stderr
        assert "at least 50 photos of either label are needed" in early.stderr
        with writing(services.engine) as connection:
            for verdict, last in (("cat", OF_EACH), ("not_cat", 2 * OF_EACH)):
                reviewed = {"human_verdict": verdict, "human_verdict_at": utcnow()}
                connection.execute(update(photos).where(photos.c.id == last).values(reviewed))
        services.close()
    # Without a site, too: it starts the embedded S3 by itself.
    done = calibrated()
    assert done.returncode == 0, done.stderr
    assert "fp32 checks nothing by this profile: a maximum false positive rate of 0.01 is" in done.stderr
    assert "Another form of the network may" in done.stderr
    classifier, rule = load_classifier_and_rule(
        settings.with_changes(
            runtime="torch",
            precision="fp32",
            max_false_positive_rate=0.05,
            max_false_negative_rate=0.05,
        )
    )
    classifier.close()
    assert rule.profile is not None
    assert rule.profile.folder == tmp_path / "profiles"
    assert rule.profile.made["data"]["counts"] == {"cat": OF_EACH, "not_cat": OF_EACH}
