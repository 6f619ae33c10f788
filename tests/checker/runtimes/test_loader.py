"""A missing OpenVINO variant is made once, in the background, and takes over after its self-test."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from checker.decision.subject import load_subject
from checker.runtimes.auto import Better
from checker.runtimes.background import BackgroundTask
from checker.runtimes.loader import ModelLoader
from checker.runtimes.variants import RuntimeRequest
from models.catalogue import entry_named
from models.openvino_ir import manifests
from tests.checker.runtimes.test_select import add_openvino_variant, request_, write_profile
from tests.support import openvino_variants

ENTRY = openvino_variants.ENTRY
_ = request_  # the fixture


@pytest.fixture
def measured(request_: RuntimeRequest) -> RuntimeRequest:
    """A request for which torch and OpenVINO are measured in fp32; the second one's files are missing."""
    add_openvino_variant(request_, "fp32")
    for runtime in ("torch", "openvino"):
        write_profile(request_, runtime, "fp32")
    shutil.rmtree(request_.weights_dir)
    return request_


def loader_of(request: RuntimeRequest) -> ModelLoader:
    return ModelLoader(
        lambda: [(ENTRY, openvino_variants.weights())], lambda: load_subject("house_cat"), request
    )


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_the_missing_variant_is_made_and_takes_over(
    measured: RuntimeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    loader = loader_of(measured)
    first = loader.load()
    assert first.classifier.model_info.runtime == "torch"
    sentence = "OpenVINO fp32 is faster than torch fp32, but is not made yet."
    assert sentence in loader.why_not_faster

    second = loader.next()

    assert second is not None
    assert (second.classifier.model_info.runtime, second.classifier.model_info.precision) == (
        "openvino",
        "fp32",
    )
    assert sentence not in loader.why_not_faster
    assert sum(sentence in warning for warning in warnings(caplog)) == 1
    assert loader.next() is None  # nothing faster is left that can be made
    loader.close()


def test_a_variant_that_fails_its_self_test_does_not_take_over(measured: RuntimeRequest) -> None:
    add_openvino_variant(measured, "fp32")
    write_profile(measured, "openvino", "fp32", golden_score=0.1)
    shutil.rmtree(measured.weights_dir)
    loader = loader_of(measured)
    loader.load()

    assert loader.next() is None
    assert manifests(ENTRY, measured.weights_dir, "fp32")
    assert "The self-test of profile" in loader.why_not_faster
    assert loader.next() is None


def test_a_folder_that_cannot_be_written_is_one_line_in_the_log(
    measured: RuntimeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    loader = loader_of(replace(measured, weights_dir=tmp_path / "file" / "weights"))
    loader.load()
    before = len(warnings(caplog))

    assert loader.next() is None
    (reason,) = warnings(caplog)[before:]
    assert reason == loader.why_not_faster
    assert "could not be made: " in reason and "can't be used: Not a directory" in reason


def test_nothing_is_made_where_the_fastest_serves_or_another_one_was_asked_for(
    measured: RuntimeRequest,
) -> None:
    for request in (replace(measured, runtime="torch"), replace(measured, precision="bf16", runtime="torch")):
        loader = loader_of(request)
        loader.load()
        assert loader.next() is None
    assert not measured.weights_dir.exists()


def test_an_unmeasured_variant_never_replaces_a_measured_one(request_: RuntimeRequest) -> None:
    write_profile(request_, "torch", "fp32")
    loader = loader_of(request_)
    loader.load()
    assert loader.next() is None
    assert not request_.weights_dir.exists()


def test_closing_ends_the_child_and_leaves_no_files(measured: RuntimeRequest) -> None:
    loader = loader_of(measured)
    loader.load()
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(loader.next()))
    thread.start()
    while loader._task is None:
        time.sleep(0.01)
    loader.close()
    thread.join(30)
    assert results == [None]
    assert not measured.weights_dir.exists() or not list(measured.weights_dir.iterdir())


def test_several_processes_make_it_once(tmp_path: Path) -> None:
    makings = [BackgroundTask.optimise(ENTRY.name, "fp32", tmp_path) for _ in range(2)]
    reasons: list[str] = []
    waiting = [
        threading.Thread(target=lambda making=making: reasons.append(making.wait())) for making in makings
    ]
    for thread in waiting:
        thread.start()
    written_ns: set[int] = set()
    while any(thread.is_alive() for thread in waiting):
        written_ns.update(file.stat().st_mtime_ns for file in tmp_path.glob("*.json"))
        time.sleep(0.005)
    written_ns.update(file.stat().st_mtime_ns for file in tmp_path.glob("*.json"))
    assert reasons == ["", ""]
    assert len(written_ns) == 1
    for making in makings:
        making.close()


def test_a_model_that_cannot_be_fetched_leaves_the_one_that_checks(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    monkeypatch.setenv("PATH", "")  # no npm
    loader = ModelLoader(
        lambda: [(ENTRY, openvino_variants.weights())],
        lambda: load_subject("house_cat"),
        request_,
        better=lambda: Better(entry_named("resnet50_v1"), fetch=True, optimise=None),
    )
    loader.load()
    with caplog.at_level(logging.INFO, "checker.runtimes.loader"):
        assert loader.next() is None
        assert loader.next() is None  # not tried again
    fetching, failure = (record.message for record in caplog.records if record.levelno == logging.INFO)
    assert fetching == f"fetching resnet50_v1 (102 MB); meanwhile {ENTRY.name} checks"
    assert failure.startswith(f"{ENTRY.name} goes on checking: ")
    assert "npm is not installed" in failure


def test_a_candidate_that_may_not_check_gives_way_to_the_next_one(
    request_: RuntimeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    (tmp_path / "resnet18").write_bytes(b"not the weights")
    candidates = [(entry_named("resnet18"), tmp_path / "resnet18"), (ENTRY, openvino_variants.weights())]
    loader = ModelLoader(lambda: candidates, lambda: load_subject("house_cat"), request_)
    assert loader.load().classifier.model_info.model == ENTRY.name
    assert warnings(caplog)[0].startswith("resnet18 is not used: resnet18 (15 bytes) is not the resnet18")
