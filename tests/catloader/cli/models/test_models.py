"""``models ls`` and ``verify``, as an operator types them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from models import openvino_ir
from models.catalogue import entry_named
from models.processor import cpu_flags, instruction_sets
from tests.support.bombs import slow_tiff

Run = Callable[..., Result]


@pytest.mark.slow
def test_list_names_the_measured_variants(typed: Run, tmp_path: Path) -> None:
    shown = typed("models", "ls", CATCHECK_RUNTIME="", CATCHECK_PRECISION="").output
    lite0 = next(line for line in shown.splitlines() if line.startswith("* efficientnet_lite0"))
    assert "yes; measured: openvino int8, " in lite0
    assert lite0.endswith(", torch fp32")
    rates = next(
        line for line in shown.splitlines() if line.startswith("    OpenVINO int8, for at most 1.0%: ")
    )
    assert re.search(
        r"house_cat found \d\d\.\d\d% of 14\d\d; called house_cat in error: dog \d\.\d\d% of 1347, ", rates
    )
    assert all(f"{kind} " in rates for kind in ("other animal", "thing or scene", "soft picture"))
    kind = instruction_sets(cpu_flags())
    assert re.search(rf"^efficientnet_lite0 checks here as .* \(cpu, {kind}\)\.", shown, re.MULTILINE)
    assert "nothing measured" in typed("models", "ls", CATCHECK_SUBJECT="dog").output
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / entry_named("resnet50").file).write_bytes(b"not these")
    refused = next(line for line in typed("models", "ls").output.splitlines() if " resnet50 " in line)
    assert "refused: " in refused and "truncated, altered, or another file" in refused


def test_optimise_refuses_photos_that_keep_a_decoder_busy(typed: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/slow.tif").write_bytes(slow_tiff(strips=200, blocks=20))
    arguments = ("efficientnet_lite0", "--precision", "int8", "--photos", tmp_path / "photos")
    shown = typed("models", "optimise", *arguments)
    assert f"{tmp_path}/photos/slow.tif: Decoding this photo takes too long.\n" in shown.output
    assert shown.exit_code == 1  # the folder has no other photos


def test_weights_folder_that_is_a_file_is_reported_in_one_sentence(typed: Run, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("")
    shown = typed("models", "optimise", "efficientnet_lite0")
    assert shown.output == f"Error: {tmp_path}/weights can't be used: File exists.\n"


def test_verify_shows_and_checks_every_digest(typed: Run, tmp_path: Path) -> None:
    (shipped,) = (
        manifest for manifest in openvino_ir.manifests(entry_named("efficientnet_lite0"), tmp_path, "int8")
    )
    lines = typed("models", "verify", "efficientnet_lite0").output.splitlines()
    assert [line.split() for line in lines] == [
        ["efficientnet_lite0", "ok", "sha256", entry_named("efficientnet_lite0").sha256[:16]],
        ["efficientnet_lite0", "openvino", "int8", "ok", "sha256", shipped.weights_sha256[:16]],
    ]
    weights = tmp_path / "weights"
    weights.mkdir()
    for part in (".xml", ".bin", ".json"):
        shutil.copy(shipped.path.with_suffix(part), weights)
    (weights / shipped.path.name).write_text("altered")
    broken = typed("models", "verify", "efficientnet_lite0")
    assert broken.exit_code == 1
    assert "openvino int8  refused" in broken.output
    assert "1 file does not match the catalogue" in broken.output
    (weights / "efficientnet_lite0-int8-0.json").write_text("{")
    assert "int8-0.json can't be read; delete it" in typed("models", "verify").output
    assert "2 files do not match the catalogue" in typed("models", "verify").output


@pytest.mark.slow
def test_all_commands_use_the_next_model_if_the_weights_of_the_best_are_damaged(
    typed: Run, tmp_path: Path
) -> None:
    (weights := tmp_path / "weights").mkdir()
    (weights / entry_named("resnet50_v1").file).write_bytes(b"truncated")
    auto = {"CATCHECK_MODEL": "auto", "CATCHECK_RUNTIME": "", "CATCHECK_PRECISION": ""}
    reason = "resnet50_v1 is not used: "
    listed = typed("models", "ls", **auto).output
    assert "\n* efficientnet_lite0" in listed
    assert "\nefficientnet_lite0 checks here as " in listed and reason in listed.splitlines()[-1]
    examined = typed("doctor", **auto).output
    assert re.search(r"ok +variant +efficientnet_lite0 checks with ", examined)
    assert re.search(rf"note +faster variants +{reason}", examined)
    photo = Path("models/profiles/golden.jpg").resolve()
    checked = typed("check", "files", "--json", str(photo), **auto)
    assert checked.exit_code == 0
    assert '"model": "efficientnet_lite0"' in checked.stdout and reason in checked.stderr.splitlines()[-1]


def test_the_list_says_that_the_chosen_model_is_not_on_disk(typed: Run) -> None:
    last = typed("models", "ls", CATCHECK_MODEL="resnet18").output.splitlines()[-1]
    assert last == "The weights of resnet18 are not on disk; `catloader models fetch resnet18` gets them."


def test_photos_are_refused_for_variants_that_are_made_without_photos(typed: Run, tmp_path: Path) -> None:
    shown = typed("models", "optimise", "efficientnet_lite0", "--photos", str(tmp_path))
    assert (shown.exit_code, "--photos needs --precision int8." in shown.stderr) == (2, True)


@pytest.mark.parametrize("option", ["--licence", "--source"])
@pytest.mark.parametrize("text", ["MIT\nand others", "\x1b[31m", "\udcff"])
def test_statements_about_weights_are_one_line(typed: Run, option: str, text: str) -> None:
    shown = typed("models", "import", "mine.pth", option, text)
    assert (shown.exit_code, "it must be one line without control characters." in shown.stderr) == (2, True)


@pytest.mark.slow
def test_an_empty_path_is_refused_and_errors_name_the_folder_of_a_dot(
    typed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed("models", "import", "").exit_code == 2
    (tmp_path / "package").mkdir()
    monkeypatch.chdir(tmp_path / "package")
    shown = typed("models", "import", ".")
    assert shown.stderr == "Error: package holds 0 files called model.json; one is needed.\n"
