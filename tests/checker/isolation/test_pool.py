"""The limits of decoding child processes, each reached by a real one."""

from __future__ import annotations

import os
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from checker.errors import (
    CheckerError,
    DecoderUnavailable,
    DecodingFailed,
    DecodingTooLarge,
    DecodingTooSlow,
    Unexpected,
)
from checker.isolation.fork_server import ForkServer
from checker.isolation.limits import Limits
from checker.isolation.pool import _ITEMS_OF_A_CHILD, ChildPool, Reply
from checker.isolation.sandbox import code_folders, missing_parts
from tests.support.machine import busy_factor
from tests.support.processes import until_gone

DO, ECHO = "tests.checker.isolation.deeds:do", "tests.checker.isolation.deeds:echo"
LIMITS = Limits(cpu_s=0.5, wall_s=60.0, memory_bytes=2**28)
"""The wall time is ample: even on a busy machine, only the test of that limit reaches it."""

_LINUX = list(map(int, re.findall(r"\d+", platform.release())[:2]))


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer([DO, ECHO], LIMITS.memory_bytes)
    yield server
    server.close()


@pytest.fixture
def pool(server: ForkServer) -> Iterator[ChildPool]:
    pool = ChildPool(server, children=2, limits=LIMITS)
    yield pool
    pool.close()


def done(pool: ChildPool, *deeds: str, **arguments: object) -> list[Reply | CheckerError]:
    return list(pool.run(DO, arguments, [[deed.encode()] for deed in deeds]))


def pid_of(pool: ChildPool) -> int:
    (reply,) = done(pool, "nothing")
    assert isinstance(reply, Reply)
    return int(reply.result["pid"])


