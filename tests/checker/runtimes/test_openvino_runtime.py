"""The OpenVINO runtime: outputs equal to torch's, the same bits in every batch, verified files."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from checker.decision.orientation import fitted_orientation, orientation_in
from checker.errors import ClassifierFailed, ModelRefused
from checker.isolation.limits import OwnMemory
from checker.ports import Classifier
from checker.runtimes.openvino_runtime import OpenVinoClassifier, _CompiledModel
from checker.values import Activations, Pixels
from models import openvino_ir
from models.catalogue import Entry
from models.openvino_ir import Manifest
from models.processor import cpu_flags, instruction_sets
from tests.support import openvino_variants

ROOT = Path(__file__).resolve().parents[3]
TABBY_TO_EGYPTIAN = slice(281, 286)


def variant(precision: str) -> tuple[Entry, Manifest]:
    """Return the shipped int8 variant, or a variant in another precision that is made for the tests."""
    if precision == "int8":
        return openvino_variants.ENTRY, openvino_ir.get(openvino_variants.ENTRY, openvino_ir.SHIPPED, "int8")
    return openvino_variants.made(precision)


@pytest.fixture
def classifier() -> OpenVinoClassifier:
    return OpenVinoClassifier(*openvino_variants.made("fp32"), workers=2)


@pytest.fixture(scope="module")
def inputs() -> Pixels:
    return np.stack(openvino_variants.crops()[:11])


def test_outputs_equal_those_of_torch(classifier: OpenVinoClassifier, inputs: Pixels) -> None:
    import torch

    from models.build import build

    preprocessing = openvino_variants.ENTRY.preprocessing
    normalised = (inputs / preprocessing.scale - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    with torch.inference_mode():
        batch = torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2)
        features, logits = build(openvino_variants.ENTRY, openvino_variants.weights())(batch)

    activations = classifier.run(inputs)

    np.testing.assert_allclose(activations.logits, logits.numpy(), atol=1e-4 * float(logits.abs().max()))
    np.testing.assert_allclose(
        activations.features, features.numpy(), atol=1e-4 * float(features.abs().max())
    )
    assert activations.logits.dtype == activations.features.dtype == np.float32


def test_a_cat_is_classified_as_a_cat(classifier: OpenVinoClassifier, inputs: Pixels) -> None:
    chelsea = classifier.run(inputs[:1]).logits[0, 0]

    assert chelsea.argmax() in range(1000)[TABBY_TO_EGYPTIAN]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_input_gets_the_same_outputs_in_any_batch_and_stream(precision: str, inputs: Pixels) -> None:
    one_stream = OpenVinoClassifier(*variant(precision), workers=1)
    three_streams = OpenVinoClassifier(*variant(precision), workers=3)
    expected = [one_stream.run(single[np.newaxis]) for single in inputs]

    batch = three_streams.run(inputs)
    pair_after_a_batch = three_streams.run(inputs[:2])  # spread over two streams
    starts = [*range(9)] * 4
    with ThreadPoolExecutor(8) as pool:  # more threads than streams
        parallel = list(pool.map(lambda start: three_streams.run(inputs[start : start + 3]), starts))

    for row, single in enumerate(expected):
        assert (batch.logits[row] == single.logits[0]).all()
        assert (batch.features[row] == single.features[0]).all()
    for row in (0, 1):
        assert (pair_after_a_batch.logits[row] == expected[row].logits[0]).all()
    for start, result in zip(starts, parallel, strict=True):
        rows = np.concatenate([single.logits for single in expected[start : start + 3]])
        assert (result.logits == rows).all()


def test_an_idle_model_gives_memory_back_and_then_gives_the_same_outputs(inputs: Pixels) -> None:
    memory = OwnMemory()
    classifier = OpenVinoClassifier(*variant("int8"), workers=2, idle_s=1.0)

    def in_both_streams() -> list[Activations]:
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(classifier.run, [inputs] * 8))

    before = in_both_streams()
    busy = memory.resident_bytes()
    deadline = time.monotonic() + 20
    while memory.resident_bytes() > busy - 20e6:
        assert time.monotonic() < deadline, "memory was not given back"
        time.sleep(0.05)
    for one, other in zip(before, in_both_streams(), strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
        np.testing.assert_array_equal(one.features, other.features)
    classifier.close()


def test_the_classifier_has_its_model_info(classifier: OpenVinoClassifier) -> None:
    port: Classifier = classifier

    assert (port.model_info.runtime, port.model_info.precision, port.model_info.device) == (
        "openvino",
        "fp32",
        "cpu",
    )
    assert port.model_info.weights_sha256 == openvino_variants.ENTRY.sha256
    assert port.model_info.versions["openvino"]
    assert port.model_info.versions["processor"] == instruction_sets(cpu_flags())
    assert port.preprocessing == openvino_variants.ENTRY.preprocessing


def test_an_int8_variant_has_its_own_weights_digest() -> None:
    entry, manifest = variant("int8")

    model_info = OpenVinoClassifier(entry, manifest).model_info

    assert model_info.precision == "int8"
    assert model_info.weights_sha256 == manifest.bin_sha256 != entry.sha256


def test_an_int8_variant_made_from_own_photos_has_the_orientation_of_its_source(tmp_path: Path) -> None:
    entry, shipped = variant("int8")
    for file in shipped.path.parent.glob(f"{shipped.path.stem}.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    other = tmp_path / shipped.path.with_suffix(".bin").name
    other.write_bytes(other.read_bytes() + bytes(64))  # as if it were quantised with other photos
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    own = dataclasses.replace(shipped, path=tmp_path / shipped.path.name, bin_sha256=digest)

    model_info = OpenVinoClassifier(entry, own).model_info

    assert model_info.weights_sha256 == digest
    orientation = fitted_orientation(entry.sha256)
    assert orientation is not None
    assert orientation_in(model_info.versions) is orientation


def test_a_batch_of_another_size_fails_and_the_next_one_runs(
    classifier: OpenVinoClassifier, inputs: Pixels
) -> None:
    with pytest.raises(ClassifierFailed, match="failed on 3 inputs"):
        classifier.run(inputs[:3, :100])

    assert len(classifier.run(inputs[:3]).logits) == 3


@pytest.mark.parametrize("suffix", [".bin", ".xml"])
def test_files_that_differ_from_the_manifest_are_refused(suffix: str, tmp_path: Path) -> None:
    entry, manifest = openvino_variants.made("fp32")
    for kind in (".xml", ".bin"):
        (tmp_path / f"model{kind}").write_bytes(manifest.path.with_suffix(kind).read_bytes())
    copy = dataclasses.replace(manifest, path=tmp_path / "model.xml")
    OpenVinoClassifier(entry, copy)
    altered = copy.path.with_suffix(suffix)
    altered.write_bytes(altered.read_bytes()[:-1] + b"?")

    with pytest.raises(ModelRefused, match="truncated or altered"):
        OpenVinoClassifier(entry, copy)
    altered.unlink()
    with pytest.raises(ModelRefused, match="truncated or altered"):
        OpenVinoClassifier(entry, copy)


def test_outputs_that_are_not_finite_raise_classifier_failed(tmp_path: Path, inputs: Pixels) -> None:
    entry, manifest = openvino_variants.made("fp32")
    data = bytearray(manifest.path.with_suffix(".bin").read_bytes())
    data[-4000:] = np.full(1000, np.nan, np.float32).tobytes()
    path = tmp_path / manifest.path.name
    path.write_bytes(manifest.path.read_bytes())
    path.with_suffix(".bin").write_bytes(data)
    broken = dataclasses.replace(manifest, path=path, bin_sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(ClassifierFailed, match="are not finite"):
        OpenVinoClassifier(entry, broken).run(inputs[:3])


_FIRST_CALLS = """
import sys, threading
from pathlib import Path
from checker.runtimes.openvino_runtime import OpenVinoClassifier, _CompiledModel
from models.catalogue import entry_named
from models.openvino_ir import get
entry = entry_named("efficientnet_lite0")
classifier = OpenVinoClassifier(entry, get(entry, Path(sys.argv[1]), "fp32"), workers=4)
import openvino
together = threading.Barrier(4)
sys.setswitchinterval(1e-6)  # the GIL changes hands wherever it can
def first():
    together.wait()
    openvino.Type.u8.to_dtype()  # as every inference does
