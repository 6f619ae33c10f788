"""The embedded SeaweedFS: private, quiet, and stopped with the site."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from catloader.demo.client import until
from catloader.errors import StartupError, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3 import seaweedfs
from catloader.store.s3.embedded import EmbeddedS3, _end_of
from tests.support.machine import busy_factor
from tests.support.object_stores import store_of
from tests.support.processes import command_of, until_gone

_ROOT = Path(__file__).parents[4]
_SITE = """
import sys
from pathlib import Path
from catloader.store.s3.embedded import EmbeddedS3
server = EmbeddedS3(Path(sys.argv[1]))
server.start()
print(server.endpoint_url, flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], EmbeddedS3]]:
    """Return a function that starts a server on ``tmp_path``; stop all of them at the end."""
    servers: list[EmbeddedS3] = []

    def start() -> EmbeddedS3:
        server = EmbeddedS3(tmp_path)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, EmbeddedS3]]:
    """Return a folder and the server on it, which tests only read; its file of ports was damaged."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "s3").mkdir()
    (folder / "s3" / "ports.json").write_text("{")
    server = EmbeddedS3(folder)
    server.start()
    yield folder, server
    server.stop()


@pytest.fixture(scope="module")
def second_start(running: tuple[Path, EmbeddedS3]) -> Iterator[Future[None]]:
    """Start another server on the same folder, which waits for 5 s, while other tests start theirs."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(EmbeddedS3(running[0]).start)


def seaweedfs_processes(folder: Path, parent: int | None = None) -> list[psutil.Process]:
    processes = psutil.Process(parent).children(recursive=True) if parent else psutil.process_iter()
    return [
        process for process in processes if f"-s3.config={folder / 's3' / 'keys.json'}" in command_of(process)
    ]


def wait_until(holds: Callable[[], object], timeout_s: float = 60) -> None:
    deadline, waiting = time.monotonic() + timeout_s, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "timed out"
        waiting.wait(0.05)


def _sockets() -> set[str]:
    return {path.name for path in Path("/tmp").glob("seaweedfs-*.sock")}


def test_stop_takes_under_4_s_and_leaves_no_process_port_or_socket(
    tmp_path: Path, started: Callable[[], EmbeddedS3]
) -> None:
    of_others = _sockets()  # left by killed servers of other tests
    server = started()
    store_of(server).put(ObjectKind.PHOTO, "a", b"1")
    assert server.poll() is None
    busy, began = busy_factor(), time.monotonic()
    server.stop()
    took_s = time.monotonic() - began
    assert took_s < 4 * max(busy, busy_factor())
    server.stop()
    assert seaweedfs_processes(tmp_path) == []
    assert server.poll() is not None
    ports = json.loads((tmp_path / "s3" / "ports.json").read_text())
    left = _sockets() - of_others
    for port in (port + offset for port in ports.values() for offset in (0, 10_000)):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        assert not any(name.endswith(f"-{port}.sock") for name in left)


def test_second_start_keeps_address_keys_and_objects(started: Callable[[], EmbeddedS3]) -> None:
    first = started()
    store_of(first).put(ObjectKind.PHOTO, "a", b"bytes")
    first.stop()
    second = started()
    assert (second.endpoint_url, second.access_key_id) == (first.endpoint_url, first.access_key_id)
    assert second.secret_access_key == first.secret_access_key
    store = store_of(second)
    assert store.get(ObjectKind.PHOTO, "a") == b"bytes"
    busy, began = busy_factor(), time.monotonic()
    store.put(ObjectKind.PHOTO, "b", b"1")
    took_s = time.monotonic() - began
    assert took_s < 2 * max(busy, busy_factor())


