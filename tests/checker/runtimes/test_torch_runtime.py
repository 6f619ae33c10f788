"""The torch runtime: the same bits in every batch, and the device and precision that really ran."""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from checker.decision.orientation import orientation_version
from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels.decode import LIBRARIES, decode
from checker.runtimes import cuda_graphs
from checker.runtimes.selection.load import load_classifier
from checker.runtimes.torch_runtime import INPUTS_PER_FORWARD, TorchClassifier
from checker.values import Pixels
from models.build import architecture, build
from models.catalogue import Entry, entry_named, resolve
from models.processor import cpu_flags, instruction_sets, multiplies_bf16
from tests.support.fakes import photo

LITE0, LITE0_PATH = resolve("efficientnet_lite0", Path())


@pytest.fixture(scope="module")
def inputs() -> Pixels:
    return np.stack([decode(photo(number), LITE0.preprocessing) for number in range(9)])


def few_if_emulated(inputs: Pixels, precision: str) -> Pixels:
    """Return four inputs if this processor emulates the precision, which takes ten times the time."""
    return inputs[:4] if precision == "bf16" and not multiplies_bf16(cpu_flags()) else inputs


def stand_in(forward: cuda_graphs.Forward, inputs: torch.Tensor) -> cuda_graphs.Launch:
    return lambda: forward(inputs)


def random_resnet18(folder: Path, *, broken: bool = False) -> tuple[Entry, Path]:
    """Save a ResNet-18 with random weights; ``broken``: one of them is NaN."""
    torch.manual_seed(1)
    state = architecture("resnet18").state_dict()
    if broken:
        state["fc.bias"][7] = float("nan")
    path = folder / "model.pth"
    torch.save(state, path)
    return replace(entry_named("resnet18"), sha256=hashlib.sha256(path.read_bytes()).hexdigest()), path


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_every_batch_size_gives_the_same_bits(
    name: str, precision: str, inputs: Pixels, tmp_path: Path
) -> None:
    entry, path = (LITE0, LITE0_PATH) if name == "efficientnet_lite0" else random_resnet18(tmp_path)
    classifier = TorchClassifier(entry, path, device="cpu", precision=precision)
    inputs = few_if_emulated(inputs, precision)
    number, whole = len(inputs), classifier.run(inputs)
    assert whole.logits.shape == (number, 5, 1000)
    assert whole.features.shape == (number, 5, 1280 if name == "efficientnet_lite0" else 512)
    assert whole.logits.dtype == whole.features.dtype == np.float32
    assert whole.inputs_per_forward == INPUTS_PER_FORWARD
    for start, stop in {(0, 1), (3, 4), (2, 4), (number - 1, number), (1, number)}:
        part = classifier.run(inputs[start:stop])
        assert np.array_equal(part.logits, whole.logits[start:stop])
        assert np.array_equal(part.features, whole.features[start:stop])


@pytest.mark.slow
def test_every_thread_gives_the_same_bits(inputs: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    expected = classifier.run(inputs).logits
    together = threading.Barrier(4)

    def run(threads: int) -> bool:
        torch.set_num_threads(threads)  # of this thread: run() sets its own, whatever it was
        together.wait()
        same = np.array_equal(classifier.run(inputs).logits, expected)
        return same and torch.get_num_threads() == 1

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, [1, 2, 3, 4]))


