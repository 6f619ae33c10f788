"""Report the tests that passed only on a second try (`--reruns 1` in the Makefile); fail if there are many.

A race that happens once in ten thousand tests must not block everybody, but must not stay hidden either. So
its first failure is printed in full, the last line counts it, and more than a few of them fail the whole run.
"""

from __future__ import annotations

import socket

import pytest
from _pytest.terminal import TerminalReporter

LIMIT = 3
"""Tests that may need a second try in one run of several thousand."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # With xdist, pytest-rerunfailures asks the main process about each test in two small messages. Nagle's
    # algorithm delays the second message until the first is acknowledged, which takes 40 ms for each test.
    connection = getattr(getattr(config, "failures_db", None), "sock", None)
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, TerminalReporter) and len(_first_failures(reporter)) > LIMIT:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    failures = _first_failures(terminalreporter)
    for report in failures:
        terminalreporter.section(f"first try of {report.nodeid}", sep="_")
        terminalreporter.line(report.longreprtext)
    if len(failures) > LIMIT:
        terminalreporter.line(f"{len(failures)} tests needed a second try: more than {LIMIT} fail the run.")


def _first_failures(reporter: TerminalReporter) -> list[pytest.TestReport]:
    return reporter.stats.get("rerun", [])
