"""OpenVINO variants: made once, verified, and found by weights, preprocessing and precision."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from catloader.cli import main
from checker.evaluation.photos import CAT, NOT_CAT
from checker.runtimes.openvino_runtime import OpenVinoClassifier
from models import openvino_ir
from models.errors import OptimiseFailed, WeightsMissing, WeightsRefused
from models.optimise import _save, optimise
from tests.support import openvino_variants, refusing
from tests.support.photo_sets import PhotoSet

ROOT = Path(__file__).resolve().parents[2]


def test_variants_with_different_outputs_have_different_names() -> None:
    entry = openvino_variants.ENTRY
    preprocessing = dataclasses.replace(entry.preprocessing, resize_px=300)
    names = {
        openvino_ir.stem(entry, "a" * 64, "int8", "c" * 64),
        openvino_ir.stem(entry, "b" * 64, "int8", "c" * 64),
        openvino_ir.stem(entry, "a" * 64, "fp32", "c" * 64),
        openvino_ir.stem(entry, "a" * 64, "int8", "d" * 64),
        openvino_ir.stem(dataclasses.replace(entry, preprocessing=preprocessing), "a" * 64, "int8", "c" * 64),
    }

    assert len(names) == 5
    assert openvino_ir.stem(entry, "a" * 64, "int8", "c" * 64) in names


def test_the_command_makes_a_variant_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    entry, manifest = openvino_variants.made("fp32")
    for suffix in (".xml", ".bin", ".json"):
        shutil.copy(manifest.path.with_suffix(suffix), tmp_path)
    weights = tmp_path / manifest.path.with_suffix(".bin").name
    copied_ns, whole = weights.stat().st_mtime_ns, weights.read_bytes()

    assert _typed("models", "optimise", entry.name, weights_dir=tmp_path).endswith(
        f" {weights.parent}/{manifest.path.name}.\n"
    )
    assert weights.stat().st_mtime_ns == copied_ns

    weights.write_bytes(whole[:-100])
    _typed("models", "optimise", entry.name, weights_dir=tmp_path)
    assert weights.read_bytes() == whole
    (again,) = openvino_ir.manifests(entry, tmp_path, "fp32")
    assert again.bin_sha256 == manifest.bin_sha256
    openvino_ir.verify(again)


def _typed(*words: str, weights_dir: Path) -> str:
    done = CliRunner().invoke(main, words, env={"CATCHECK_WEIGHTS_DIR": str(weights_dir)})
    assert done.exit_code == 0, done.output
    return done.output


def test_only_the_three_files_remain() -> None:
    _, manifest = openvino_variants.made("bf16")

    assert {path.suffix for path in openvino_variants.folder("bf16").glob(f"{manifest.path.stem}*")} == {
        ".xml",
        ".bin",
        ".json",
    }
    assert not list(openvino_variants.folder("bf16").glob(".*"))


def test_bf16_is_half_the_size_and_int8_a_quarter() -> None:
    sizes = {
        precision: openvino_variants.made(precision)[1].path.with_suffix(".bin").stat().st_size
        for precision in openvino_ir.PRECISIONS
    }

    assert sizes["bf16"] == pytest.approx(sizes["fp32"] / 2, rel=0.05)
    assert sizes["int8"] == pytest.approx(sizes["fp32"] / 4, rel=0.1)


def test_int8_scores_are_near_those_of_fp32(photo_set: PhotoSet) -> None:
    from checker.pixels.decode import decode

    files = {label: photo_set.files(label) for label in (CAT, NOT_CAT)}
    labelled = [(file, label) for label, all_ in files.items() for file in all_[:: max(1, len(all_) // 40)]]
    pixels = np.stack(
        [decode(file.read_bytes(), openvino_variants.ENTRY.preprocessing) for file, _ in labelled]
    )
    is_cat = np.array([label == CAT for _, label in labelled])
    if (
        not photo_set.is_large
    ):  # mirrored photos are as good as other photos, since only two precisions are compared
        pixels, is_cat = np.concatenate([pixels, pixels[:, :, ::-1]]), np.tile(is_cat, 2)
    scores = {}
    for precision in ("fp32", "int8"):
        logits = OpenVinoClassifier(*openvino_variants.made(precision)).run(pixels).logits[:, 0]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores[precision] = shares[:, 281:286].sum(axis=1) / shares.sum(axis=1)

    assert np.abs(scores["int8"] - scores["fp32"]).mean() < 0.03
    for score in scores.values():
        wins = (score[is_cat][:, np.newaxis] > score[~is_cat]).mean()
        assert wins > 0.98


def test_an_int8_manifest_names_its_sources() -> None:
    _, manifest = openvino_variants.made("int8")

    assert manifest.made["calibration"]["photos"] == len(openvino_variants.crops())
    assert manifest.made["against_fp32"]["top1_agreement"] > 0.8
    assert "overflow fix" in manifest.made["quantisation"]
    assert set(manifest.made["versions"]) >= {"torch", "openvino", "nncf"}


@pytest.mark.parametrize(
    ("precision", "reason"),
    [("int8", r"50 calibration photos or more \(--photos FOLDER\); given: 3\."), ("fp16", "fp32, bf16")],
)
def test_a_variant_that_cannot_be_made_is_refused_with_the_reason(
    precision: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(OptimiseFailed, match=reason):
        optimise(
            openvino_variants.ENTRY,
            openvino_variants.weights(),
            tmp_path,
            precision,
            openvino_variants.crops()[:3],
        )
    assert not list(tmp_path.iterdir())


def test_a_variant_of_other_weights_or_preprocessing_is_not_listed() -> None:
    entry, manifest = openvino_variants.made("fp32")

    assert openvino_ir.manifests(entry, openvino_variants.folder("fp32"), "fp32") == [manifest]
    other_weights = dataclasses.replace(entry, sha256="0" * 64)
    assert openvino_ir.manifests(other_weights, openvino_variants.folder("fp32"), "fp32") == []
    preprocessing = dataclasses.replace(entry.preprocessing, mean=(0.0, 0.0, 0.0))
    assert (
        openvino_ir.manifests(
            dataclasses.replace(entry, preprocessing=preprocessing), openvino_variants.folder("fp32"), "fp32"
        )
        == []
    )


def test_the_newest_of_several_variants_is_used(tmp_path: Path) -> None:
    entry, manifest = openvino_variants.made("fp32")
    for day in ("02", "03", "01"):
        path = tmp_path / f"{entry.name}-fp32-{day}.xml"
        made = {"date": f"2026-01-{day}"}
        openvino_ir.write_manifest(dataclasses.replace(manifest, path=path, made=made))

    newest_first = openvino_ir.manifests(entry, tmp_path, "fp32")

    assert [manifest.made["date"] for manifest in newest_first] == ["2026-01-03", "2026-01-02", "2026-01-01"]
    assert openvino_ir.get(entry, tmp_path, "fp32") == newest_first[0]


def test_a_missing_variant_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsMissing, match=r"efficientnet_lite0 --precision fp32` makes it\. There is one in int8\.$"
    ):
        openvino_ir.get(openvino_variants.ENTRY, tmp_path, "fp32")


def test_no_command_is_named_for_a_precision_that_openvino_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"^OpenVINO runs fp32, bf16, int8 here, not fp16\.$"):
        openvino_ir.get(openvino_variants.ENTRY, tmp_path, "fp16")


def test_a_broken_manifest_is_refused_and_a_manifest_of_another_format_skipped(tmp_path: Path) -> None:
    entry, manifest = openvino_variants.made("fp32")
    path = tmp_path / f"{entry.name}-fp32-x.json"
    facts = json.loads(manifest.path.with_suffix(".json").read_text())

    path.write_text(json.dumps({**facts, "format": openvino_ir.FORMAT + 1}))
    assert openvino_ir.manifests(entry, tmp_path, "fp32") == []

    path.write_text("{")
    with pytest.raises(WeightsRefused, match="delete it"):
        openvino_ir.manifests(entry, tmp_path, "fp32")
    damaged: list[WeightsRefused] = []
    for suffix in (".json", ".xml", ".bin"):
        shutil.copy(manifest.path.with_suffix(suffix), tmp_path)
    (other,) = openvino_ir.manifests(entry, tmp_path, "fp32", damaged.append)
    assert (other.path.name, str(damaged[0])) == (
        manifest.path.name,
        f"{path} can't be read; delete it, and make the variant again.",
    )


_IMPORT_WITHOUT_NETWORK = """
import socket, sys
def refuse(*_): raise SystemExit("the network was used")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from models.convert import import_package
import_package("openvino"), import_package("nncf")
print("openvino_telemetry.main" in sys.modules)
"""


def test_openvino_and_nncf_do_not_use_the_network() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_WITHOUT_NETWORK],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout.strip() == "False"


def test_neither_torch_nor_openvino_is_imported_before_a_conversion() -> None:
    """A recipe needs none of these packages, and their import would take longer than its work."""
    imported = "import sys, models.optimise; print({'torch', 'openvino', 'nncf'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", imported], cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "set()"


def test_a_full_disk_leaves_no_part_of_a_variant(small_disk: Path) -> None:
    manifest = openvino_ir.Manifest("model", "fp32", "", "", "", "", {}, small_disk / "model-fp32.xml")

    def fill(xml: Path) -> None:
        xml.write_bytes(b"graph")
        xml.with_suffix(".bin").write_bytes(bytes(shutil.disk_usage(small_disk).free))

    def fail(_: Path) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")  # as OpenVINO does

    for write, reason in ((fill, "No space left on device"), (fail, "perhaps the disk is full")):
        with pytest.raises(OptimiseFailed, match=reason):
            _save(write, manifest)
        assert not list(small_disk.iterdir())


_MAKE_ALONE = """
import sys
from pathlib import Path
from models.optimise import _alone
with _alone(Path(sys.argv[1]) / "weights"):
    print("made")
"""


@pytest.mark.skipif(not refusing.SUPPORTED, reason="numbers of the system calls are not known here")
def test_a_file_system_without_locks_does_not_prevent_a_variant(tmp_path: Path) -> None:
    command = refusing.command([sys.executable, "-c", _MAKE_ALONE, str(tmp_path)], flock="ENOLCK")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("made\n", "")
