"""Links to the embedded object store work only in browsers on the same machine."""

from __future__ import annotations

from typing import Any

import pytest

from catloader.errors import SettingError
from catloader.server.commands import refuse_unreachable_links
from catloader.settings import Settings


@pytest.mark.parametrize(
    ("settings", "is_refused", "lines"),
    [
        ({"delivery": "url", "host": "0.0.0.0"}, True, 0),
        ({"delivery": "url", "host": "192.0.2.1"}, True, 0),
        ({"delivery": "url", "host": "127.0.0.1", "trusted_proxies": 1}, True, 0),
        ({"delivery": "url", "host": "127.0.0.2"}, False, 1),
        ({"delivery": "url", "host": "::1"}, False, 1),
        ({"delivery": "app", "host": "0.0.0.0"}, False, 0),
        ({"delivery": "url", "host": "0.0.0.0", "s3_endpoint_url": "http://s3.example.org"}, False, 0),
    ],
)
def test_a_site_for_other_machines_refuses_links_to_its_embedded_object_store(
    caplog: pytest.LogCaptureFixture, settings: dict[str, Any], is_refused: bool, lines: int
) -> None:
    if "s3_endpoint_url" in settings:
        settings = {**settings, "s3_access_key_id": "key", "s3_secret_access_key": "secret"}
    try:
        refuse_unreachable_links(Settings(**settings))
    except SettingError as error:
        assert is_refused and "its links work on this machine only; use `app`" in str(error)
    else:
        assert not is_refused
    assert len(caplog.messages) == lines
