"""The embedded object store: SeaweedFS as a child process, on loopback ports."""

from __future__ import annotations

import fcntl
import json
import logging
import secrets
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from catloader.errors import SettingError, StartupError
from catloader.processes import start_child
from catloader.settings import kept_secret
from catloader.store.s3 import seaweedfs
from checker.log_limit import LogLimits
from checker.process.signal_names import signal_name

logger = logging.getLogger(__name__)

_START_S = 30.0
_RELEASE_S = 5.0
"""Maximum time for which a server that is being killed still holds the folder's lock."""
_RESTART_S = 0.5
_RETRY_S = 2.0
_PROBE_S = 1.0
_LOG_BYTES = 4 * 2**20
"""A longer log is emptied, because a server that crashes repeatedly would fill the disk."""
_HUNG_S = 10.0
"""A server that answers no probe for this long is killed and restarted, which loses no data."""


class EmbeddedS3:
    """Starts the server, restarts it on the same ports when it crashes, and stops it.

    The folder ``data_dir/s3`` contains its files, and the ports and keys that the first start chooses.
    """

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir.resolve() / "s3"
        self.log_file = self._dir / "weed.log"
        """Output of the server's starts and crashes; its verbose log is in the folder ``log`` next to it."""
        self._keys = self._dir / "keys.json"
        self.endpoint_url = self.access_key_id = self.secret_access_key = ""
        self._child: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._log_limits = LogLimits()
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._supervisor = threading.Thread(target=self._supervise, name="embedded-s3", daemon=True)

    def start(self) -> None:
        """Start the server and wait until it answers, which takes about a second.

        Raises:
            StartupError: the folder, the disk or the program is not usable.
        """
        self._weed = seaweedfs.find_program()
        seaweedfs.refuse_unusable_machine()
        seaweedfs.remove_abandoned_sockets()
        try:
            seaweedfs.refuse_root(self._keys)
            (self._dir / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
            self._dir.chmod(0o700)
            disk = shutil.disk_usage(self._dir)
            self._make_keys()
            self.log_file.unlink(missing_ok=True)
        except OSError as error:
            raise StartupError(
                f"The object store's folder {self._dir} is not usable: {error.strerror}."
            ) from error
        if disk.free < disk.total * seaweedfs.MIN_FREE:
            raise StartupError(
                f"The disk of {self._dir} is over 99 % full: the embedded S3 would store no photos."
            )
        self._supervisor.start()
        self._started.wait()
        if self._failure:
            self.stop()
            raise self._failure

    def poll(self) -> int | None:
        """Return the exit code of a server that is down; None while it runs."""
        return self._child.poll() if self._child else None

    def stop(self) -> None:
        """Stop the server and have the kernel write its files to disk; safe to call twice."""
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()

    def _make_keys(self) -> None:
        keys = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
        identity = {"name": "catloader", "credentials": [keys], "actions": ["Admin"]}
        try:
            stored = json.loads(kept_secret(self._keys, make=json.dumps({"identities": [identity]})))
            (keys,) = stored["identities"][0]["credentials"]
            self.access_key_id, self.secret_access_key = keys["accessKey"], keys["secretKey"]
        except (ValueError, LookupError, TypeError, SettingError) as error:
            raise StartupError(
                f"{self._keys} is damaged. Remove it: the next start makes new keys."
            ) from error

    def _choose_ports(self) -> None:
        file = self._dir / "ports.json"
        self._ports = seaweedfs.stored_ports(file)
        if not self._ports or not all(seaweedfs.is_free(port) for port in self._ports.values()):
            self._ports = seaweedfs.choose_ports()
            file.write_text(json.dumps(self._ports))
        self.endpoint_url = f"http://127.0.0.1:{self._ports['s3']}"

    def _supervise(self) -> None:
        """Run the server in a separate thread. The child process ends with it; see ``start_child``."""
        try:
            with (self._dir / "lock").open("w") as lock:
                self._acquire(lock)
                self._choose_ports()
                try:
                    while not self._stopping.is_set():
                        self._run_child_again(lock)
                finally:
                    self._end_child()
                    seaweedfs.write_to_disk(self._dir)
        except StartupError as error:
            self._failure = error
        except OSError as error:
            file = f" ({error.filename})" if error.filename else ""
            self._failure = StartupError(
                f"The embedded S3 can't start in {self._dir}: {error.strerror}{file}."
            )
        except Exception as error:  # a bug: the thread that waits for the start raises it
            self._failure = error
        finally:
            self._started.set()

    def _acquire(self, lock: IO[str]) -> None:
        """Lock the folder. Servers inherit the lock, so this waits for a server that is just being killed."""
        deadline = time.monotonic() + _RELEASE_S
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._stopping.wait(0.05) or time.monotonic() > deadline:
                    raise StartupError(f"Another process runs an object store in {self._dir}.") from None

    def _run_child_again(self, lock: IO[str]) -> None:
        """Run the server; after its first run, an error such as a full disk only delays the next start."""
        try:
            self._run_child(lock)
        except Exception as error:
            if not self._started.is_set():
                raise
            self._end_child()
            if (suffix := self._log_limits.suffix("restart")) is not None:
                reason = error.strerror if isinstance(error, OSError) else type(error).__name__
                trace = not isinstance(error, OSError)
                logger.error(
                    "the embedded S3 can't be restarted: %s; trying again%s", reason, suffix, exc_info=trace
                )
            self._stopping.wait(_RETRY_S)

    def _run_child(self, lock: IO[str]) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.unlink()
        with self.log_file.open("ab") as log:
            self._child = start_child(
                seaweedfs.command(self._weed, self._dir, self._keys, self._ports),
                env=seaweedfs.environment(self._dir),
                folder=self._dir,
                stdout=log,
                keep_open=[lock.fileno()],
            )
        patience_s = _START_S
        if self._wait_until_ready(self._child):
            self._started.set()
            patience_s = _HUNG_S
            self._wait_until_hung(self._child)
        elif not self._started.is_set() and not self._stopping.is_set():
            running = self._child.poll() is None
            reason = "no answer." if running else seaweedfs.failure_reason(self.log_file)
            raise StartupError(f"The embedded S3 can't start in {self._dir}: {reason}")
        if not self._stopping.is_set():
            exit_code = self.poll()
            self._end_child()
            fault = f"did not answer for {patience_s:.0f} s" if exit_code is None else _end_of(exit_code)
            if (suffix := self._log_limits.suffix(fault)) is not None:
                logger.error("the embedded S3 %s; restarting it. See %s%s", fault, self.log_file, suffix)
            self._stopping.wait(_RESTART_S)

    def _wait_until_hung(self, child: subprocess.Popen[bytes]) -> None:
        """Wait until the server ends or hangs, or ``stop`` is called."""
        answered_s = time.monotonic()
        next_probe_s = answered_s + _PROBE_S
        while child.poll() is None and not self._stopping.wait(0.2):
            if time.monotonic() < next_probe_s:
                continue
            if seaweedfs.answers(self._ports):
                answered_s = time.monotonic()
            elif time.monotonic() > answered_s + _HUNG_S:
                return
            next_probe_s = time.monotonic() + _PROBE_S

    def _wait_until_ready(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_S
        while child.poll() is None and time.monotonic() < deadline and not self._stopping.wait(0.03):
            if seaweedfs.is_ready(self._ports):
                return True
        return False

    def _end_child(self) -> None:
        child = self._child
        if child is not None and child.poll() is None:
            # This loses nothing, because acknowledged writes are in the kernel's cache. After SIGTERM the
            # server would wait a second for connections between its parts, and then flush the photos to disk,
            # as `write_to_disk` does.
            child.kill()
            child.wait()
        seaweedfs.remove_sockets(self._ports)


def _end_of(exit_code: int) -> str:
    """Describe how a process ended. SIGKILL may mean that the kernel had no memory left."""
    if exit_code < 0:
        return f"was ended by {signal_name(-exit_code)}"
    return f"ended with exit code {exit_code}"
