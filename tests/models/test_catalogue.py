"""The catalogue contains the publishers' facts, and finds weights without loading them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.catalogue import (
    CLASSES,
    class_names,
    default_weights_dir,
    entry_named,
    load_catalogue,
    resolve,
    weights_path,
)
from models.errors import UnknownModel, WeightsMissing

RESNETS = [name for name, entry in load_catalogue().items() if entry.source.startswith("torchvision ResNet")]


def test_every_resnet_is_listed() -> None:
    expected = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    expected += ["resnet50_v2", "resnet101_v2", "resnet152_v2"]
    assert expected == RESNETS


TORCHVISIONS = [name for name, entry in load_catalogue().items() if entry.source.startswith("torchvision ")]


@pytest.mark.parametrize("name", TORCHVISIONS)
def test_facts_equal_those_of_torchvisions_enums(name: str) -> None:
    import torchvision.models as tv

    entry = entry_named(name)
    weights = tv.get_model_weights(entry.architecture)[
        "IMAGENET1K_V2" if name.endswith("_v2") else "IMAGENET1K_V1"
    ]
    assert entry.url == weights.url
    assert entry.url is not None
    assert entry.file == entry.url.rsplit("/", 1)[1]
    assert entry.file == f"{entry.architecture}-{entry.sha256[:8]}.pth"
    assert abs(entry.bytes / 2**20 - weights.meta["_file_size"]) < 0.002
    assert entry.acc1 == weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert entry.source == f"torchvision {type(weights).__name__}.{weights.name}"
    assert list(class_names()) == weights.meta["categories"]
    transforms, preprocessing = weights.transforms(), entry.preprocessing
    assert [preprocessing.input_px] == transforms.crop_size
    assert [preprocessing.resize_px] == transforms.resize_size
    assert preprocessing.interpolation == transforms.interpolation.value
    assert list(preprocessing.mean) == transforms.mean
    assert list(preprocessing.std) == transforms.std
    assert preprocessing.scale == 255


def test_the_house_cats_are_classes_281_to_285() -> None:
    names = class_names()
    assert len(names) == CLASSES
    assert names[281:286] == ("tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat")


def test_auto_prefers_the_best_resnet_on_disk_and_v1_to_v2(tmp_path: Path) -> None:
    assert resolve("auto", tmp_path)[0].name == "efficientnet_lite0"
    for name in ("resnet152_v2", "resnet18", "resnet50_v1", "resnet50"):
        (tmp_path / entry_named(name).file).touch()
        assert resolve("auto", tmp_path)[0].name == name
    assert resolve("resnet18", tmp_path) == (
        entry_named("resnet18"),
        tmp_path / entry_named("resnet18").file,
    )


def test_a_partly_fetched_file_is_not_used(tmp_path: Path) -> None:
    entry = entry_named("resnet50")
    (tmp_path / f"{entry.file}.part").touch()
    assert weights_path(entry, tmp_path) is None
    assert resolve("auto", tmp_path)[0].name == "efficientnet_lite0"


def test_missing_weights_and_unknown_names_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="catloader models fetch resnet50"):
        resolve("resnet50", tmp_path)
    with pytest.raises(UnknownModel, match=r"resnet5.*the models are resnet18.*auto"):
        resolve("resnet5", tmp_path)


def test_the_default_weights_folder_is_next_to_a_checkout_and_otherwise_the_users(tmp_path: Path) -> None:
    assert default_weights_dir() == Path(__file__).resolve().parents[2] / "models" / "weights"
    assert default_weights_dir(tmp_path) == Path.home() / ".local/share/catloader/weights"


def test_a_user_without_a_home_gets_the_systems_weights_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)  # not in the password file
    assert default_weights_dir(tmp_path) == Path("/var/lib/catloader/weights")


def test_weights_are_found_without_importing_torch_or_their_package(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from models.catalogue import resolve; import models.digest;"
        f"entry, path = resolve('auto', pathlib.Path({str(tmp_path)!r}));"
        "assert models.digest.verify(entry, path) == entry.sha256;"
        "assert not {'torch', 'torchvision', entry.package} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
