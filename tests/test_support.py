"""Helpers that make the tests independent of the way and the machine on which they run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import forked, processor
from tests.support.environ import environ_without_settings
from tests.support.packet_loss import lossy_listener, repeated_segments
from tests.support.slow import longest_first

_ROOT = Path(__file__).resolve().parents[1]

_CHILD = """
import signal
print(*(signal.getsignal(number).name for number in (1, 3, 15)), signal.getsignal(2).__name__)
"""
_PARENT = f"""
import signal, subprocess, sys
from tests.support.signals import restore_for_children
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
restore_for_children()
signal.raise_signal(signal.SIGINT)
signal.raise_signal(signal.SIGHUP)
subprocess.run([sys.executable, "-c", {_CHILD!r}], check=True)
"""


def test_children_get_default_signals_if_the_tests_run_in_the_background() -> None:
    command = 'trap "" INT QUIT HUP TERM; exec "$0" -c "$1"'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, _PARENT],
        cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "SIG_DFL SIG_DFL SIG_DFL default_int_handler\n",
        "",
    )


@pytest.mark.parametrize(
    ("environment", "has", "exactly"),
    [
        ({}, {"avx2", "avx512f", "avx512_vnni"}, True),
        ({}, {"avx2", "avx_vnni"}, True),
        ({}, {"avx2", "avx512f"}, False),
        ({}, {"avx2"}, False),
        (processor.AVX2_ONLY, {"avx2", "avx512f", "avx512_vnni"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "avx2_vnni"}, {"avx2", "avx_vnni"}, True),
    ],
)
def test_only_vnni_adds_up_bytes_exactly(environment: dict[str, str], has: set[str], exactly: bool) -> None:
    assert processor.adds_up_bytes_exactly(environment, has) == exactly


@pytest.mark.parametrize(
    ("has", "beyond"),
    [
        ({"sse4_2", "avx", "avx2", "fma"}, False),
        ({"avx", "avx2", "avx512f"}, True),
        ({"avx", "avx2", "avx_vnni"}, True),
        ({"avx2", "amx_tile"}, True),
        ({"asimd", "neon"}, False),
        (set(), True),  # a system that lists none
    ],
)
def test_the_limit_to_avx2_changes_nothing_on_a_processor_without_more(has: set[str], beyond: bool) -> None:
    assert processor.goes_beyond_avx2(has) == beyond


@pytest.mark.slow
@pytest.mark.parametrize("environment", processor.KINDS, ids=processor.KIND_NAMES)
def test_the_runtimes_obey_the_limit_to_avx2(environment: dict[str, str]) -> None:
    code = (
        "import openvino, torch; print(torch.backends.cpu.get_cpu_capability(),"
        " torch.ops.mkldnn._is_mkldnn_bf16_supported(),"
        " 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))"
    )
    held_back = set(processor.AVX2_ONLY) & os.environ.keys()
    if not environment and ("avx512f" not in processor.flags() or held_back):
        pytest.skip("nothing is expected without AVX-512")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if environment:
        assert done.stdout == "AVX2 False False\n"
    else:
        assert done.stdout.startswith("AVX512 True")


def _with_second_tries(tests: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a new process, with only the plugins that second tries need."""
    plugins = ["-p", "pytest_rerunfailures", "-p", "tests.support.second_tries", "-p", "no:cacheprovider"]
    options = (*plugins, *options, "--reruns", "1")
    return subprocess.run(
        [sys.executable, "-m", "pytest", f"--rootdir={tests.parent}", *options, tests],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=_ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("failures", "status"), [(0, 0), (3, 0), (4, 1)])
def test_a_run_fails_if_more_than_a_few_tests_need_a_second_try(
    tmp_path: Path, failures: int, status: int
) -> None:
    tests = tmp_path / "test_first_try.py"
    tests.write_text(
        "import pytest\n"
        "from pathlib import Path\n"
        "@pytest.mark.parametrize('number', range(5))\n"
        "def test_it(number):\n"
        f"    mark = Path({str(tmp_path)!r}, str(number))\n"
        "    first = not mark.exists()\n"
        "    mark.touch()\n"
        f"    assert not first or number >= {failures}, 'too early'\n"
    )
    done = _with_second_tries(tests, "-p", "xdist.plugin", "-n", "2")
    assert done.returncode == status, done.stdout
    # Each failure prints "too early" twice: in the source line and in the message.
    assert done.stdout.count("too early") == 2 * failures, done.stdout
    assert (f"{failures} rerun" in done.stdout) == bool(failures)


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    tests = tmp_path / "test_always.py"
    tests.write_text("def test_it():\n    assert False\n")
    done = _with_second_tries(tests)
    assert done.returncode == 1
    assert "1 failed, 1 rerun" in done.stdout


