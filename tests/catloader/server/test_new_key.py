"""A site that is started with another data folder than before makes another key."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import settings_of
from tests.support.serving import registered, serving


@pytest.mark.slow
def test_a_start_that_makes_another_key_says_so(
    s3_server: EmbeddedS3, objects: ObjectStore, tmp_path: Path
) -> None:
    """As on a second machine, or in another folder: people would be logged out without a word in the log."""
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/site.sqlite3", **settings_of(s3_server, objects)}
    one, two = tmp_path / "one", tmp_path / "two"
    warning = "A new key is made now, so everybody must log in again."
    for folder, expected in ((one, False), (one, False), (two, True), (two, False)):
        folder.mkdir(exist_ok=True)
        with serving(folder, **settings) as site:
            registered(site.url)
            assert (warning in site.log) is expected, site.log
    key = {"CATLOADER_SECRET_KEY": (one / "secret-key").read_text()}
    three = tmp_path / "three"
    three.mkdir()
    with serving(three, **settings, **key) as site:
        assert warning not in site.log
