"""Decoding on the GPU. Where there is none, the same code runs with the CPU's decoder, and the ids say so."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from checker.decision.subject import load_subject
from checker.errors import ModelRefused, UnreadableImage
from checker.pixels import colour, nvjpeg, simd_jpeg
from checker.pixels.decode import decode
from checker.runtimes.select import load_checker
from checker.runtimes.variants import RuntimeRequest
from models.catalogue import Preprocessing, entry_named, resolve

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ENTRY, WEIGHTS = resolve("efficientnet_lite0", Path())
LITE0 = ENTRY.preprocessing
RESNET = entry_named("resnet50").preprocessing
MOST_OFF = 8


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchcodec", reason="torchcodec is not installed")
    monkeypatch.setattr(nvjpeg, "DEVICE", DEVICE)
    monkeypatch.setattr(simd_jpeg, "IS_INSTALLED", False)


@pytest.fixture
def by_the_host(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the format of each picture that the host decoded."""
    formats: list[str] = []
    host = colour.to_rgb

    def noted(image: Image.Image) -> Image.Image:
        formats.append(str(image.format))
        return host(image)

    monkeypatch.setattr("checker.pixels.decode.to_rgb", noted)
    return formats


def photo(width: int, height: int) -> Image.Image:
    coffee = skimage.data.coffee()  # type: ignore[no-untyped-call]
    return Image.fromarray(coffee).resize((width, height), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("way", [LITE0, RESNET], ids=["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (320, 320), (2560, 1920), (60, 90)])
def test_its_pixels_are_near_the_hosts(
    way: Preprocessing, size: tuple[int, int], by_the_host: list[str], record_property: Callable[..., None]
) -> None:
    record_property("device", DEVICE)
    data = encoded(photo(*size), quality=88)
    expected = decode(data, way)
    by_the_host.clear()
    pixels = decode(data, dataclasses.replace(way, decoder="nvjpeg"))
    assert by_the_host == []
    assert (pixels.shape, pixels.dtype) == (expected.shape, expected.dtype)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= MOST_OFF


def lying_on_its_side() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photo(500, 375), exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lying_on_its_side(), id="turned by EXIF"),
        pytest.param(encoded(photo(500, 375).convert("L")), id="gray"),
        pytest.param(encoded(photo(500, 375).convert("CMYK")), id="CMYK"),
        pytest.param(encoded(photo(500, 375), "PNG"), id="no JPEG"),
        pytest.param(encoded(photo(500, 375)) + b"more", id="with something behind its end"),
    ],
)
def test_what_is_no_plain_jpeg_is_decoded_by_the_host(data: bytes, by_the_host: list[str]) -> None:
    pixels = decode(data, dataclasses.replace(LITE0, decoder="nvjpeg"))
    assert len(by_the_host) == 1
    assert np.array_equal(pixels, decode(data, LITE0))


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["cut off", "cut off, with an end put on"])
def test_a_broken_photo_is_unreadable_as_it_is_on_the_host(end: bytes) -> None:
    data = encoded(photo(500, 375))
    data = data[: len(data) // 2] + end
    outcomes = []
    for decoder in ("cpu", "nvjpeg"):
        try:
            outcomes.append(decode(data, dataclasses.replace(LITE0, decoder=decoder)).mean().round(-1))
        except UnreadableImage as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_no_memory_left_on_the_gpu_means_the_host(
    monkeypatch: pytest.MonkeyPatch, by_the_host: list[str]
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nvjpeg, "_cropped", full)
    data = encoded(photo(500, 375))
    assert np.array_equal(decode(data, dataclasses.replace(LITE0, decoder="nvjpeg")), decode(data, LITE0))
    assert by_the_host == ["JPEG", "JPEG"]


def test_profiles_of_one_decoder_do_not_hold_for_the_other() -> None:
    keys = {ENTRY.preprocessing.key, ENTRY.decoded_by("nvjpeg").preprocessing.key}
    assert len(keys) == 2
    assert ENTRY.decoded_by("cpu").preprocessing.key == ENTRY.preprocessing.key


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("runtime", ["auto", "torch", "openvino"])
def test_without_a_gpu_it_is_refused_in_one_sentence(runtime: str, tmp_path: Path) -> None:
    asked = RuntimeRequest("auto", runtime, "auto", 0.01, 0.01, (), tmp_path, decoder="nvjpeg")
    expected = (
        "on a GPU" if runtime == "openvino" else "Decoder nvjpeg needs a GPU and `pip install torchcodec`."
    )
    with pytest.raises(ModelRefused, match=expected):
        load_checker(ENTRY, WEIGHTS, load_subject("house_cat"), asked)
