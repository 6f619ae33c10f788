"""Decoding on the GPU; without one, the same code with the CPU's decoder, as the recorded device shows."""

from __future__ import annotations

import dataclasses
import io
import re
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
from checker.pixels import nvjpeg, simd_jpeg
from checker.pixels.colour import srgb
from checker.pixels.decode import decode
from checker.runtimes.selection.select import load_checker
from checker.runtimes.selection.variants import RuntimeRequest
from models.catalogue import Preprocessing, entry_named, resolve

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ENTRY, WEIGHTS = resolve("efficientnet_lite0", Path())
LITE0 = ENTRY.preprocessing
RESNET = entry_named("resnet50").preprocessing
MAX_DIFFERENCE = 8


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchcodec", reason="torchcodec is not installed")
    monkeypatch.setattr(nvjpeg, "DEVICE", DEVICE)
    monkeypatch.setattr(simd_jpeg, "IS_INSTALLED", False)


@pytest.fixture
def host_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the format of each photo that the CPU decoded."""
    formats: list[str] = []
    host = srgb.to_rgb

    def recorded(image: Image.Image) -> Image.Image:
        formats.append(str(image.format))
        return host(image)

    monkeypatch.setattr("checker.pixels.decode.to_rgb", recorded)
    return formats


def photo(width: int, height: int) -> Image.Image:
    coffee = skimage.data.coffee()  # type: ignore[no-untyped-call]
    return Image.fromarray(coffee).resize((width, height), Image.Resampling.LANCZOS)


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("preprocessing", [LITE0, RESNET], ids=["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (320, 320), (2560, 1920), (60, 90)])
def test_pixels_are_close_to_the_hosts(
    preprocessing: Preprocessing,
    size: tuple[int, int],
    host_decoded: list[str],
    record_property: Callable[..., None],
) -> None:
    record_property("device", DEVICE)
    data = encoded(photo(*size), quality=88)
    expected = decode(data, preprocessing)
    host_decoded.clear()
    pixels = decode(data, dataclasses.replace(preprocessing, decoder="nvjpeg"))
    assert host_decoded == []
    assert (pixels.shape, pixels.dtype) == (expected.shape, expected.dtype)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= MAX_DIFFERENCE


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
        pytest.param(encoded(photo(500, 375), "PNG"), id="PNG"),
        pytest.param(encoded(photo(500, 375)) + b"more", id="bytes behind its end"),
    ],
)
def test_all_photos_except_plain_jpegs_are_decoded_by_the_host(data: bytes, host_decoded: list[str]) -> None:
    pixels = decode(data, dataclasses.replace(LITE0, decoder="nvjpeg"))
    assert len(host_decoded) == 1
    assert np.array_equal(pixels, decode(data, LITE0))


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["cut off", "cut off, with an end put on"])
def test_broken_photo_gives_the_hosts_result(end: bytes) -> None:
    data = encoded(photo(500, 375))
    data = data[: len(data) // 2] + end
    outcomes = []
    for decoder in ("cpu", "nvjpeg"):
        try:
            outcomes.append(decode(data, dataclasses.replace(LITE0, decoder=decoder)).mean().round(-1))
        except UnreadableImage as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_host_decodes_when_gpu_memory_is_exhausted(
    monkeypatch: pytest.MonkeyPatch, host_decoded: list[str]
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nvjpeg, "_cropped", full)
    data = encoded(photo(500, 375))
    assert np.array_equal(decode(data, dataclasses.replace(LITE0, decoder="nvjpeg")), decode(data, LITE0))
    assert host_decoded == ["JPEG", "JPEG"]


def test_each_decoder_has_its_own_profiles() -> None:
    keys = {ENTRY.preprocessing.key, ENTRY.decoded_by("nvjpeg").preprocessing.key}
    assert len(keys) == 2
    assert ENTRY.decoded_by("cpu").preprocessing.key == ENTRY.preprocessing.key


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("runtime", ["auto", "torch", "openvino"])
def test_decoder_is_refused_without_a_gpu(runtime: str, tmp_path: Path) -> None:
    request = RuntimeRequest("auto", runtime, "auto", 0.01, 0.01, (), tmp_path, decoder="nvjpeg")
    expected = (
        "on a GPU"
        if runtime == "openvino"
        else "Decoder nvjpeg needs a GPU and `pip install 'catloader[nvjpeg]'`."
    )
    with pytest.raises(ModelRefused, match=re.escape(expected)):
        load_checker([(ENTRY, WEIGHTS)], load_subject("house_cat"), request)
