"""``models shadow``, as an operator types it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from sqlalchemy import Engine, update

from catloader.store.db.engine import utcnow, writing
from catloader.store.db.schema import photos
from tests.catloader.cli.results import one_line, statuses
from tests.support.inverted_profile import inverted_profile

Run = Callable[..., Result]


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
    before = statuses(engine)
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
    assert statuses(engine) == before
    assert "no model called" in one_line(on_site("models", "shadow", "resnet5"))
    assert "not on disk" in one_line(on_site("models", "shadow", "resnet50"))
