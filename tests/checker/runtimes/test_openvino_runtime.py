from __future__ import annotations

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from checker.errors import ClassifierFailed, ModelRefused
from checker.ports import Classifier
from checker.runtimes.openvino_runtime import OpenVinoClassifier
from checker.values import Pixels
from tests.support import openvino_variants as forms

ROOT = Path(__file__).resolve().parents[3]
TABBY_TO_EGYPTIAN = slice(281, 286)


@pytest.fixture
def classifier() -> OpenVinoClassifier:
    return OpenVinoClassifier(*forms.made("fp32"), workers=2)


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return np.stack(forms.views()[:11])


def test_it_says_what_torch_says(classifier: OpenVinoClassifier, pictures: Pixels) -> None:
    import torch

    from models.build import build

    way = forms.ENTRY.preprocessing
    normalised = (pictures / way.scale - np.array(way.mean)) / np.array(way.std)
    with torch.inference_mode():
        batch = torch.from_numpy(normalised.astype(np.float32)).permute(0, 3, 1, 2)
        features, logits = build(forms.ENTRY, forms.weights())(batch)

    said = classifier.run(pictures)

    np.testing.assert_allclose(said.logits, logits.numpy(), atol=1e-4 * float(logits.abs().max()))
    np.testing.assert_allclose(said.features, features.numpy(), atol=1e-4 * float(features.abs().max()))
    assert said.logits.dtype == said.features.dtype == np.float32


def test_a_cat_is_a_cat(classifier: OpenVinoClassifier, pictures: Pixels) -> None:
    chelsea = classifier.run(pictures[:1]).logits[0]

    assert chelsea.argmax() in range(1000)[TABBY_TO_EGYPTIAN]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_picture_gets_the_same_numbers_in_any_company(precision: str, pictures: Pixels) -> None:
    alone = OpenVinoClassifier(*forms.made(precision), workers=1)
    many = OpenVinoClassifier(*forms.made(precision), workers=3)
    expected = [alone.run(picture[np.newaxis]) for picture in pictures]

    together = many.run(pictures)
    pair_after_a_burst = many.run(pictures[:2])  # its pictures go to two streams
    with ThreadPoolExecutor(8) as pool:  # more threads than streams
        crowd = list(pool.map(lambda place: many.run(pictures[place : place + 3]), [*range(9)] * 4))

    for place, wanted in enumerate(expected):
        assert (together.logits[place] == wanted.logits[0]).all()
        assert (together.features[place] == wanted.features[0]).all()
    for place in (0, 1):
        assert (pair_after_a_burst.logits[place] == expected[place].logits[0]).all()
    for place, said in zip([*range(9)] * 4, crowd, strict=True):
        assert (
            said.logits == np.concatenate([wanted.logits for wanted in expected[place : place + 3]])
        ).all()


def test_it_is_a_classifier_and_says_who_it_is(classifier: OpenVinoClassifier) -> None:
    seam: Classifier = classifier

    assert (seam.model_info.runtime, seam.model_info.precision, seam.model_info.device) == (
        "openvino",
        "fp32",
        "cpu",
    )
    assert seam.model_info.weights_sha256 == forms.ENTRY.sha256
    assert seam.model_info.versions["openvino"]
    assert seam.input_px == forms.ENTRY.preprocessing.input_px
    assert seam.preprocessing == forms.ENTRY.preprocessing


def test_an_int8_network_has_weights_of_its_own() -> None:
    entry, manifest = forms.made("int8")

    model_info = OpenVinoClassifier(entry, manifest).model_info

    assert model_info.precision == "int8"
    assert model_info.weights_sha256 == manifest.bin_sha256 != entry.sha256


def test_pictures_of_another_size_are_refused_and_the_next_ones_are_not(
    classifier: OpenVinoClassifier, pictures: Pixels
) -> None:
    with pytest.raises(ClassifierFailed, match="failed on 3 pictures"):
        classifier.run(pictures[:3, :100])

    assert len(classifier.run(pictures[:3]).logits) == 3


@pytest.mark.parametrize("suffix", [".bin", ".xml"])
def test_files_that_are_not_what_the_card_says_are_refused(suffix: str, tmp_path: Path) -> None:
    entry, manifest = forms.made("fp32")
    for kind in (".xml", ".bin"):
        (tmp_path / f"net{kind}").write_bytes(manifest.path.with_suffix(kind).read_bytes())
    copy = dataclasses.replace(manifest, path=tmp_path / "net.xml")
    OpenVinoClassifier(entry, copy)
    altered = copy.path.with_suffix(suffix)
    altered.write_bytes(altered.read_bytes()[:-1] + b"?")

    with pytest.raises(ModelRefused, match="truncated or altered"):
        OpenVinoClassifier(entry, copy)
    altered.unlink()
    with pytest.raises(ModelRefused, match="truncated or altered"):
        OpenVinoClassifier(entry, copy)


_FIRST_CALLS = """
import sys, threading
from pathlib import Path
from checker.runtimes.openvino_runtime import OpenVinoClassifier
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


def test_first_calls_from_several_threads_do_not_wait_for_each_other_for_good() -> None:
    _entry, manifest = forms.made("fp32")
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-c", _FIRST_CALLS, str(manifest.path.parent)], cwd=ROOT, check=True, timeout=30
        )
