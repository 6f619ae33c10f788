"""The bundle of `make bundle`, in a network namespace without any route."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import require

_ROOT = Path(__file__).resolve().parents[2]
_IN_THE_NAMESPACE = """
set -eu
ip link set lo up
no_routes() { "$PYTHON" -c '
names, values = [line.split() for line in open("/proc/net/snmp") if line.startswith("Ip:")]
print(dict(zip(names, values))["OutNoRoutes"])'; }
"$1"/install "$2"
"$2"/catloader demo
echo "connections tried: $(no_routes)"
"$PYTHON" -c 'import socket; socket.socket().connect_ex(("192.0.2.1", 80))'
echo "counted when one is tried: $(no_routes)"
"""


@pytest.mark.timeout(900)
def test_bundle_installs_and_checks_photos_without_a_network(tmp_path: Path) -> None:
    """The kernel counts packets without a route. The count must be 0 until the test sends a packet itself."""
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("only root may make a network namespace")
    make: list[str | Path] = [
        sys.executable,
        _ROOT / "scripts/make_bundle.py",
        "--torch",
        "none",
        "--output",
        tmp_path,
    ]
    made = subprocess.run(make, capture_output=True, text=True, check=False)
    require(made.returncode == 0, f"the bundle's packages can't be downloaded: {made.stderr[-500:]}")
    archive = Path(made.stdout.strip())
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    archive.unlink()
    wheels = {wheel.name.partition("-")[0] for wheel in (tmp_path / archive.stem / "wheels").iterdir()}
    assert {"catloader", "openvino", "networkx"} <= wheels
    assert not wheels & {"torch", "sympy", "mpmath", "fsspec"}, "torch alone needs them"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "PYTHON": sys.executable}
    words: list[str | Path] = [tmp_path / archive.stem, tmp_path / "site"]
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", _IN_THE_NAMESPACE, "sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 of 7 verdicts are right." in done.stdout
    assert "connections tried: 0\n" in done.stdout
    assert "counted when one is tried: 1\n" in done.stdout