def test_blobs_are_returned_unchanged(pool: ChildPool) -> None:
    item = [b"", os.urandom(3_000_000), b"x"]
    (reply,) = pool.run(ECHO, {}, [item])
    assert isinstance(reply, Reply)
    assert reply.result == {"parts": 3}
    assert list(map(bytes, reply.blobs)) == item


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """Limit this process to ``free`` more open files inside the block."""
    numbers = [os.dup(2) for _ in range(free + 1)]
    for number in numbers:
        os.close(number)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (numbers[-1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("free", [0, 1, 2, 3])
def test_missing_descriptors_are_blamed_on_the_machine_and_recovered_from(free: int) -> None:
    """0 and 1 are too few for the connection, 2 and 3 for the process behind it."""
    server = ForkServer([DO], LIMITS.memory_bytes)
    pool = ChildPool(server, children=1, limits=LIMITS)
    try:
        with few_descriptors(free):
            server.start()
            assert [type(reply) for reply in done(pool, "nothing")] == [DecoderUnavailable]
        assert pid_of(pool)
        pool.close()
        with few_descriptors(0):  # the server is running now
            assert [type(reply) for reply in done(pool, "nothing")] == [DecoderUnavailable]
    finally:
        pool.close()
        server.close()


@pytest.mark.parametrize("deed", ["loop", "loop in threads"])
def test_processor_time_is_limited(pool: ChildPool, deed: str) -> None:
    started_s, work_s = time.monotonic(), time.process_time()
    (error,) = done(pool, deed)
    assert type(error) is DecodingTooSlow
    assert time.monotonic() - started_s < LIMITS.wall_s - 1  # the wall time was not the limit
    assert time.process_time() - work_s < LIMITS.cpu_s  # the caller sleeps meanwhile


def test_each_photo_of_a_batch_has_its_own_processor_time(pool: ChildPool) -> None:
    assert [type(reply) for reply in done(pool, *["work for 0.1 s"] * 6)] == [Reply] * 6


def test_time_is_limited(server: ForkServer) -> None:
    pool = ChildPool(server, children=1, limits=Limits(wall_s=2.0))
    try:
        started_s = time.monotonic()
        (error,) = done(pool, "hang")
        assert type(error) is DecodingTooSlow
        assert 2 <= time.monotonic() - started_s < 60
        pid = pid_of(pool)  # a new child has replaced the hanging one
        assert psutil.Process(pid).is_running()
    finally:
        pool.close()


def test_memory_is_limited(pool: ChildPool) -> None:
    (error,) = done(pool, "allocate 512 MB")
    assert type(error) is DecodingTooLarge


@pytest.mark.parametrize(
    ("deed", "signal_name"),
    [
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("real-time signal", f"signal {signal.SIGRTMIN + 3}"),
        ("exit", "without a signal"),
    ],
)
def test_crash_is_blamed_on_the_photo(pool: ChildPool, deed: str, signal_name: str) -> None:
    (error,) = done(pool, deed)
    assert type(error) is DecodingFailed
    assert signal_name in str(error)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_child_killed_from_outside_does_not_affect_its_photo(pool: ChildPool, sig: signal.Signals) -> None:
    """SIGTERM goes to every process of a service that systemd stops in its default mode."""
    replies = pool.run(DO, {}, [[b"nothing"]] + [[b"work for 0.1 s"]] * 5)
    first = next(replies)
    assert isinstance(first, Reply)
    os.kill(first.result["pid"], sig)
    rest = [reply for reply in replies if isinstance(reply, Reply)]
    assert len(rest) == 5
    assert rest[-1].result["pid"] != first.result["pid"]


def _killed_once(pool: ChildPool) -> list[Reply]:
    """Kill a child after the first of six items; return the results of the children after it."""
    replies = pool.run(DO, {}, [[b"nothing"]] + [[b"work for 0.1 s"]] * 5)
    first = next(replies)
    assert isinstance(first, Reply)
    pid = first.result["pid"]
    os.kill(pid, signal.SIGKILL)
    rest = [reply for reply in replies if isinstance(reply, Reply)]
    assert len(rest) == 5
    return [reply for reply in rest if reply.result["pid"] != pid]


def test_photo_whose_child_was_killed_is_repeated_while_no_other_is_decoded(pool: ChildPool) -> None:
    """Two large photos at once may need more memory than there is, and each of them less."""
    others = pool.run(DO, {}, [[b"work for 0.1 s"]] * 12)
    next(others)
    with ThreadPoolExecutor(1) as thread:
        killed = thread.submit(_killed_once, pool)
        *_, last = others
        repeated = killed.result(60)[0]
    assert isinstance(last, Reply)
    assert repeated.result["began_s"] >= last.result["ended_s"]


def test_photos_whose_children_were_killed_at_once_are_repeated_one_after_the_other(pool: ChildPool) -> None:
    with ThreadPoolExecutor(2) as threads:
        killed = [threads.submit(_killed_once, pool) for _ in range(3)]
        assert all(future.result(60) for future in killed)


def test_photo_whose_child_is_killed_twice_is_blamed(pool: ChildPool) -> None:
    (error,) = done(pool, "kill")
    assert type(error) is DecodingTooLarge
    assert "twice" in str(error)


def test_idle_child_that_was_killed_affects_no_photo(pool: ChildPool) -> None:
    pid = pid_of(pool)
    os.kill(pid, signal.SIGTERM)
    until_gone([psutil.Process(pid)])  # the child stays as a zombie until it is replaced
    assert pid_of(pool) != pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills processes if memory runs out")
def test_child_is_killed_first_if_memory_runs_out(pool: ChildPool) -> None:
    """By default the kernel kills the largest process: in a container of 400 MB that was the site."""
    own, of_child = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in ("self", pid_of(pool)))
    assert of_child == min(own + 500, 1000)


def test_child_cannot_change_files_nor_run_programs(pool: ChildPool, tmp_path: Path) -> None:
    existing = tmp_path / "existing"
    existing.write_bytes(b"untouched")
    replies = done(pool, "write", "create", "delete", "run", "open many", folder=str(tmp_path))
    assert [type(reply) for reply in replies] == [Unexpected] * 5
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"existing": b"untouched"}
    # On a kernel without Landlock this limit alone prevents writing.
    assert psutil.Process(pid_of(pool)).rlimit(psutil.RLIMIT_FSIZE) == (0, 0)


