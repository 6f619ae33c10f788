"""``install`` of a bundle refuses machines on which it cannot work."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from checker.evaluation.provenance import ROOT
from scripts.command_line import CannotRun
from scripts.make_bundle import INSTALL, tracked_files, write_digests


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle without packages, for the running version of Python."""
    folder = tmp_path / "bundle"
    for name in ("wheels", "weights"):
        (folder / name).mkdir(parents=True)
    (folder / "weights/net.bin").write_bytes(b"weights")
    (folder / "python-version").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n")
    (folder / "install").write_bytes(INSTALL.read_bytes())
    write_digests(folder)
    return folder


def _install(bundle: Path, target: Path) -> tuple[int, str]:
    command: list[str | Path] = ["sh", bundle / "install", target]
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_digests_are_those_that_sha256sum_checks(bundle: Path) -> None:
    line = f"{hashlib.sha256(b'weights').hexdigest()}  weights/net.bin"
    assert line in (bundle / "SHA256SUMS").read_text().splitlines()


def test_damaged_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "weights/net.bin").write_bytes(b"weight5")
    code, output = _install(bundle, tmp_path / "site")
    assert code == 1
    assert "weights/net.bin: FAILED" in output
    assert output.endswith("The bundle is damaged: copy it again.\n")
    assert not (tmp_path / "site").exists()


def test_other_python_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "python-version").write_text("3.99\n")
    write_digests(bundle)
    code, errors = _install(bundle, tmp_path / "site")
    assert (code, errors) == (
        1,
        f"This bundle needs Python 3.99; {sys.executable} is another version or missing. "
        "Name it: PYTHON=python3.99 ./install\n",
    )


def test_a_checkout_that_is_not_a_clone_is_refused_with_the_reason_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as an unpacked archive of the repository, or the clone of another user."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(CannotRun, match=r"only in a clone, .*: fatal: not a git repository"):
        tracked_files(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRun, match=r": git is not installed\.$"):
        tracked_files(ROOT)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a clone")
def test_the_files_of_a_clone_are_found() -> None:
    assert {"pyproject.toml", "scripts/bundle/install"} <= set(tracked_files(ROOT))