def test_stop_loses_no_acknowledged_object(started: Callable[[], EmbeddedS3]) -> None:
    server = started()
    store, acknowledged, photo = store_of(server), set[str](), os.urandom(20_000)

    def put(person: int) -> None:
        for number in range(1000):
            key = f"{person}-{number}"
            try:
                store.put(ObjectKind.PHOTO, key, key.encode() + photo)
            except StoreUnavailable:
                return
            acknowledged.add(key)

    with ThreadPoolExecutor(4) as people:
        ends = [people.submit(put, person) for person in range(4)]
        wait_until(lambda: len(acknowledged) > 50)
        server.stop()
        for end in ends:
            end.result()
    store = store_of(started())
    assert len(acknowledged) < 4000, "it was stopped while objects came in"
    for key in acknowledged:
        assert store.get(ObjectKind.PHOTO, key) == key.encode() + photo


def test_crashed_server_is_restarted_on_the_same_port(
    tmp_path: Path, started: Callable[[], EmbeddedS3], caplog: pytest.LogCaptureFixture
) -> None:
    server = started()
    store = store_of(server)
    store.put(ObjectKind.PHOTO, "a", b"bytes")
    log, old_bytes = server.log_file, 5 * 2**20
    for _ in range(2):
        log.write_bytes(bytes(old_bytes))
        _crash(server, tmp_path)
        assert store.get(ObjectKind.PHOTO, "a") == b"bytes"
        assert server.poll() is None
        assert log.stat().st_size < old_bytes, "crash after crash would fill the disk"
    message = f"the embedded S3 was ended by SIGKILL; restarting it. See {log}"
    assert [one for one in caplog.messages if one.startswith(message)] == [message], "once a minute"


def test_an_end_by_any_signal_is_reported() -> None:
    """An error while the message is composed would end the thread that restarts the server."""
    for number in signal.valid_signals():
        assert _end_of(-number).startswith("was ended by ")


def _crash(server: EmbeddedS3, folder: Path) -> None:
    """Kill the server, and wait until its successor answers."""
    (weed,) = seaweedfs_processes(folder)
    weed.kill()
    wait_until(lambda: any(other.pid != weed.pid for other in seaweedfs_processes(folder)))
    wait_until(lambda: _status(server.endpoint_url + "/healthz") == requests.codes.ok)


def test_a_failed_restart_is_repeated(
    tmp_path: Path, started: Callable[[], EmbeddedS3], caplog: pytest.LogCaptureFixture
) -> None:
    server = started()
    (weed,) = seaweedfs_processes(tmp_path)
    server.log_file.unlink()
    server.log_file.mkdir()  # stands for a full disk, or no memory for another process
    weed.kill()
    wait_until(lambda: "the embedded S3 can't be restarted: Is a directory; trying again" in caplog.messages)
    server.log_file.rmdir()
    wait_until(lambda: _status(server.endpoint_url + "/healthz") == requests.codes.ok)


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=5).status_code
    except (requests.ConnectionError, requests.Timeout):
        return 0


