"""Lines of the log, as text and as JSON."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from typing import Any

from catloader.logs import TextFormatter, access_line


def test_a_line_of_the_access_log_begins_with_its_time_and_names_the_request() -> None:
    facts = {
        "address": "192.0.2.1",
        "method": "GET",
        "path": "/photos/81",
        "status": 200,
        "bytes": 90,
        "ms": 12,
    }
    line = access_line(facts | {"request_id": "9f3c", "photo_ids": [81, 82]})
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    rest = '192.0.2.1 "GET /photos/81" 200 90 bytes 12 ms request 9f3c photos 81,82'
    assert re.fullmatch(f"{time} {re.escape(rest)}", line)
    assert re.fullmatch(f"{time} .* 12 ms", access_line(facts)), "a request that the application did not see"


def test_a_visitor_can_neither_add_lines_nor_escape_sequences_to_the_log() -> None:
    path = "/photos/\n2026-11-28 18:00:00,000 ERROR\r\x1b[31m\x85\u2028\u202e\udc80 é 猫 😺"
    (line,) = _shown("refused %s", path).splitlines()
    escaped = r"/photos/\n2026-11-28 18:00:00,000 ERROR\r\x1b[31m\x85\u2028\u202e\udc80 é 猫 😺"
    assert line.endswith(f" WARNING refused {escaped}")


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("a bug")
    except ValueError:
        lines = _shown("%s failed", "/a\nb", exc_info=sys.exc_info()).splitlines()
    assert lines[0].endswith(r" WARNING /a\nb failed")
    assert (lines[1], lines[-1]) == ("Traceback (most recent call last):", "ValueError: a bug")


_ENDS = """
import threading, warnings
from catloader.logs import configure

configure("json")
warnings.warn("a library's\\nwarning")
thread = threading.Thread(target=lambda: 1 / 0, name="deletion")
thread.start()
thread.join()
class Closed:
    def __del__(self): raise OSError("closed\\ntwice")
Closed()
raise ValueError("a bug")
"""


def test_warnings_and_uncaught_errors_are_json_too() -> None:
    done = subprocess.run([sys.executable, "-c", _ENDS], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in lines] == ["WARNING", "CRITICAL", "ERROR", "CRITICAL"]
    assert "a library's\nwarning" in lines[0]["message"]
    assert lines[1]["message"] == "an error ended the thread deletion"
    assert lines[1]["traceback"].endswith("ZeroDivisionError: division by zero")
    assert lines[2]["message"].startswith("an error was ignored in <function Closed.__del__")
    assert lines[2]["traceback"].endswith("OSError: closed\ntwice")
    assert lines[3]["traceback"].endswith("ValueError: a bug")
    assert done.returncode == 1


def _shown(message: str, *args: object, exc_info: Any = None) -> str:
    record = logging.LogRecord("test", logging.WARNING, "file", 1, message, args, exc_info)
    return TextFormatter().format(record)