@pytest.mark.skipif("Landlock" in missing_parts(), reason="the kernel has no Landlock")
def test_child_reads_only_code(pool: ChildPool, tmp_path: Path) -> None:
    (tmp_path / "existing").write_bytes(b"secret")
    replies = done(pool, "read", "list", "truncate", "read the parent's variables", folder=str(tmp_path))
    assert [type(reply) for reply in replies] == [Unexpected] * 4
    assert (tmp_path / "existing").read_bytes() == b"secret"
    assert [type(reply) for reply in done(pool, "import")] == [Reply]


@pytest.mark.skipif(
    "Landlock" in missing_parts() or _LINUX < [6, 12], reason="before Linux 6.12 signals are not limited"
)
def test_a_decoder_starts_although_the_current_folder_was_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    with monkeypatch.context() as patched:
        patched.chdir(deleted)
        patched.setattr(sys, "path", [*sys.path, "__editable__.site.finder.__path_hook__", ""])
        deleted.rmdir()
        assert Path(__file__).parents[3] / "checker" in code_folders()


def test_child_sends_no_signal_to_another_process(pool: ChildPool) -> None:
    assert [type(reply) for reply in done(pool, "signal the parent")] == [Unexpected]


@pytest.mark.skipif("seccomp" in missing_parts(), reason="the kernel has no seccomp")
def test_child_opens_no_connection_and_starts_no_process(pool: ChildPool, tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX) as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        stream.bind(str(tmp_path / "listening"))
        stream.listen()
        datagrams.bind(str(tmp_path / "datagrams"))
        (tmp_path / "existing").touch(0o600)
        deeds = [
            "connect",
            "send from a pair",
            "open UDP",
            "x32",
            "fork",
            "change the mode",
            "change the time",
        ]
        assert [type(reply) for reply in done(pool, *deeds, folder=str(tmp_path))] == [Unexpected] * len(
            deeds
        )
    assert [type(reply) for reply in done(pool, "start a thread")] == [Reply]


def test_bug_is_logged_with_its_traceback(pool: ChildPool, caplog: pytest.LogCaptureFixture) -> None:
    (error,) = done(pool, "bug")
    assert type(error) is Unexpected
    assert "ValueError: a bug" in caplog.text


def test_neighbours_of_a_bad_photo_get_their_results(pool: ChildPool) -> None:
    deeds = ["nothing", "segfault", "nothing", "loop", "kill", "allocate 512 MB", "bug", "nothing"]
    kinds = [type(reply) for reply in done(pool, *deeds)]
    assert kinds == [
        Reply,
        DecodingFailed,
        Reply,
        DecodingTooSlow,
        DecodingTooLarge,
        DecodingTooLarge,
        Unexpected,
        Reply,
    ]


def test_child_without_work_releases_its_memory(pool: ChildPool) -> None:
    child = psutil.Process(pid_of(pool))
    before_bytes = child.memory_info().rss
    done(pool, "hold 96 MB for a moment")
    _wait_until_released(child, before_bytes)
    assert pid_of(pool) == child.pid


def test_child_without_work_does_not_keep_its_last_file(pool: ChildPool) -> None:
    child = psutil.Process(pid_of(pool))
    before_bytes = child.memory_info().rss
    (reply,) = pool.run(ECHO, {}, [[bytes(48 * 2**20)]])
    assert isinstance(reply, Reply)
    _wait_until_released(child, before_bytes)
    assert pid_of(pool) == child.pid


def _wait_until_released(child: psutil.Process, before_bytes: int) -> None:
    end_s = time.monotonic() + 60
    while child.memory_info().rss > before_bytes + 24 * 2**20:
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_child_has_huge_pages_and_settings_of_glibc_but_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=0")
    monkeypatch.setenv("CATLOADER_S3_SECRET_KEY", "not for decoders")
    server = ForkServer([DO], LIMITS.memory_bytes)
    pool = ChildPool(server, children=1, limits=LIMITS)
    try:
        (reply,) = done(pool, "nothing")
    finally:
        pool.close()
        server.close()
    assert isinstance(reply, Reply)
    assert reply.result["variables"]["GLIBC_TUNABLES"] == "glibc.malloc.perturb=0:glibc.malloc.hugetlb=1"
    assert "CATLOADER_S3_SECRET_KEY" not in reply.result["variables"]


