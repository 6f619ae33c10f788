"""The torch runtime: the same bits whatever the batch, honest about where and how it ran."""

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

from checker.errors import ClassifierFailed, ModelRefused
from checker.pixels.decode import LIBRARIES, decode
from checker.runtimes import cuda_graphs
from checker.runtimes.load import load_classifier
from checker.runtimes.torch_runtime import PICTURES_PER_FORWARD, TorchClassifier
from checker.values import Pixels
from models.build import architecture, build
from models.catalogue import Entry, entry_named, resolve
from tests.support.fakes import photo

LITE0, LITE0_PATH = resolve("efficientnet_lite0", Path())


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return np.stack([decode(photo(number), LITE0.preprocessing) for number in range(9)])


def stand_in(forward: cuda_graphs.Forward, pixels: torch.Tensor) -> cuda_graphs.Replay:
    return lambda: forward(pixels)


def saved(folder: Path, *, broken: bool = False) -> tuple[Entry, Path]:
    """A ResNet-18 with random weights; ``broken``: one of them is no number."""
    torch.manual_seed(1)
    state = architecture("resnet18").state_dict()
    if broken:
        state["fc.bias"][7] = float("nan")
    path = folder / "net.pth"
    torch.save(state, path)
    return replace(entry_named("resnet18"), sha256=hashlib.sha256(path.read_bytes()).hexdigest()), path


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_every_batch_size_gives_the_same_bits(
    name: str, precision: str, pictures: Pixels, tmp_path: Path
) -> None:
    entry, path = (LITE0, LITE0_PATH) if name == "efficientnet_lite0" else saved(tmp_path)
    classifier = TorchClassifier(entry, path, device="cpu", precision=precision)
    whole = classifier.run(pictures)
    assert whole.logits.shape == (9, 1000)
    assert whole.features.shape == (9, 1280 if name == "efficientnet_lite0" else 512)
    assert whole.logits.dtype == whole.features.dtype == np.float32
    assert whole.inputs_per_forward == PICTURES_PER_FORWARD
    for start, stop in ((0, 1), (3, 4), (2, 5), (8, 9), (1, 9)):
        part = classifier.run(pictures[start:stop])
        assert np.array_equal(part.logits, whole.logits[start:stop])
        assert np.array_equal(part.features, whole.features[start:stop])


def test_every_thread_gives_the_same_bits(pictures: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    expected = classifier.run(pictures).logits
    together = threading.Barrier(4)

    def run(threads: int) -> bool:
        torch.set_num_threads(threads)  # of this thread: whatever it was, run() sets its own
        together.wait()
        same = np.array_equal(classifier.run(pictures).logits, expected)
        return same and torch.get_num_threads() == 1

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, [1, 2, 3, 4]))


