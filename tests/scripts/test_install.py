"""scripts/install chooses torch's index by the machine and prints it, and checks other packages' hashes."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.run_folder import made_once
from tests.support.wheels import PackageIndex, locked, make_wheel

ROOT = Path(__file__).resolve().parents[2]
CUDA = "nvidia_fake"
PINS = re.findall(
    r"^(torch\w*)==([\d.]+)", (ROOT / "requirements-torch.txt").read_text("utf-8"), re.MULTILINE
)


class Checkout:
    """A folder with scripts/install and small lock files, an environment, and two package indexes."""

    def __init__(self, folder: Path, index: PackageIndex) -> None:
        self.folder = folder
        self.index = index
        self.variables = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": index.url("plain"),
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
            "TORCH_CPU_INDEX": index.url("cpu"),
        }

    def install(self, file: str = "requirements.txt", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["scripts/install", file],
            cwd=self.folder,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> dict[str, str]:
        (packages,) = (self.folder / ".venv/lib").glob("python3*/site-packages")
        names = (path.name.removesuffix(".dist-info") for path in packages.glob("*.dist-info"))
        return {
            name: version for name, _, version in (name.partition("-") for name in names) if name != "pip"
        }

    def add_program(self, name: str, text: str) -> None:
        program = self.folder / "bin" / name
        program.write_text(text, "utf-8")
        program.chmod(0o755)


@pytest.fixture(scope="module")
def environment() -> Path:
    """A virtual environment with only pip, as scripts/install creates it."""
    return made_once("environment-with-pip", _make_environment) / ".venv"


def _make_environment(folder: Path) -> None:
    for name in ("requirements-torch.txt", "requirements.txt"):
        (folder / name).touch()
    variables = os.environ | {"PYTHON": sys.executable, "TORCH_INDEX": "default"}
    run = subprocess.run(
        [ROOT / "scripts/install", "requirements.txt"],
        cwd=folder,
        env=variables,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.startswith("Making .venv with Python 3.")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    wheels = tmp_path / "index"
    for name, version in PINS:
        make_wheel(wheels / "cpu", name, f"{version}+cpu")
        make_wheel(wheels / "plain", name, version, [CUDA] if name == "torch" else [])
    make_wheel(wheels / "plain", CUDA, "13.0")
    make_wheel(wheels / "plain", "site_packages_of_ours", "1.0", ["torch"])
    make_wheel(wheels / "plain", "test_tool", "2.0", ["torchvision", "site_packages_of_ours"])
    index = PackageIndex(wheels)
    yield index
    index.close()


@pytest.fixture
def checkout(tmp_path: Path, environment: Path, index: PackageIndex) -> Checkout:
    if Path("/proc/driver/nvidia").exists() or Path("/dev/nvidia0").exists():
        pytest.skip("this machine has an NVIDIA GPU, so the choice is made already")
    folder = tmp_path / "checkout"
    for name in ("scripts", "bin"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts/install", folder / "scripts/install")
    shutil.copytree(environment, folder / ".venv", symlinks=True, ignore=shutil.ignore_patterns("pip"))
    (pip,) = environment.glob("lib/python3*/site-packages/pip")  # a thousand files
    (folder / ".venv" / pip.relative_to(environment)).symlink_to(pip)
    plain = index.root / "plain"
    lines = {path.name.split("-")[0]: locked(path) for path in plain.iterdir()}
    torch = "".join(lines[name] for name in [*(name for name, _ in PINS), CUDA])
    for name, text in {
        "requirements-torch.txt": torch,
        "requirements.txt": "-r requirements-torch.txt\n" + lines["site_packages_of_ours"],
        "requirements-dev.txt": lines["test_tool"],
    }.items():
        (folder / name).write_text(text, "utf-8")
    new_checkout = Checkout(folder, index)
    new_checkout.add_program(
        "nvidia-smi", "#!/bin/sh\nexit 9\n"
    )  # the driver is installed, but there is no GPU
    return new_checkout


FROM_CPU_INDEX = {name: f"{version}+cpu" for name, version in PINS}
FROM_PLAIN_INDEX = {**dict(PINS), CUDA: "13.0"}
OURS = {"site_packages_of_ours": "1.0"}


def _without_setuptools(installed: dict[str, str]) -> dict[str, str]:
    return {name: version for name, version in installed.items() if name != "setuptools"}


def test_without_a_gpu_torch_comes_from_the_cpu_index(checkout: Checkout) -> None:
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert f"No NVIDIA GPU: installing torch for CPUs from {checkout.index.url('cpu')}" in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS


def test_a_silent_cpu_index_is_replaced_by_the_plain_one_after_3_seconds(checkout: Checkout) -> None:
    checkout.index.silent.add("cpu")
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert (
        f"No answer from {checkout.index.url('cpu')} within 3 seconds: installing torch from pip's own index"
        in run.stdout
    )
    assert _without_setuptools(checkout.installed()) == FROM_PLAIN_INDEX | OURS


@pytest.mark.parametrize("why", ["refused", "without torchvision"])
def test_an_unusable_cpu_index_is_replaced_by_the_plain_one(checkout: Checkout, why: str) -> None:
    variables = {}
    if why == "refused":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            variables["TORCH_CPU_INDEX"] = f"http://127.0.0.1:{closed.getsockname()[1]}/cpu"
    else:
        next((checkout.index.root / "cpu").glob("torchvision-*")).unlink()
    run = checkout.install(**variables)
    assert run.returncode == 0, run.stderr
    assert "installing torch from pip's own index, with CUDA" in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_PLAIN_INDEX | OURS


def test_with_an_nvidia_gpu_torch_comes_from_the_plain_index(checkout: Checkout) -> None:
    checkout.add_program("nvidia-smi", "#!/bin/sh\necho 'NVIDIA-SMI: one GPU'\n")
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert "There is an NVIDIA GPU: installing torch with CUDA" in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_PLAIN_INDEX | OURS
    assert not any(path.startswith("/cpu/") for path in checkout.index.requests)


@pytest.mark.parametrize("installed", ["older", "missing"])
def test_an_interpreter_that_is_older_or_missing_is_refused(checkout: Checkout, installed: str) -> None:
    shutil.rmtree(checkout.folder / ".venv")
    if installed == "older":
        checkout.add_program("python3.10", "#!/bin/sh\nexit 1\n")
    run = checkout.install(PYTHON="python3.10")
    assert run.returncode == 1
    assert run.stderr == (
        "CatLoader needs Python 3.11 or newer; python3.10 is older or missing. "
        "Install one and name it: make run PYTHON=python3.12\n"
    )


def test_torch_index_overrides_the_choice(checkout: Checkout) -> None:
    (checkout.index.root / "cpu").rename(checkout.index.root / "mine")
    run = checkout.install(TORCH_INDEX=checkout.index.url("mine"))
    assert run.returncode == 0, run.stderr
    assert "from the index that TORCH_INDEX names" in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS


def test_torch_index_default_means_pips_own(checkout: Checkout) -> None:
    run = checkout.install(TORCH_INDEX="default")
    assert run.returncode == 0, run.stderr
    assert _without_setuptools(checkout.installed()) == FROM_PLAIN_INDEX | OURS


def test_torch_index_that_fails_is_not_replaced_by_another(checkout: Checkout) -> None:
    run = checkout.install(TORCH_INDEX=checkout.index.url("nothing"))
    assert run.returncode == 1
    assert "torch could not be installed; pip's messages are above." in run.stderr
    assert _without_setuptools(checkout.installed()) == {}


@pytest.fixture
def uv_calls(checkout: Checkout) -> Path:
    """A file with a line for each call of uv, which installs from the index and its own cache."""
    calls = checkout.folder / "calls"
    uv = Path(sys.executable).with_name("uv")
    checkout.add_program("uv", f'#!/bin/sh\necho "$@" >>{calls}\nexec {uv} "$@"\n')
    checkout.variables |= {
        "UV_DEFAULT_INDEX": checkout.index.url("plain"),
        "UV_CACHE_DIR": str(checkout.folder / "cache"),
    }
    return calls


def test_uv_installs_the_same_packages(checkout: Checkout, uv_calls: Path) -> None:
    del checkout.variables["PIP_INDEX_URL"]
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS
    torch, others = uv_calls.read_text("utf-8").splitlines()
    assert checkout.index.url("cpu") in torch
    assert "--index-url" not in others
    assert "--compile-bytecode" in others


def test_tools_of_the_tests_are_not_compiled(checkout: Checkout, uv_calls: Path) -> None:
    del checkout.variables["PIP_INDEX_URL"]
    checkout.install()
    run = checkout.install("requirements-dev.txt")
    assert run.returncode == 0, run.stderr
    assert "--compile-bytecode" not in uv_calls.read_text("utf-8").splitlines()[-1]


def test_settings_of_pip_are_obeyed(checkout: Checkout, uv_calls: Path) -> None:
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS
    assert not uv_calls.exists()


def test_pip_installs_what_uv_could_not(checkout: Checkout) -> None:
    del checkout.variables["PIP_INDEX_URL"]
    checkout.add_program("uv", "#!/bin/sh\nexit 2\n")
    run = checkout.install(PIP_FIND_LINKS=str(checkout.index.root / "plain"))
    assert run.returncode == 0, run.stderr
    assert "uv could not install this; trying pip ..." in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS


def test_additional_packages_install_no_cuda_libraries(checkout: Checkout) -> None:
    checkout.install()
    checkout.index.requests.clear()
    run = checkout.install("requirements-dev.txt")
    assert run.returncode == 0, run.stderr
    assert "torch" not in run.stdout
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS | {"test_tool": "2.0"}
    assert not any("torch" in path or CUDA in path for path in checkout.index.requests)


def test_package_with_another_hash_is_refused(checkout: Checkout) -> None:
    make_wheel(checkout.index.root / "plain", "site_packages_of_ours", "1.0", ["torch", "something-else"])
    run = checkout.install()
    assert run.returncode == 1
    assert "HASHES" in run.stderr
    assert "site_packages_of_ours" not in checkout.installed()


def test_newer_release_of_a_locked_package_is_not_installed(checkout: Checkout) -> None:
    """Even if another package requires the package with an extra, which pip 23 resolves without the lock."""
    plain = checkout.index.root / "plain"
    tool = make_wheel(plain, "test_tool", "2.0", ["site_packages_of_ours[more]>=1.0"])
    locked_packages = (checkout.folder / "requirements.txt").read_text("utf-8").partition("\n")[2]
    (checkout.folder / "requirements-dev.txt").write_text(locked_packages + locked(tool), "utf-8")
    make_wheel(plain, "site_packages_of_ours", "1.1")
    run = checkout.install("requirements-dev.txt")
    assert run.returncode == 0, run.stderr
    assert _without_setuptools(checkout.installed()) == FROM_CPU_INDEX | OURS | {"test_tool": "2.0"}
