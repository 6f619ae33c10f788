"""``check run`` and ``files``, as an operator types them."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage
from click.testing import Result
from sqlalchemy import Engine, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import photos
from models.catalogue import entry_named
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


def test_photos_wait_while_the_self_test_fails(
    on_site: Run, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_site("check", "recheck", "--since", "2000-01-01")
    broken = broken_profile(tmp_path / "profiles")
    assert "self-test" in one_line(on_site("check", "run"))
    assert statuses(engine) == ["pending", "pending"]
    with reading(engine) as connection:
        assert set(connection.execute(select(photos.c.attempts)).scalars()) == {0}
    broken.unlink()
    (weights := tmp_path / "weights").mkdir()
    (weights / entry_named("resnet50_v1").file).write_bytes(b"truncated")
    monkeypatch.setattr(logging.root, "handlers", [])
    for owner, hook in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))  # restored at the end
    done = on_site("check", "run", CATLOADER_LOG_FORMAT="json", CATCHECK_MODEL="auto")
    logging.captureWarnings(False)
    assert json.loads(done.stdout)["message"] == "2 photos checked."
    (warning,) = (json.loads(line) for line in done.stderr.splitlines())
    assert warning["message"].startswith("resnet50_v1 is not used: ")
    assert statuses(engine) == ["cat", "not_cat"]