def _started_by_a_site(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a server in a separate process; return the process and the server's address."""
    # An empty HOME, and a proxy that must not be used.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        "HOME": "/nonexistent",
        "HTTP_PROXY": "http://[::1]:1",
    }
    site = subprocess.Popen(
        [sys.executable, "-c", _SITE, str(folder)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert site.stdout
    return site, site.stdout.readline().strip()


def test_server_dies_with_a_killed_parent_and_the_next_start_works(
    tmp_path: Path, started: Callable[[], EmbeddedS3]
) -> None:
    site, endpoint_url = _started_by_a_site(tmp_path)
    (weed,) = seaweedfs_processes(tmp_path, site.pid)
    assert os.getsid(weed.pid) != os.getsid(site.pid)  # Ctrl-C in a terminal reaches only the site
    site.send_signal(signal.SIGKILL)
    site.communicate()
    server = started()
    assert server.endpoint_url == endpoint_url
    assert [other.pid for other in seaweedfs_processes(tmp_path)] != [weed.pid]
    assert len(seaweedfs_processes(tmp_path)) == 1


def test_a_start_removes_the_sockets_of_killed_servers_of_other_folders(
    tmp_path: Path, started: Callable[[], EmbeddedS3]
) -> None:
    site, _ = _started_by_a_site(tmp_path / "other")
    servers = seaweedfs_processes(tmp_path / "other", site.pid)
    ports = json.loads((tmp_path / "other" / "s3" / "ports.json").read_text())
    own = re.compile(rf"seaweedfs-\w+-({'|'.join(map(str, ports.values()))})\.sock")
    assert any(own.match(name) for name in _sockets())
    site.kill()
    site.communicate()
    until_gone(servers)
    assert any(own.match(name) for name in _sockets())
    started()
    assert not any(own.match(name) for name in _sockets())


def test_server_listens_and_connects_on_loopback_only(running: tuple[Path, EmbeddedS3]) -> None:
    folder, server = running
    store_of(server).put(ObjectKind.PHOTO, "a", b"1")
    (weed,) = seaweedfs_processes(folder)
    for _ in until(
        60, "Not all of its ports were open"
    ):  # it answers S3 requests before the last port is open
        connections = weed.net_connections(kind="inet")
        if len([c for c in connections if c.status == psutil.CONN_LISTEN]) == 10:
            break
    assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
    assert {connection.raddr.ip for connection in connections if connection.raddr} <= {"127.0.0.1"}


def test_keys_and_photos_are_private(running: tuple[Path, EmbeddedS3]) -> None:
    folder, server = running[0] / "s3", running[1]
    store_of(server).put(ObjectKind.PHOTO, "a", b"1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
    assert _status(server.endpoint_url + "/photos/a") == requests.codes.forbidden
    ports = json.loads((folder / "ports.json").read_text())
    for path in ("/buckets/photos/a", "/buckets/photos/", "/"):
        assert _status(f"http://127.0.0.1:{ports['filer']}{path}") == requests.codes.unauthorized
    fid = requests.get(f"http://127.0.0.1:{ports['master']}/dir/assign", timeout=60).json()["fid"]
    assert _status(f"http://127.0.0.1:{ports['volume']}/{fid}") == requests.codes.unauthorized


def test_a_port_in_use_leads_to_new_ports(tmp_path: Path, started: Callable[[], EmbeddedS3]) -> None:
    first = started()
    store_of(first).put(ObjectKind.PHOTO, "a", b"bytes")
    first.stop()
    ports = json.loads((tmp_path / "s3" / "ports.json").read_text())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", ports["filer"]))
        other.listen()
        second = started()
    assert second.endpoint_url != first.endpoint_url
    assert store_of(second).get(ObjectKind.PHOTO, "a") == b"bytes"


def _refusal(folder: Path) -> str:
    server = EmbeddedS3(folder)
    with pytest.raises(StartupError) as raised:
        server.start()
    server.stop()
    assert seaweedfs_processes(folder) == []
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_file_instead_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s3").write_text("")
    assert (
        _refusal(tmp_path) == f"The object store's folder {tmp_path / 's3'} is not usable: Not a directory."
    )


def test_damaged_keys_are_refused_with_the_name_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    for damage in (b"{", b"{}", b'{"identities": [{"credentials": []}]}', b"[]", b"\xff"):
        (tmp_path / "s3" / "keys.json").write_bytes(damage)
        assert "keys.json is damaged" in _refusal(tmp_path)


def test_failure_at_start_reports_the_servers_own_reason(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3" / "filerldb2").write_text("not a database")
    refusal = _refusal(tmp_path)
    assert "can't start" in refusal
    assert "filerldb2" in refusal


@pytest.mark.parametrize("content", ["5", "null", "[]", '["s3"]', '{"s3": 1}', "[" * 100_000, "\xff"])
def test_ports_of_a_damaged_file_are_not_used(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    assert seaweedfs.stored_ports(file) == {}
    file.write_text(content)
    assert seaweedfs.stored_ports(file) == {}


@pytest.mark.parametrize("port", ["10240", True, 0, 2**16 - 1, 2**70, 10_241])
def test_unusable_ports_are_replaced(tmp_path: Path, port: object) -> None:
    file = tmp_path / "ports.json"
    ports = {part: 10_240 + number for number, part in enumerate(seaweedfs.PARTS)}
    file.write_text(json.dumps(ports))
    assert seaweedfs.stored_ports(file) == ports
    file.write_text(json.dumps({**ports, seaweedfs.PARTS[0]: port}))
    assert seaweedfs.stored_ports(file) == {}


def test_an_unexpected_error_ends_a_start_and_only_delays_a_restart(
    tmp_path: Path,
    started: Callable[[], EmbeddedS3],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    server = started()
    with monkeypatch.context() as broken:
        broken.setattr(seaweedfs, "command", fail)
        (weed,) = seaweedfs_processes(tmp_path)
        weed.kill()
        wait_until(
            lambda: "the embedded S3 can't be restarted: RuntimeError; trying again" in caplog.messages
        )
        with pytest.raises(RuntimeError, match="a bug"):
            EmbeddedS3(tmp_path / "other").start()
    wait_until(lambda: _status(server.endpoint_url + "/healthz") == requests.codes.ok)


def test_damaged_ports_file_is_replaced(running: tuple[Path, EmbeddedS3]) -> None:
    folder, server = running
    store_of(server).put(ObjectKind.PHOTO, "a", b"1")
    assert f":{json.loads((folder / 's3' / 'ports.json').read_text())['s3']}" in server.endpoint_url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 100 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "none", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_small_disk_is_used_completely_and_a_full_disk_is_refused(small_disk: Path) -> None:
    server = EmbeddedS3(small_disk)
    server.start()
    try:
        store = store_of(server)
        store.put(ObjectKind.THUMBNAIL, "first", b"1")
        count, megabyte = 0, os.urandom(1_000_000)
        with pytest.raises(StoreUnavailable):
            while True:
                store.put(ObjectKind.PHOTO, str(count), megabyte)
                count += 1
        assert count > 85
        assert store.get(ObjectKind.PHOTO, "0") == megabyte
        assert store.get(ObjectKind.THUMBNAIL, "first") == b"1"
    finally:
        server.stop()
    assert "over 99 % full" in _refusal(small_disk)


@pytest.mark.usefixtures("second_start")
def test_data_folder_may_have_any_name(tmp_path: Path) -> None:
    name = "-x #1; $HOME, My%20Photos?"
    server = EmbeddedS3(tmp_path / name)
    server.start()
    try:
        store_of(server).put(ObjectKind.PHOTO, "a", b"1")
    finally:
        server.stop()
    assert [folder.name for folder in tmp_path.iterdir()] == [name]


def test_stop_without_start_does_nothing(tmp_path: Path) -> None:
    EmbeddedS3(tmp_path).stop()


def test_folder_in_use_is_refused(running: tuple[Path, EmbeddedS3], second_start: Future[None]) -> None:
    with pytest.raises(StartupError, match="Another process"):
        second_start.result()
    assert len(seaweedfs_processes(running[0])) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server on the files of another user")
def test_root_does_not_make_the_store_of_another_user_unusable(
    started: Callable[[], EmbeddedS3], tmp_path: Path
) -> None:
    """As by `sudo catloader backup` while the site is stopped: the site could not start again."""
    started().stop()
    folder = tmp_path / "s3"
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    name = pwd.getpwuid(65534).pw_name
    with pytest.raises(StartupError, match=f"belongs to the user {name}, and root would make it unusable"):
        started()
    assert {path.stat().st_uid for path in folder.rglob("*")} == {65534}
    os.chown(folder / "keys.json", 54321, -1)
    with pytest.raises(StartupError, match="belongs to the user 54321"):
        started()