def test_child_that_holds_too_much_memory_is_replaced(pool: ChildPool) -> None:
    pid = pid_of(pool)
    assert pid_of(pool) == pid
    done(pool, "hold 220 MB")
    assert pid_of(pool) != pid


def test_child_is_replaced_after_many_photos(pool: ChildPool) -> None:
    """Leaks of a decoder end with its process."""
    first = pid_of(pool)
    replies = done(pool, *["nothing"] * _ITEMS_OF_A_CHILD)
    assert {reply.result["pid"] for reply in replies if isinstance(reply, Reply)} == {first}
    assert len(replies) == _ITEMS_OF_A_CHILD
    assert pid_of(pool) != first


def test_number_of_working_children_is_bounded(server: ForkServer) -> None:
    pool = ChildPool(server, children=2, limits=LIMITS)
    try:
        with ThreadPoolExecutor(4) as threads:
            batches = list(threads.map(lambda _: done(pool, "wait for 0.3 s"), range(4)))
    finally:
        pool.close()
    results = [reply.result for batch in batches for reply in batch if isinstance(reply, Reply)]
    assert len(results) == 4
    times = [(result["began_s"], result["ended_s"]) for result in results]
    at_work = [sum(began_s <= moment_s < ended_s for began_s, ended_s in times) for moment_s, _ in times]
    assert max(at_work) == 2


@pytest.mark.slow
def test_killed_server_is_restarted(pool: ChildPool, server: ForkServer) -> None:
    child = psutil.Process(pid_of(pool))
    child.parent().kill()  # type: ignore[union-attr]
    until_gone([child])
    assert pid_of(pool) != child.pid


@pytest.mark.slow
def test_children_end_with_their_caller() -> None:
    """Even children at work, and even if the caller is killed."""
    code = (
        "import signal, threading\n"
        "from tests.checker.isolation.test_pool import *\n"
        "server = ForkServer([DO], 2**28)\n"
        "pool = ChildPool(server, children=1, limits=Limits(cpu_s=600, wall_s=600))\n"
        "print(pid_of(pool), flush=True)\n"
        "threading.Thread(target=done, args=(pool, 'loop')).start()\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        child = psutil.Process(int(caller.stdout.readline()))
        while child.cpu_times().user < 1:  # an idle child would end anyway, with its connection
            time.sleep(0.02)
        caller.kill()
    try:
        until_gone([child])
    finally:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def test_closing_waits_for_no_server_that_still_imports_the_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "slow_decoder.py").write_text(f"open({str(gate)!r}).read()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = ForkServer(["slow_decoder:work"], LIMITS.memory_bytes)
    with ThreadPoolExecutor(1) as pool:
        forking = pool.submit(server.fork)
        with gate.open("w"):  # blocks until the server has opened the pipe
            begun_s = time.monotonic()
            server.close()
            took_s = time.monotonic() - begun_s
        with pytest.raises(DecoderUnavailable, match="is stopping"):
            forking.result()
    assert took_s < 5 * busy_factor()


def test_closed_server_decodes_nothing() -> None:
    server = ForkServer([DO, ECHO], LIMITS.memory_bytes)
    server.close()
    (error,) = ChildPool(server, children=1, limits=LIMITS).run(DO, {}, [[b"nothing"]])
    assert type(error) is DecoderUnavailable
    assert error.retryable


def test_no_item_is_blamed_for_a_child_that_ends_before_it_is_ready(
    capfd: pytest.CaptureFixture[str],
) -> None:
    more_than_any_limit = 2**70
    server = ForkServer([DO], more_than_any_limit)
    try:
        pool = ChildPool(server, children=1, limits=LIMITS)
        assert [type(each) for each in done(pool, "nothing", "nothing")] == [DecoderUnavailable] * 2
        pool.close()
    finally:
        server.close()
    assert "A decoding process ends: OverflowError" in capfd.readouterr().err
