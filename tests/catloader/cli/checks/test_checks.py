"""``check run`` and ``files``, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from click.testing import Result
from sqlalchemy import Engine, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import photos
from tests.catloader.cli.results import broken_profile, one_line, statuses

Run = Callable[..., Result]


@pytest.mark.slow
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


def test_photos_wait_while_the_self_test_fails(on_site: Run, engine: Engine, tmp_path: Path) -> None:
    on_site("check", "recheck", "--since", "2000-01-01")
    broken = broken_profile(tmp_path / "profiles")
    assert "self-test" in one_line(on_site("check", "run"))
    assert statuses(engine) == ["pending", "pending"]
    with reading(engine) as connection:
        assert set(connection.execute(select(photos.c.attempts)).scalars()) == {0}
    broken.unlink()
    assert on_site("check", "run").output == "2 photos checked.\n"
    assert statuses(engine) == ["cat", "not_cat"]
