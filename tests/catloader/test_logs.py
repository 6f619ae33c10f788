"""The lines of the log as text."""

from __future__ import annotations

import re

from catloader.logs import access_line


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
