"""A missing OpenVINO variant is made once, in the background, and takes over after its self-test."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from logging.handlers import BufferingHandler
from pathlib import Path

import pytest

from catloader.demo.client import until
from checker.decision.subject import load_subject
from checker.pipeline import LoadedModel
from checker.runtimes.selection.auto import Better
from checker.runtimes.selection.loader import ModelLoader
from checker.runtimes.selection.variants import RuntimeRequest
from models.catalogue import entry_named
from models.openvino_ir import manifests
from tests.checker.runtimes.selection.test_select import request_, request_in, write_profile
from tests.support import openvino_variants

ENTRY = openvino_variants.ENTRY
_ = request_  # the fixture


SENTENCE = "OpenVINO fp32 is faster than torch fp32, but is not made yet."


@pytest.fixture
def measured(request_: RuntimeRequest) -> RuntimeRequest:
    """A request for which torch and OpenVINO are measured in fp32; the files for OpenVINO are missing."""
    for runtime in ("torch", "openvino"):
        write_profile(request_, runtime, "fp32")
    return request_


@dataclass
class Made:
    """The results of two loaders that need the same missing variant at the same time."""

    right: ModelLoader
    """The loader whose profiles are those of ``measured``."""
    wrong: ModelLoader
    """The loader whose OpenVINO profile contains another score, which the self-test detects."""
    first_runtime: str
    why_at_first: str
    then: LoadedModel | None
    """The successor of the first model of ``right``."""
    then_wrong: LoadedModel | None
    request: RuntimeRequest
    written_ns: set[int]
    """All times at which a manifest was written."""
    log: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    request = request_in(tmp_path_factory.mktemp("right"))
    contrary = replace(request, profile_folders=(tmp_path_factory.mktemp("wrong"),))
    for one, score in ((request, None), (contrary, 0.1)):
        write_profile(one, "torch", "fp32")
        write_profile(one, "openvino", "fp32", golden_score=score)
    right, wrong = loader_of(request), loader_of(contrary)
    log, logger = BufferingHandler(1000), logging.getLogger("checker.runtimes.selection.loader")
    logger.addHandler(log)
    first = right.load()
    wrong.load()
    why_at_first = right.why_not_faster
    with ThreadPoolExecutor(2) as pool:
        successors = [pool.submit(loader.next) for loader in (right, wrong)]
        written_ns: set[int] = set()
        while not all(successor.done() for successor in successors):
            written_ns.update(_written_ns(request.weights_dir))
            time.sleep(0.02)
        written_ns.update(_written_ns(request.weights_dir))
        then, then_wrong = (successor.result() for successor in successors)
    logger.removeHandler(log)
    yield Made(
        right,
        wrong,
        first.classifier.model_info.runtime,
        why_at_first,
        then,
        then_wrong,
        request,
        written_ns,
        [record.getMessage() for record in log.buffer],
    )
    right.close()
    wrong.close()


def _written_ns(folder: Path) -> Iterator[int]:
    return (file.stat().st_mtime_ns for file in folder.glob("*.json"))


def loader_of(request: RuntimeRequest) -> ModelLoader:
    return ModelLoader(
        lambda: [(ENTRY, openvino_variants.weights())], lambda: load_subject("house_cat"), request
    )


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_the_missing_variant_is_made_and_replaces_the_current_one(made: Made) -> None:
    assert made.first_runtime == "torch"
    assert SENTENCE in made.why_at_first
    assert made.then is not None
    info = made.then.classifier.model_info
    assert (info.runtime, info.precision) == ("openvino", "fp32")
    assert SENTENCE not in made.right.why_not_faster
    assert sum(SENTENCE in line for line in made.log) == 2  # once for each loader
    assert made.right.next() is None  # no faster variant can be made


def test_a_variant_that_fails_its_self_test_does_not_replace_the_current_one(made: Made) -> None:
    assert made.then_wrong is None
    assert manifests(ENTRY, made.request.weights_dir, "fp32")
    assert "The self-test of profile" in made.wrong.why_not_faster
    assert made.wrong.next() is None


def test_loaders_in_several_processes_make_the_variant_once(made: Made) -> None:
    """Each loader starts its own process."""
    assert len(made.written_ns) == 1
    assert not [line for line in made.log if "could not be made" in line]


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


def test_no_variant_is_made_if_the_fastest_serves_or_another_one_was_requested(
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
    for _ in until(60, "The variant is not being made"):
        if loader._task is not None:
            break
    loader.close()
    thread.join(60)
    assert results == [None]
    assert not measured.weights_dir.exists() or not list(measured.weights_dir.iterdir())


def test_a_model_that_cannot_be_fetched_leaves_the_current_one_in_use(
    request_: RuntimeRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    monkeypatch.setenv("PATH", "")  # no npm
    loader = ModelLoader(
        lambda: [(ENTRY, openvino_variants.weights())],
        lambda: load_subject("house_cat"),
        request_,
        better=lambda: Better(entry_named("resnet50_v1"), fetch=True, optimise=None, runs_in_torch=True),
    )
    loader.load()
    with caplog.at_level(logging.INFO, "checker.runtimes.selection.loader"):
        assert loader.next() is None
        assert loader.next() is None  # not tried again
    fetching, failure = (record.message for record in caplog.records if record.levelno == logging.INFO)
    assert fetching == f"fetching resnet50_v1 (102 MB); meanwhile {ENTRY.name} checks"
    assert failure.startswith(f"{ENTRY.name} continues to check: ")
    assert "npm is not installed" in failure


def test_torch_checks_with_the_better_model_if_its_faster_variant_cannot_be_made(
    request_: RuntimeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    (tmp_path / "file").write_bytes(b"")
    current = [(replace(ENTRY, name="current"), openvino_variants.weights())]
    loader = ModelLoader(
        lambda: current,
        lambda: load_subject("house_cat"),
        replace(request_, weights_dir=tmp_path / "file" / "weights"),
        better=lambda: Better(ENTRY, fetch=False, optimise="fp32", runs_in_torch=True),
    )
    assert loader.load().classifier.model_info.model == "current"
    current[0] = (ENTRY, openvino_variants.weights())
    model = loader.next()
    assert model is not None
    assert (model.classifier.model_info.model, model.classifier.model_info.runtime) == (ENTRY.name, "torch")
    reason = f"{ENTRY.name} OpenVINO fp32 could not be made: "
    assert any(line.startswith(reason) for line in warnings(caplog))


def test_a_candidate_that_fails_gives_way_to_the_next_one(
    request_: RuntimeRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(request_, "torch", "fp32")
    (tmp_path / "resnet18").write_bytes(b"not the weights")
    candidates = [(entry_named("resnet18"), tmp_path / "resnet18"), (ENTRY, openvino_variants.weights())]
    loader = ModelLoader(lambda: candidates, lambda: load_subject("house_cat"), request_)
    assert loader.load().classifier.model_info.model == ENTRY.name
    reason = "resnet18 is not used: resnet18 (15 bytes) is not the resnet18"
    assert warnings(caplog)[0].startswith(reason)
    assert loader.why_not_faster.startswith(reason)  # so pages of state and the ready line give it too
