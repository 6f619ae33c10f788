"""Schemathesis compares the site with its OpenAPI document: every response is described, and none is 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from catloader.cli import main
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import settings_of
from tests.support.serving import serving
from tests.support.site import PASSWORD

_PROGRAM = Path(sys.executable).with_name("schemathesis")
_EXAMPLES = 10
_LONGEST_S = 60
_SCOPES = [word for scope in ("photos:read", "photos:write", "check") for word in ("--scope", scope)]


def test_every_response_is_described_and_none_is_5xx(
    tmp_path: Path, s3_server: EmbeddedS3, objects: ObjectStore
) -> None:
    settings = {
        **settings_of(s3_server, objects),
        "CATCHECK_DISPATCH": "thread",
        "CATCHECK_MODEL": "efficientnet_lite0",
        "CATCHECK_RUNTIME": "openvino",
        # The cases include requests without a token, all from one network, which would reach the limit.
        "CATLOADER_LOGIN_RATE": "100000 per minute",
    }
    with serving(tmp_path, **settings) as site:
        token = _token(tmp_path)
        command = [str(_PROGRAM), "run", site.url + "/openapi.json", "--no-color", "--seed", "1"]
        command += ["--max-examples", str(_EXAMPLES), "--header", f"Authorization: Bearer {token}"]
        # The document can't describe which bytes are a photo: the site refuses most bodies that it allows.
        command += ["--exclude-checks", "positive_data_acceptance"]
        run = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
        assert run.returncode == 0, run.stdout + site.log
        assert "10 selected" in run.stdout
        assert "ERROR" not in site.log


def _token(folder: Path) -> str:
    environ = {"CATLOADER_DATA_DIR": str(folder), "CATLOADER_MIN_FREE_BYTES": "0"}

    def catloader(*words: str, text: str = "") -> str:
        done = CliRunner().invoke(main, words, input=text, env=environ, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    catloader("user", "create", "a@example.org", "--password-stdin", text=PASSWORD + "\n")
    return catloader("tokens", "create", "a@example.org", "test", *_SCOPES)
