"""Measure the idle site: processor time and memory of all its processes.

The script starts a site with the embedded S3 server on a data folder that already has an account, like every
start except the first. It logs in, uploads a few photos, and waits for their verdicts. Then it sends no
requests for some time. Processor time is measured over this period, and memory (PSS: shared pages count once)
at its end. Linux only. In each web process the first sign-up takes 12 MB more, until the next start.

    python scripts/benchmark_idle.py [--rest-s 60] [--json scripts/results/idle-avx512-vnni.json]

Exit code 1: more than 1 % of a core, more than 450 MB, or another process runs one of the site's programs, so
that pages of memory that both use count only in part.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import scripts  # noqa: F401 - first: finds the packages without an installation
from catloader.accounts.accounts import register
from catloader.demo.client import Visitor
from catloader.demo.photos import demo_photos
from catloader.demo.temporary_site import temporary_site
from catloader.server.database import migrated_database
from catloader.settings import Settings
from catloader.store.db.accounts.users import Users
from catloader.store.db.engine import utcnow
from checker.evaluation.provenance import machine_kind, provenance
from scripts.command_line import new_file, number, report_errors, write_result

MOST_OF_A_CORE, MOST_BYTES = 0.01, 450_000_000
_SETTLE_S = 15.0


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rest-s",
        type=number(float, 1, 86_400),
        default=60.0,
        help="length of the idle period in seconds (default 60)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    results = measure(arguments.rest_s)
    print(machine_kind(results["machine"]))
    for process in results["processes"]:
        print(f"  {process['mb']:6.0f} MB  {process['core']:7.3%} of a core  {process['command']}")
    total = f"{results['mb']:.0f} MB, {results['core']:.2%} of a core"
    print(f"at rest, with {results['checks_with']}: {total} (promised: 450 MB, 1 %)")
    if results["also_running"]:
        print(f"the figure is too low: other processes also run {', '.join(results['also_running'])}")
    write_result(arguments.json, results)
    return 0 if results["holds"] else 1


def measure(rest_s: float) -> dict[str, Any]:
    """Run a site, upload photos, wait for their verdicts, and measure the site while it is idle."""
    with tempfile.TemporaryDirectory(prefix="catloader-idle-") as name, ExitStack() as parts:
        email, password = "idle@example.org", secrets.token_urlsafe(16)
        with migrated_database(Settings(data_dir=Path(name)), may_create=True) as engine:
            register(Users(engine), email, password, utcnow())
        site = parts.enter_context(temporary_site(Path(name)))
        (Path(name) / "photos").mkdir()
        visitor = Visitor(site.url, site.must_run)
        visitor.wait_until_ready()
        visitor.log_in(email, password)
        for photo in demo_photos(Path(name) / "photos"):
            visitor.wait_for_verdict(visitor.upload(photo.name, photo.path.read_bytes()))
        time.sleep(_SETTLE_S)
        pids = tree(site.process.pid)
        before_s = {pid: processor_s(pid) for pid in pids}
        started_s = time.monotonic()
        time.sleep(rest_s)
        passed_s = time.monotonic() - started_s
        site.must_run()
        processes: list[dict[str, Any]] = [
            {
                "command": command(pid),
                "mb": round(pss_bytes(pid) / 1e6, 1),
                "core": round((processor_s(pid) - before_s[pid]) / passed_s, 5),
            }
            for pid in pids
        ]
        also_running = sorted(programs(pids) & programs(others(pids)))
        checks_with = " ".join(visitor.checker()[key] for key in ("model", "runtime", "precision"))
    mb = round(sum(float(process["mb"]) for process in processes), 1)
    core = round(sum(float(process["core"]) for process in processes), 5)
    return {
        **provenance("catloader"),
        "rest_s": rest_s,
        "checks_with": checks_with,
        "also_running": also_running,
        "processes": processes,
        "mb": mb,
        "core": core,
        "holds": core <= MOST_OF_A_CORE and mb * 1e6 <= MOST_BYTES and not also_running,
    }


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # the process has just ended
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    family = [pid]
    for parent in family:
        family += children.get(parent, [])
    return family


def others(pids: list[int]) -> list[int]:
    """Return all processes except these and this one."""
    running = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in running if pid not in (*pids, os.getpid())]


def programs(pids: Iterable[int]) -> set[str]:
    """Return the names of the programs that processes of this user run."""
    names = set()
    for pid in pids:
        with suppress(OSError):  # the process has ended, is another user's, or is a kernel thread
            names.add(Path(f"/proc/{pid}/exe").readlink().name)
    return names


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Return a process's share of physical memory: a page that n processes share counts 1/n."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def command(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return " ".join(Path(word).name for word in words[:4]).strip()


if __name__ == "__main__":
    sys.exit(main())
