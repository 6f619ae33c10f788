"""Write a bundle for machines without a network: `make bundle`.

The archive contains the wheels of the locked requirements, this checkout as a wheel, the weights that are on
disk, a digest of each file, and ``install``. The wheels fit machines with the same operating system,
processor family and Python version as this one.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import scripts  # noqa: F401 - first: finds the packages without an installation
from checker import __version__
from scripts.command_line import CannotRun, report_errors

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "scripts" / "bundle" / "install"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_TORCH_LINE = "-r requirements-torch.txt"
_ONLY_FOR_TORCH = re.compile(r"^(?:fsspec|mpmath|sympy)==.*\n(?:[ ].*\n)*", re.MULTILINE)
"""Packages of the locked requirements that only torch needs."""


@report_errors
def main() -> int:
    """Write the archive and print its name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build", help="Folder of the archive (default: build)."
    )
    parser.add_argument(
        "--torch",
        choices=["cpu", "default", "none"],
        default=_installed_torch(),
        help="torch for CPUs, torch from pip's own index with CUDA (5 GB), or none: photos are then checked "
        "with OpenVINO only, and verdicts can't be explained. Default: as in this environment.",
    )
    options = parser.parse_args()
    print(make_bundle(options.output, options.torch))
    return 0


def make_bundle(output: Path, torch: str) -> Path:
    """Collect the files and write the archive; return its path.

    Raises:
        CannotRun: this is not a clone, or pip failed.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"catloader-{__version__}-{sysconfig.get_platform()}-python{python}"
    tracked = tracked_files(ROOT)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as temporary:
        folder = Path(temporary) / name
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        with ThreadPoolExecutor(1) as thread:  # the download waits for the network most of the time
            project = thread.submit(_project_wheel, wheels, tracked)
            _download(wheels, torch)
            project.result()
        _copy_weights(folder / "weights")
        shutil.copy2(INSTALL, folder / "install")
        (folder / "python-version").write_text(f"{python}\n")
        write_digests(folder)
        archive = output / f"{name}.tar"  # wheels and weights are compressed already
        draft = archive.with_suffix(".part")
        with tarfile.open(draft, "w") as tar:
            tar.add(folder, arcname=name)
        draft.replace(archive)
    return archive


def _installed_torch() -> str:
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "none"
    return "cpu" if version.endswith("+cpu") else "default"


def _download(wheels: Path, torch: str) -> None:
    locked = (ROOT / "requirements.txt").read_text("utf-8").replace(f"\n{_TORCH_LINE}\n", "\n")
    if torch == "none":
        locked = _ONLY_FOR_TORCH.sub("", locked)
    # The lock files list all packages, with hashes that pip verifies.
    _pip("download", "--dest", wheels, "--requirement", "/dev/stdin", text=locked)
    if torch == "default":
        _pip("download", "--dest", wheels, "--requirement", ROOT / "requirements-torch.txt")
    elif torch == "cpu":
        text = (ROOT / "requirements-torch.txt").read_text("utf-8")
        pins = re.findall(r"^torch(?:vision|codec)?==[^ ]+", text, re.MULTILINE)
        _pip("download", "--dest", wheels, "--index-url", CPU_INDEX, *pins)


def tracked_files(checkout: Path) -> list[str]:
    """Return the files that git tracks: photos and data in the checkout are not among them.

    Raises:
        CannotRun: git is not installed, or tracks no file here.
    """
    command = ["git", "ls-files", "-z", "--cached"]
    try:
        done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        reason = "git is not installed"
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().partition("\n")[0]
    else:
        if files := done.stdout.split("\0")[:-1]:
            return files
        reason = "git tracks no file here"
    raise CannotRun(
        f"The bundle can be made only in a clone, because git lists the files to include: {reason}."
    )


def _project_wheel(wheels: Path, tracked: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)  # so that no build folder is left behind
        for file in tracked:
            if (ROOT / file).is_file():
                (source / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, source / file)
        _pip("wheel", "--no-build-isolation", "--wheel-dir", wheels, source)


def _copy_weights(target: Path) -> None:
    target.mkdir()
    for file in (ROOT / "models" / "weights").iterdir():
        if file.is_file() and file.suffix != ".md" and not file.name.startswith("."):
            shutil.copy2(file, target)


def write_digests(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files, in the format of ``sha256sum --check``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = []
    for path in files:
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), "utf-8")


def _pip(command: str, *words: object, text: str = "") -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", command, "--no-deps"]
    only_wheels = ["--only-binary", ":all:"] if command == "download" else []
    result = subprocess.run([*pip, *only_wheels, *map(str, words)], input=text, text=True, check=False)
    if result.returncode:
        raise CannotRun(
            "The bundle could not be made; pip's messages are above. pip keeps its downloads in its cache."
        )


if __name__ == "__main__":
    sys.exit(main())
