"""Write the lock files from pyproject.toml: `make lock`, or `make lock UPGRADE=1` for newer versions.

All versions come from one resolution, so that any of the files can be installed in addition to another. torch
and the packages that are built against it are in a separate file, because scripts/install may install them
from another index.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.command_line import CannotRun, report_errors

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")

# Packages whose wheels fit only the torch of the same index, and the CUDA libraries that torch depends on.
BUILT_AGAINST_TORCH = re.compile(r"torch(vision|codec)?|triton|(cuda|nvidia)-.*")
TORCH_FILE = "requirements-torch.txt"
TORCH_HEADER = """\
# torch, what is built against it, and the CUDA libraries that the wheels of the plain index need.
# scripts/install takes the first group from PyTorch's index of CPU-only wheels where there is no NVIDIA GPU.
"""

_DEVELOPMENT = [
    f"--extra={name}"
    for name in ("quickstart", "bulk", "calibrate", "celery", "keras", "nvjpeg", "optimise", "ray")
]
# File -> its first line, and the part of pyproject.toml that it locks. The other files are installed in
# addition to the first and do not include it: on a machine with torch for CPUs, that would install the CUDA
# libraries.
BASE = "requirements.txt"
FILES = {
    BASE: ("Everything that `make run` and `make demo` need.", ["--extra=quickstart"]),
    "requirements-install.txt": (
        "What scripts/install installs the other files with.",
        ["--extra=quickstart", "--group=install"],
    ),
    "requirements-calibrate.txt": (
        "What `catloader models calibrate` needs on top of requirements.txt.",
        ["--extra=quickstart", "--extra=calibrate"],
    ),
    "requirements-bulk.txt": (
        "What `catloader bulk` needs, with Ray, on top of requirements.txt.",
        ["--extra=quickstart", "--extra=ray"],
    ),
    "requirements-celery.txt": (
        "What `CATCHECK_DISPATCH=celery` needs on top of requirements.txt.",
        ["--extra=quickstart", "--extra=celery"],
    ),
    "requirements-dev.txt": (
        "What `make test` needs on top of requirements.txt.",
        [*_DEVELOPMENT, "--group=dev"],
    ),
    "requirements-bench.txt": (
        "What the benchmarks compare with, and what makes int8 variants, on top of requirements.txt.",
        [*_DEVELOPMENT, "--group=bench"],
    ),
}
_MADE_BY = "# Made by `make lock` from pyproject.toml; do not edit.\n"


@report_errors
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--upgrade", action="store_true", help="use the newest versions, not those in the lock files"
    )
    upgrade = parser.parse_args().upgrade
    if not UV.exists():
        raise CannotRun("not installed here: uv. This installs it: pip install -r requirements-dev.txt")
    with tempfile.TemporaryDirectory() as folder:
        versions = Path(folder) / "versions.txt"
        if not upgrade:  # uv keeps the versions that its output file already has
            locked = [ROOT / TORCH_FILE, *(ROOT / name for name in FILES)]
            versions.write_text("\n".join(_pins(path) for path in locked if path.exists()), "utf-8")
        _compile("--all-extras", "--group=dev", "--group=bench", "--output-file", str(versions))
        packages = {
            name: _packages(_compile(*options, "--generate-hashes", "--constraints", str(versions)))
            for name, (_, options) in FILES.items()
        }
    torch = {
        name: lines
        for locked in packages.values()
        for name, lines in locked.items()
        if BUILT_AGAINST_TORCH.fullmatch(name)
    }
    # torch and related packages come first: scripts/install reads their versions, and people look for them.
    ordered = sorted(torch, key=lambda name: (not name.startswith("torch"), name))
    (ROOT / TORCH_FILE).write_text(
        TORCH_HEADER + _MADE_BY + "".join(torch[name] for name in ordered), "utf-8"
    )
    for name, (purpose, _) in FILES.items():
        elsewhere = torch if name == BASE else torch | packages[BASE]
        pins = {package: lines for package, lines in packages[name].items() if package not in elsewhere}
        include = f"-r {TORCH_FILE}\n" if name == BASE else ""
        text = f"# {purpose}\n{_MADE_BY}{include}" + "".join(pins[package] for package in sorted(pins))
        (ROOT / name).write_text(text, "utf-8")
        print(f"{name}: {len(pins)} packages")
    print(f"{TORCH_FILE}: {len(torch)} packages")
    return 0


def _compile(*arguments: str) -> str:
    """Resolve for every platform and for Python 3.11 and newer, with one version of each package for all.

    Raises:
        CannotRun: uv found no versions, or reached no index.
    """
    command = [str(UV), "pip", "compile", "pyproject.toml", "--universal", "--python-version=3.11"]
    plain = ["--fork-strategy=fewest", "--no-header", "--no-annotate", "--quiet"]
    # The files must not contain an index, a link or a path of the machine on which they are made.
    neutral = ["--no-config", "--no-emit-package=catloader"]
    run = subprocess.run(
        [*command, *plain, *neutral, *arguments], cwd=ROOT, check=False, stdout=subprocess.PIPE
    )
    if run.returncode:
        raise CannotRun("uv found no versions; its messages are above.")
    return run.stdout.decode()


def _packages(text: str) -> dict[str, str]:
    """Return package -> its lines: the pin, and one line per hash."""
    return {
        block.partition("==")[0]: block for block in re.findall(r"^\S.*\n(?:[ \t].*\n)*", text, re.MULTILINE)
    }


def _pins(path: Path) -> str:
    return "\n".join(re.findall(r"^[\w.-]+==[^ ;\n]+", path.read_text("utf-8"), re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
