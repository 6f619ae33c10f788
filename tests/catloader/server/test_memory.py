"""A site returns the memory of large uploads to the system afterwards."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.overload import Uploader
from tests.support.serving import registered, serving

_BODY_BYTES = 20_000_000
_LISTS_BYTES = 15_000_000
_UPLOADERS = 6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only the C library of Linux keeps this memory")
@pytest.mark.usefixtures("unmeasured")
def test_memory_of_large_uploads_is_returned(tmp_path: Path) -> None:
    with serving(tmp_path) as site, ThreadPoolExecutor(_UPLOADERS) as threads:
        (web,) = site.web_processes()
        before_bytes = web.memory_info().rss  # measured before the first password hash, which takes 64 MB
        uploaders = [Uploader(site, b"", registered(site.url)) for _ in range(_UPLOADERS)]
        for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a"):
            answers = threads.map(Uploader.upload, uploaders, [head.ljust(_BODY_BYTES, b"x")] * _UPLOADERS)
            assert {status for status, *_ in answers} <= {422, 415, 503}
        # One body may remain. The lists of common passwords, which the first sign-up loads, remain too.
        most_bytes = before_bytes + _BODY_BYTES + _LISTS_BYTES
        end_s = time.monotonic() + 60
        while web.memory_info().rss > most_bytes:
            assert time.monotonic() < end_s, f"{(web.memory_info().rss - before_bytes) / 1e6:.0f} MB more"
            time.sleep(0.1)
