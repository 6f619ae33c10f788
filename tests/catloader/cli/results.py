"""Helpers for tests of commands: one-line errors, statuses of photos, a profile that fails its self-test."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import Result
from sqlalchemy import Engine, select

from catloader.store.db.engine import reading
from catloader.store.db.schema import photos


def one_line(result: Result) -> str:
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    return result.output


def statuses(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return sorted(connection.execute(select(photos.c.status)).scalars())


def broken_profile(folder: Path) -> Path:
    """Write a profile of Lite0 whose golden labels differ from those that the model returns."""
    shipped = Path("models/profiles/efficientnet_lite0-torch-fp32-house_cat.json")
    profile = json.loads(shipped.read_text())
    profile["golden"]["labels"]["photo"] = {"coffee mug": 0.9}
    folder.mkdir()
    (folder / "golden.jpg").write_bytes(shipped.with_name("golden.jpg").read_bytes())
    broken = folder / "broken.json"
    broken.write_text(json.dumps(profile))
    return broken