def test_the_pixels_are_normalised_as_the_catalogue_says(pictures: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    way = LITE0.preprocessing
    network = build(LITE0, LITE0_PATH)
    by_hand = (pictures.astype(np.float64) / way.scale - way.mean) / way.std
    with torch.inference_mode():
        features, logits = network(torch.from_numpy(by_hand.astype(np.float32)).permute(0, 3, 1, 2))
    said = classifier.run(pictures)
    np.testing.assert_allclose(said.logits, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(said.features, features.numpy(), atol=1e-4)


def test_bf16_is_close_to_fp32(pictures: Pixels) -> None:
    exact = TorchClassifier(LITE0, LITE0_PATH, device="cpu").run(pictures).logits
    coarse = TorchClassifier(LITE0, LITE0_PATH, device="cpu", precision="bf16").run(pictures).logits
    assert 0 < np.abs(exact - coarse).max() < 0.5
    assert (exact.argmax(axis=1) == coarse.argmax(axis=1)).mean() > 0.7


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_the_stamp_says_what_really_ran(precision: str) -> None:
    model_info = load_classifier(
        LITE0, LITE0_PATH, device="cpu", runtime="torch", precision=precision
    ).model_info
    assert (model_info.model, model_info.weights_sha256) == ("efficientnet_lite0", LITE0.sha256)
    assert (model_info.runtime, model_info.device) == ("torch", "cpu")
    assert model_info.precision == ("fp32" if precision == "auto" else precision)
    assert dict(model_info.versions) == {
        name: importlib.metadata.version(name) for name in ("torch", *LIBRARIES)
    }


def test_a_digest_of_eight_digits_becomes_a_whole_one_in_the_stamp(tmp_path: Path) -> None:
    entry, path = saved(tmp_path)
    short = replace(entry, sha256=entry.sha256[:8])
    assert TorchClassifier(short, path, device="cpu").model_info.weights_sha256 == entry.sha256


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_cuda_is_refused_and_auto_runs_on_the_cpu() -> None:
    with pytest.raises(ModelRefused, match="finds no GPU here; auto or cpu would run"):
        load_classifier(LITE0, LITE0_PATH, device="cuda", runtime="torch")
    assert load_classifier(LITE0, LITE0_PATH, device="auto", runtime="torch").model_info.device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_a_gpu_agrees_with_the_cpu(precision: str, pictures: Pixels) -> None:
    expected = TorchClassifier(LITE0, LITE0_PATH, device="cpu").run(pictures).logits
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cuda", precision=precision)
    assert classifier.model_info.device.startswith("cuda:")
    assert np.abs(classifier.run(pictures).logits - expected).max() < 0.3


def test_recorded_passes_say_what_plain_ones_say(pictures: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, with a stand-in on the CPU where there is none."""
    monkeypatch.setattr(cuda_graphs, "_SIZES", (2, 16))
    seconds = iter([1.0, 2.0] * 2)  # the replay's, the plain pass's
    monkeypatch.setattr(cuda_graphs, "_median_s", lambda _: next(seconds))
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu", inputs_per_forward=0)
    plain = classifier.run(pictures)
    picture = torch.zeros(1, 224, 224, 3, dtype=torch.uint8)
    classifier._graphs = cuda_graphs.Graphs(classifier._on_device, picture, stand_in)
    assert classifier._graphs.sizes == (2, 16)
    recorded = classifier.run(pictures)
    assert recorded.logits.shape == (9, 1000)
    assert np.abs(recorded.logits - plain.logits).max() < 1e-4
    assert np.abs(recorded.features - plain.features).max() < 1e-4
    classifier.close()
    with pytest.raises(ClassifierFailed, match="closed"):
        classifier.run(pictures)


@pytest.mark.parametrize("precision", ["fp16", "int8", "nonsense"])
def test_a_precision_that_does_not_run_is_refused(precision: str) -> None:
    with pytest.raises(ModelRefused, match=precision):
        TorchClassifier(LITE0, LITE0_PATH, device="cpu", precision=precision)


def test_out_of_memory_is_the_classifiers_failure_not_a_crash() -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu", inputs_per_forward=0)
    one = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    # A view that claims 10**9 pictures: more than any address space holds as floats.
    endless = np.lib.stride_tricks.as_strided(one, (10**9, 224, 224, 3), (0, *one.strides[1:]))
    with pytest.raises(ClassifierFailed, match=r"failed on 1000000000 pictures: .*memory"):
        classifier.run(endless)


def test_numbers_that_are_none_never_become_a_verdict(pictures: Pixels, tmp_path: Path) -> None:
    classifier = TorchClassifier(*saved(tmp_path, broken=True), device="cpu")
    with pytest.raises(ClassifierFailed, match="no finite numbers"):
        classifier.run(pictures[:2])


def test_after_close_it_fails_cleanly(pictures: Pixels) -> None:
    classifier = TorchClassifier(LITE0, LITE0_PATH, device="cpu")
    classifier.close()
    classifier.close()
    with pytest.raises(ClassifierFailed):
        classifier.run(pictures[:2])