threads = [threading.Thread(target=first) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_first_calls_from_several_threads_do_not_deadlock() -> None:
    _entry, manifest = openvino_variants.made("fp32")
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-c", _FIRST_CALLS, str(manifest.path.parent)], cwd=ROOT, check=True, timeout=120
        )


def test_a_closed_model_raises_classifier_failed(classifier: OpenVinoClassifier, inputs: Pixels) -> None:
    classifier.run(inputs[:1])
    classifier.close()
    with pytest.raises(ClassifierFailed, match="closed"):
        classifier.run(inputs[:1])


_CONVERTER_AFTER_SERVING = """
import sys
from pathlib import Path
from checker.runtimes.openvino_runtime import OpenVinoClassifier, _CompiledModel
from models.catalogue import entry_named
from models.openvino_ir import get
entry = entry_named("efficientnet_lite0")
OpenVinoClassifier(entry, get(entry, Path(sys.argv[1]), "fp32"))
assert "openvino.tools.ovc" not in sys.modules
from openvino.tools.ovc import convert_model
"""


def test_serving_imports_no_converter_and_leaves_it_importable() -> None:
    _entry, manifest = openvino_variants.made("fp32")
    command = [sys.executable, "-c", _CONVERTER_AFTER_SERVING, str(manifest.path.parent)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)


class _Lost:
    """A fake of OpenVINO's compiled model and its request, on a device that is lost."""

    def create_infer_request(self) -> _Lost:
        return self

    def start_async(self, inputs: list[Pixels], *, share_inputs: bool) -> None:
        pass

    def infer(self, inputs: list[Pixels], *, share_inputs: bool) -> None:
        raise RuntimeError("lost")

    def wait(self) -> None:
        raise RuntimeError("lost")


def test_requests_that_fail_can_be_used_again(inputs: Pixels) -> None:
    model = _CompiledModel(_Lost(), 2)
    for _ in range(3):  # a request that is not returned would be waited for
        with pytest.raises(RuntimeError, match="lost"):
            model.infer(inputs, spread=True)
    assert model._free_requests.qsize() == 2


def test_a_signal_arrives_after_another_thread_has_released_a_model() -> None:
    """As at a takeover. With a ``Core`` for each model, the first thread kept an unmapped signal stack."""
    code = """
import gc, signal, threading
from checker.runtimes.openvino_runtime import OpenVinoClassifier
from models import openvino_ir
from tests.support.openvino_variants import ENTRY

def made():
    return OpenVinoClassifier(ENTRY, openvino_ir.get(ENTRY, openvino_ir.SHIPPED, "int8"))

def take_over():
    models.append(made())
    models.pop(0).close()
    gc.collect()

models = [made()]
thread = threading.Thread(target=take_over)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("arrived", flush=True))
signal.raise_signal(signal.SIGTERM)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (0, "arrived\n"), done.stderr
