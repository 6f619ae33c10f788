from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from catloader.demo.client import until
from catloader.errors import StartupError
from catloader.store.kinds import ObjectKind
from catloader.store.s3 import seaweedfs
from catloader.store.s3.embedded import EmbeddedS3
from checker.process.cores import available_cores
from tests.support import refusing
from tests.support.object_stores import store_of


def test_each_part_gets_two_free_ports() -> None:
    ports = seaweedfs.choose_ports()
    assert set(ports) == set(seaweedfs.PARTS)
    pairs = {number for port in ports.values() for number in (port, port + 10_000)}
    assert len(pairs) == 2 * len(ports)
    assert all(1024 < number < 32_768 for number in pairs)


@pytest.mark.parametrize("offset", [0, 10_000])
def test_a_pair_of_ports_is_free_only_if_both_ports_are(offset: int) -> None:
    port = next(iter(seaweedfs.choose_ports().values()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + offset))
        taken.listen()
        assert not seaweedfs.is_free(port)
    assert seaweedfs.is_free(port)


@pytest.mark.skipif(not refusing.SUPPORTED, reason="numbers of the system calls are not known here")
def test_a_missing_loopback_interface_is_reported_at_once() -> None:
    look = "from catloader.store.s3 import seaweedfs; seaweedfs.refuse_unusable_machine()"
    command = refusing.command([sys.executable, "-c", look], connect="ENETUNREACH")
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stderr.splitlines()[-1].endswith(
        "The embedded S3 needs the loopback interface, and 127.0.0.1 can't be reached "
        "(Network is unreachable); `ip link set lo up` starts it."
    )


def test_only_sockets_without_a_server_are_removed(tmp_path: Path) -> None:
    port = next(iter(seaweedfs.choose_ports().values()))
    names = "abandoned", "listening", "starting", "other"
    paths = {name: tmp_path / f"seaweedfs-{name}-{port + place}.sock" for place, name in enumerate(names)}
    paths["other"] = tmp_path / "other.sock"
    with (
        socket.socket(socket.AF_UNIX) as abandoned,
        socket.socket(socket.AF_UNIX) as listening,
        socket.socket(socket.AF_UNIX) as starting,
        socket.create_server(("127.0.0.1", port + 2)),
    ):
        for name, one in (("abandoned", abandoned), ("listening", listening), ("starting", starting)):
            one.bind(str(paths[name]))
        abandoned.close()
        listening.listen()
        paths["other"].write_text("")
        seaweedfs.remove_abandoned_sockets(tmp_path)
    assert {name for name, path in paths.items() if path.exists()} == {"listening", "starting", "other"}


def test_a_missing_folder_of_sockets_is_reported(tmp_path: Path) -> None:
    seaweedfs.refuse_unusable_machine(tmp_path)
    with pytest.raises(StartupError, match=r"missing for its sockets.*: No such file or directory.$"):
        seaweedfs.refuse_unusable_machine(tmp_path / "missing")


def test_environment_holds_no_proxies_or_keys_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "HTTPS_PROXY", "S3_BUCKET"):
        monkeypatch.setenv(name, "site's")
    assert "site's" not in seaweedfs.environment(Path("/data/s3")).values()


def test_server_leaves_half_of_the_cores_to_the_checker() -> None:
    threads = int(seaweedfs.environment(Path("/data/s3"))["GOMAXPROCS"])
    assert 2 * threads in (available_cores(), available_cores() - 1) or threads == available_cores() == 1


@pytest.mark.slow
def test_requests_seldom_make_the_server_collect_garbage(tmp_path: Path) -> None:
    server = EmbeddedS3(tmp_path)
    server.start()  # makes its keys and ports
    server.stop()
    folder, output = tmp_path / "s3", tmp_path / "collections"
    ports = json.loads((folder / "ports.json").read_text())
    command = seaweedfs.command(seaweedfs.find_program(), folder, folder / "keys.json", ports)
    environment = seaweedfs.environment(folder) | {"GODEBUG": "gctrace=1"}
    with output.open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=log)
    try:
        for _ in until(60, "The object store did not start"):
            if seaweedfs.is_ready(ports):
                break
        store, photo = store_of(server), os.urandom(150_000)
        before = _collections(output)
        for number in range(60):
            store.put(ObjectKind.PHOTO, str(number), photo)
            store.get(ObjectKind.PHOTO, str(number))
        assert _collections(output) - before < 12  # with hardly any room it would be 80
    finally:
        process.kill()
        process.wait()
        seaweedfs.remove_sockets(ports)


def _collections(output: Path) -> int:
    return len(re.findall(r"^gc \d+ @", output.read_text(errors="replace"), re.MULTILINE))


def test_every_start_has_new_tokens() -> None:
    first, second = (seaweedfs.environment(Path("/data/s3")) for _ in range(2))
    tokens = [name for name in first if "JWT" in name]
    assert len({first[name] for name in tokens} | {second[name] for name in tokens}) == 2 * len(tokens) == 8


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "no message."),
        ("Starting ...\n\nlast line\n", "last line"),
        ("F1123 20:29:38.463000 configuration.go:26 disk full: /data\n  Volume ready\n", "disk full: /data"),
        ("Filer starting\nfatal error: out of memory\n\ngoroutine 1:\n\tmain.go:1 +0x2\n", "out of memory"),
        ("panic: no such table [recovered]\n\ngoroutine 7:\nmain.go:1 +0x2\n", "no such table [recovered]"),
    ],
)
def test_failure_reason_is_the_last_error_message(tmp_path: Path, log: str, reason: str) -> None:
    (tmp_path / "weed.log").write_text(log)
    assert seaweedfs.failure_reason(tmp_path / "weed.log") == reason