def test_the_pixels_are_normalised_as_in_the_catalogue(inputs: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    preprocessing = LITE0.preprocessing
    model = build(LITE0, LITE0_PATH)
    normalised = (inputs.astype(np.float64) / preprocessing.scale - preprocessing.mean) / preprocessing.std
    with torch.inference_mode():
        features, logits = model(torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2))
    activations = classifier.run(inputs)
    np.testing.assert_allclose(activations.logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(activations.features, features.numpy(), atol=1e-4)


@pytest.mark.slow
def test_bf16_is_close_to_fp32(inputs: Pixels) -> None:
    inputs = few_if_emulated(inputs, "bf16")
    fp32 = TorchClassifier(LITE0, LITE0_PATH, device="cpu").run(inputs).logits
    bf16 = TorchClassifier(LITE0, LITE0_PATH, device="cpu", precision="bf16").run(inputs).logits
    assert 0 < np.abs(fp32 - bf16)[:, 0].max() < 0.5
    assert np.abs(fp32 - bf16).max() < 0.8, "a window averages fewer places"
    assert (fp32.argmax(axis=2) == bf16.argmax(axis=2)).mean() > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_model_info_names_what_really_ran(precision: str) -> None:
    model_info = load_classifier(
        LITE0, LITE0_PATH, device="cpu", runtime="torch", precision=precision
    ).model_info
    assert (model_info.model, model_info.weights_sha256) == ("efficientnet_lite0", LITE0.sha256)
    assert (model_info.runtime, model_info.device) == ("torch", "cpu")
    assert model_info.precision == ("fp32" if precision == "auto" else precision)
    libraries = {name: importlib.metadata.version(name) for name in ("torch", *LIBRARIES)}
    assert dict(model_info.versions) == {
        **libraries,
        "processor": instruction_sets(cpu_flags()),
        **orientation_version(LITE0.sha256),
    }


def test_model_info_has_the_whole_digest_where_the_catalogue_has_eight_digits(tmp_path: Path) -> None:
    entry, path = random_resnet18(tmp_path)
    short = replace(entry, sha256=entry.sha256[:8])
    assert TorchClassifier(short, path, device="cpu").model_info.weights_sha256 == entry.sha256


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_cuda_is_refused_and_auto_runs_on_the_cpu() -> None:
    with pytest.raises(ModelRefused, match="finds no GPU here; use auto or cpu"):
        load_classifier(LITE0, LITE0_PATH, device="cuda", runtime="torch")
    assert load_classifier(LITE0, LITE0_PATH, device="auto", runtime="torch").model_info.device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_a_gpu_agrees_with_the_cpu(precision: str, inputs: Pixels) -> None:
    expected = TorchClassifier(LITE0, LITE0_PATH, device="cpu").run(inputs).logits
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cuda", precision=precision)
    assert classifier.model_info.device.startswith("cuda:")
    assert np.abs(classifier.run(inputs).logits - expected).max() < 0.3


@pytest.mark.slow
def test_a_gpu_gets_few_sizes_of_batches(inputs: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new batch size costs seconds on a GPU. In this test the CPU runs the same batches."""
    passes: list[int] = []
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu", inputs_per_forward=0)
    forward = classifier._forward_on_device

    def recorded(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        passes.append(len(pixels))
        return forward(pixels)

    monkeypatch.setattr(classifier, "_forward_on_device", recorded)
    expected = classifier.run(inputs).logits
    for count in (1, 3, 4, 6, 7):
        logits = classifier.run(inputs[:count]).logits
        assert len(logits) == count
        assert np.abs(logits - expected[:count]).max() < 1e-4
    assert passes == [12, 3, 3, 6, 6, 12]
    many = np.zeros((250, 32, 32, 3), np.uint8)  # small, since only the number of inputs matters
    passes.clear()
    assert len(classifier.run(many).logits) == 250
    assert passes == [192, 96]


def test_recorded_passes_give_the_outputs_of_plain_ones(
    inputs: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fake on the CPU records passes as a GPU does; only the corners of the inputs are run."""
    inputs = np.ascontiguousarray(inputs[:, :64, :64])
    monkeypatch.setattr(cuda_graphs, "_SIZES", (3, 12))
    seconds = iter([1.0, 2.0] * 2)  # of the replay, of the plain pass
    monkeypatch.setattr(cuda_graphs, "_median_s", lambda _: next(seconds))
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu", inputs_per_forward=0)
    plain = classifier.run(inputs)
    blank = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    classifier._graphs = cuda_graphs.Graphs(classifier._forward_on_device, blank, stand_in)
    assert classifier._graphs.sizes == (3, 12)
    recorded = classifier.run(inputs)
    assert recorded.logits.shape == (9, 5, 1000)
    assert np.abs(recorded.logits - plain.logits).max() < 1e-4
    assert np.abs(recorded.features - plain.features).max() < 1e-4
    classifier.close()
    with pytest.raises(ClassifierFailed, match="closed"):
        classifier.run(inputs)


@pytest.mark.parametrize("precision", ["fp16", "int8", "nonsense"])
def test_a_precision_that_torch_cannot_run_on_a_cpu_is_refused(precision: str) -> None:
    with pytest.raises(ModelRefused, match=precision):
        TorchClassifier(LITE0, LITE0_PATH, device="cpu", precision=precision)


def test_out_of_memory_raises_classifier_failed() -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu", inputs_per_forward=0)
    one = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    # A view of 10**7 x 10**7 pixels: more than any address space holds as floats.
    endless = np.lib.stride_tricks.as_strided(one, (3, 10**7, 10**7, 3), (0, 0, 0, one.strides[3]))
    with pytest.raises(ClassifierFailed, match=r"failed on 3 inputs: .*memory"):
        classifier.run(endless)


def test_outputs_that_are_not_finite_raise_classifier_failed(inputs: Pixels, tmp_path: Path) -> None:
    classifier = TorchClassifier(*random_resnet18(tmp_path, broken=True), device="cpu")
    with pytest.raises(ClassifierFailed, match="not finite"):
        classifier.run(inputs[:2])


def test_run_after_close_raises_classifier_failed(inputs: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    classifier.close()
    classifier.close()
    with pytest.raises(ClassifierFailed):
        classifier.run(inputs[:2])
