"""The user's own AWS configuration has no effect."""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from catloader.errors import SettingError
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.session import make_session
from tests.support.object_stores import store_of

_NO_NUMBERS = {
    variable: "no such value"
    for _, variable, _, convert in botocore.session.Session.SESSION_VARIABLES.values()
    if isinstance(variable, str) and variable != "AWS_CA_BUNDLE"
}


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_PROFILE": "nobody"},
        {"AWS_DEFAULT_PROFILE": "nobody"},
        {"AWS_SESSION_TOKEN": "of-another-account", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        _NO_NUMBERS,
        {"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": " "},  # such as ${NAME:-} in a compose file
        {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "nowhere", "AWS_S3_USE_ARN_REGION": "perhaps"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_aws_variables_have_no_effect(
    s3_server: EmbeddedS3, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _store_and_read(s3_server)


@pytest.mark.parametrize("broken", [False, True])
def test_files_in_the_home_folder_have_no_effect(
    s3_server: EmbeddedS3, broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    lines = ["[default]", "region = mars", "endpoint_url = http://127.0.0.1:1"]
    lines += ["s3 =", "  addressing_style = virtual", "  use_accelerate_endpoint = true"]
    for name in ("config", "credentials"):
        (folder / name).write_text("\n".join([*lines, "not a line of this format" if broken else ""]))
    monkeypatch.setenv("HOME", str(tmp_path))
    _store_and_read(s3_server)


def test_own_ca_certificates_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/my-ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/other.pem")
    assert make_session()._session.get_config_variable("ca_bundle") == "/etc/my-ca.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE", "")
    assert make_session()._session.get_config_variable("ca_bundle") == "/etc/other.pem"


def _store_and_read(server: EmbeddedS3) -> None:
    store = store_of(server, ("isolated-photos", "isolated-thumbnails"))
    store.put(ObjectKind.PHOTO, "a", b"bytes")
    assert store.exists(ObjectKind.PHOTO, "a")


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file or directory"), ("hello", "it has no certificates")]
)
def test_unreadable_ca_certificates_are_reported(
    content: str | None, reason: str, variable: str, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(SettingError, match=f"^{variable} is '{bundle}', which cannot be used: {reason}.$"):
        make_session(uses_tls=True)
    make_session()  # without TLS it has no effect