@pytest.mark.slow
def test_second_tries_delay_no_test(tmp_path: Path) -> None:
    tests = tmp_path / "test_connection.py"
    tests.write_text(
        "import socket\n"
        "def test_it(pytestconfig):\n"
        "    connection = pytestconfig.failures_db.sock\n"
        "    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)\n"
    )
    done = _with_second_tries(tests, "-p", "xdist", "-n", "1")
    assert done.returncode == 0, done.stdout


def test_a_lossy_listener_makes_the_sender_repeat_segments_and_gets_every_byte() -> None:
    sent_bytes, received = 4_000_000, bytearray()
    with lossy_listener(0.01) as listener, socket.create_connection(listener.getsockname()) as sender:
        connection, _ = listener.accept()
        with connection, ThreadPoolExecutor() as threads:
            sending = threads.submit(sender.sendall, bytes(sent_bytes))
            while len(received) < sent_bytes and (block := connection.recv(2**16)):
                received += block
            sending.result()
        assert repeated_segments(sender) > 0
    assert len(received) == sent_bytes


def _parts(files: list[str], processes: int) -> list[str]:
    """Return the files in the order of their tests, process by process."""
    items: list[Any] = [SimpleNamespace(path=Path(file), number=n) for n, file in enumerate(files)]
    ordered: list[Any] = longest_first(items, processes)
    assert sorted(item.number for item in ordered) == list(range(len(files)))
    return [str(item.path) for item in ordered]


def test_each_process_begins_with_a_share_of_the_longest_tests() -> None:
    files = ["catloader/test_a.py"] * 4 + ["faults/test_b.py"] * 2 + ["checker/test_c.py"] * 4
    files += ["scripts/test_d.py"] * 2
    ordered = [Path(file).parts[0] for file in _parts(files, 2)]
    assert ordered == ["faults"] * 2 + ["catloader"] * 4 + ["scripts"] * 2 + ["checker"] * 4


def test_files_that_share_a_browser_or_a_site_with_photos_are_in_one_process() -> None:
    browser = ["browser/test_a.py", "browser/test_b.py"]
    engines = ["catloader/bulk/engines/test_c.py", "catloader/bulk/engines/test_d.py"]
    others = [f"faults/test_{letter}.py" for letter in "efgh"]
    ordered = _parts([browser[0], engines[0], *others, browser[1], engines[1], "checker/test_i.py"], 3)
    assert ordered == [*browser, others[2], *engines, others[3], *others[:2], "checker/test_i.py"]


@pytest.mark.slow
@pytest.mark.parametrize("others", [{}, {"TZ": "Asia/Tokyo"}], ids=["forked", "in a new interpreter"])
def test_a_command_gets_its_environment_and_folder_and_returns_its_exit_code(
    others: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = environ_without_settings(CATLOADER_DATA_DIR="here", CATLOADER_WEB_THREADS=3, **others)
    output = tmp_path / "output"
    output.write_text("before\n")
    monkeypatch.chdir(tmp_path)
    commands = [
        forked.start("catloader", words, environ, output)
        for words in (["settings"], ["nonsense"], ["db", "migrate"], ["--version"])
    ]
    assert [command.wait(60) for command in commands] == [0, 2, 0, 0]
    assert {isinstance(command, forked.Forked) for command in commands} == {not others}
    text = output.read_text()
    assert text.startswith("before\n")
    assert "* CATLOADER_WEB_THREADS=3\n" in text
    assert "No such command 'nonsense'" in text
    assert (tmp_path / "here/catloader.sqlite3").is_file()


@pytest.mark.slow
def test_a_forked_command_can_be_killed_and_waited_for(tmp_path: Path) -> None:
    environ = environ_without_settings(CATLOADER_DATA_DIR=tmp_path, CATCHECK_DISPATCH="off")
    site = forked.start("catloader", ["worker"], environ, tmp_path / "output")
    assert isinstance(site, forked.Forked)
    with pytest.raises(subprocess.TimeoutExpired):
        site.wait(0.1)
    assert site.poll() is None
    site.kill()
    assert (site.wait(60), site.poll(), site.returncode) == (-signal.SIGKILL,) * 3
