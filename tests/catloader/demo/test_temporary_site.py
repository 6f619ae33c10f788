"""The site of the demo, in a child process."""

from __future__ import annotations

from pathlib import Path

import pytest

from catloader.demo.temporary_site import temporary_site
from catloader.errors import StartupError


def test_the_site_imports_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "catloader.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    with temporary_site(data, fetch="neither on nor off") as site:  # the site refuses the setting and ends
        site.process.wait(60)
        with pytest.raises(StartupError, match="CATCHECK_FETCH"):
            site.must_run()
