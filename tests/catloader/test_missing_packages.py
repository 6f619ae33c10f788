"""If a package of an extra is not installed, one sentence names the extra."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata

import pytest

from catloader.bulk.engines.ray_engine import import_ray
from catloader.bulk.manifest import parquet
from catloader.cli.models.calibrate import require_extra
from catloader.demo import photos
from catloader.errors import StartupError
from catloader.store.db.engine import make_engine
from catloader.store.s3 import seaweedfs
from checker.runtimes.openvino_import import import_openvino
from models.build import architecture
from models.convert import import_package

Use = Callable[[], object]


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("psycopg", "postgres", lambda: make_engine("postgresql+psycopg://u:hush@127.0.0.1:1/d")),
        ("pyarrow", "bulk", parquet),
        ("ray", "ray", import_ray),
        ("skimage", "demo", photos._shipped_folder),
        ("sklearn", "calibrate", require_extra),
        ("openvino", "openvino", import_openvino),
        ("nncf", "optimise", lambda: import_package("nncf")),
        ("torchvision", "torchvision", lambda: architecture("vit_b_16")),
    ],
)
def test_missing_package_is_named_with_its_extra(
    package: str, extra: str, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget(package, monkeypatch)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Exception, match="pip install") as raised:
        use()
    assert f"pip install 'catloader[{extra}]'" in str(raised.value)
    assert "hush" not in str(raised.value)
    assert "\n" not in str(raised.value)


def _forget(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)


def test_missing_weed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_package(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "files", no_package)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartupError, match=r"`weed`: pip install 'catloader\[s3-embedded\]'"):
        seaweedfs.find_program()
