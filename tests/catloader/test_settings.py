"""Settings: read once, converted, checked; a wrong value is refused in one plain sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from catloader.errors import SettingError
from catloader.settings import Settings, Variable, kept_secret, variables
from catloader.wiring import build_object_store
from tests.support import refusing

SECRETS = [variable.name for variable in variables() if variable.secret]


def test_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_every_setting_has_its_own_variable_a_section_and_a_sentence() -> None:
    assert len({variable.name for variable in variables()}) == len(variables())
    for variable in variables():
        assert variable.doc.endswith("."), variable.name
        assert variable.section, variable.name
        assert getattr(Settings(), variable.field) == variable.default


def test_settings_of_a_section_are_consecutive() -> None:
    sections = [section for section, _ in groupby(variable.section for variable in variables())]
    assert len(sections) == len(set(sections)), "the page has two headings of the same name"


def test_every_default_is_one_of_its_choices() -> None:
    choices = {variable.name: variable for variable in variables() if variable.choices}
    assert {"CATCHECK_DISPATCH", "CATLOADER_DELIVERY", "CATCHECK_DEVICE"} < set(choices)
    assert all(variable.default in variable.choices for variable in choices.values())


def test_values_are_converted_to_the_type_of_the_field() -> None:
    settings = Settings.from_environment(
        {
            "CATLOADER_PORT": " 9000 ",
            "CATLOADER_DATA_DIR": "/srv/cats",
            "CATCHECK_LEASE_S": "2.5",
            "CATLOADER_ACCESS_LOG": "true",
        }
    )
    assert (settings.port, settings.data_dir, settings.lease_s) == (9000, Path("/srv/cats"), 2.5)
    assert settings.access_log is True


def test_an_ipv6_address_may_have_brackets() -> None:
    names = ("CATLOADER_HOST", "CATLOADER_SMTP_HOST", "CATLOADER_TRUSTED_HOSTS")
    settings = [
        Settings.from_environment(
            dict.fromkeys(names, host)
            | {"CATLOADER_PUBLIC_URL": "https://cats.example.org", "CATLOADER_SMTP_SENDER": "a@example.org"}
        )
        for host in ("::1", "[::1]")
    ]
    assert settings[0] == settings[1]
    assert settings[0].host == "::1"


def test_empty_variable_counts_as_absent() -> None:
    environ = {"CATLOADER_PORT": " ", "DATABASE_URL": "", "DATABASE_URL_FILE": ""}
    assert Settings.from_environment(environ) == Settings()


def test_overrides_win_over_the_environment_even_over_a_wrong_value() -> None:
    assert Settings.from_environment({"CATLOADER_PORT": "x"}, port=1234).port == 1234


def test_settings_made_in_code_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATLOADER_PORT", "9000")
    monkeypatch.setenv("PORT", "9001")
    assert Settings().port == 8000


def test_changes_are_validated_and_do_not_affect_the_original() -> None:
    settings = Settings()
    assert settings.with_changes(port=9000).port == 9000
    assert settings.port == 8000
    with pytest.raises(ValidationError):
        settings.with_changes(port=0)
    with pytest.raises(ValidationError):
        settings.port = 1


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("CATLOADER_PORT", "http", "a whole number"),
        ("CATLOADER_PORT", "0", "1 to 65535"),
        ("CATLOADER_PORT", "65536", "1 to 65535"),
        ("CATLOADER_MAX_FILES", "0", "a whole number from 1 to 4611686018427387904"),
        ("CATCHECK_LEASE_S", "soon", "a number"),
        ("CATCHECK_LEASE_S", "nan", "0.1 to 86400.0"),
        ("CATCHECK_LEASE_S", "inf", "0.1 to 86400.0"),
        ("CATCHECK_SWEEP_S", "1e300", "0.05 to 86400.0"),
        ("CATCHECK_MAX_FALSE_POSITIVE_RATE", "0.9", "0.0001 to 0.5"),
        ("CATCHECK_DISPATCH", "kafka", "thread, internal, external, celery, off"),
        ("CATLOADER_DELIVERY", "App", "app, url"),
        ("CATCHECK_DEVICE", "gpu", "auto, cpu, cuda"),
        ("CATCHECK_PRECISION", "fp8", "auto, fp32, bf16, fp16, int8"),
        ("CATLOADER_ACCESS_LOG", "often", "true or false"),
        ("AWS_ENDPOINT_URL_S3", "localhost:9000", "http://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://s3:port", "http://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://", "http://127.0.0.1:9000"),
        ("CATCHECKER_URL", "127.0.0.1:8001", "http://127.0.0.1:9000"),
        ("CATCHECKER_URL", "http://a b:8001", "http://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", "http://s3:9000/?region=x", "not contain ? or #"),
        ("AWS_ENDPOINT_URL_S3", "http://s3:9000?", "not contain ? or #"),
        ("AWS_ENDPOINT_URL_S3", "http://s3:9000#", "not contain ? or #"),
        ("AWS_REGION", "Frankfurt (Main)", "us-east-1"),
        ("AWS_REGION", "-eu", "us-east-1"),
        ("CATLOADER_LOGIN_RATE", "often", "10 per minute; 100 per hour"),
        ("CATLOADER_LOGIN_RATE", "10 per minute; 0 per hour", "at least 1 in at most 10 years"),
        ("CATLOADER_PASSWORD_RATE", "10 per 99999999 years", "at least 1 in at most 10 years"),
        ("CATLOADER_REGISTER_RATE", "10 per 0 minutes", "at least 1 in at most 10 years"),
        ("CATLOADER_MAIL_RATE", "3/day; 10/00 Hours", "at least 1 in at most 10 years"),
        ("CATLOADER_PHOTOS_BUCKET", "my photos", "my-photos"),
        ("CATLOADER_THUMBNAILS_BUCKET", "s3://thumbnails", "my-photos"),
    ],
)
def test_wrong_value_is_refused_with_name_value_and_accepted_values(name: str, value: str, rule: str) -> None:
    with pytest.raises(SettingError) as refusal:
        Settings.from_environment({name: value})
    sentence = str(refusal.value)
    assert sentence.startswith(f"{name} is {value!r}; it must ")
    assert rule in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"CATCHECK_DISPATCH": "external"}, "CATCHECKER_URL"),
        ({"CATCHECK_DISPATCH": "celery"}, "CATCHECK_BROKER_URL"),
        ({"CATCHECK_BROKER_URL": "localhost:6379"}, "redis://"),
        ({"CATCHECK_BROKER_URL": "redis://:secret@h:port/0"}, "CATCHECK_BROKER_URL.* must be a number"),
        ({"CATCHECK_BROKER_URL": "rediss://:secret@h/zero"}, "CATCHECK_BROKER_URL.* must be a number"),
        ({"CATCHECK_BROKER_URL": "redis://h/0?password=secret"}, "CATCHECK_BROKER_URL.* ssl_ca_certs"),
        ({"AWS_ENDPOINT_URL_S3": "http://s3"}, "AWS_ACCESS_KEY_ID"),
        ({"CATLOADER_METRICS_TOKEN": "two\nsecrets"}, "CATLOADER_METRICS_TOKEN.*one line"),
        ({"CATLOADER_METRICS_TOKEN": "geheim\u00e4"}, "CATLOADER_METRICS_TOKEN.*ASCII"),
        ({"DATABASE_URL": "mysql://u:secret@h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:secret@h:port/d"}, "DATABASE_URL.* must be a number"),
        ({"DATABASE_URL": "postgresql://u:secret@h:0/d"}, "DATABASE_URL.*between 1 and 65535"),
        ({"DATABASE_URL": "postgresql://u:secret@[::1]:65536/d"}, "DATABASE_URL.*between 1 and 65535"),
        ({"DATABASE_URL": "postgresql://u:secret@[::1/d"}, "DATABASE_URL.*needs square brackets"),
        ({"DATABASE_URL": "postgresql://u:secret@[1:2/d"}, "DATABASE_URL.*needs square brackets"),
        ({"DATABASE_URL": "postgresql://u:secret@h]/d"}, "DATABASE_URL.*needs square brackets"),
        ({"DATABASE_URL": "postgresql://u:secret@[]/d"}, "DATABASE_URL.*needs square brackets"),
        ({"DATABASE_URL": "postgresql://u:secret@a:1,b:2/d"}, "DATABASE_URL.*several hosts"),
        ({"DATABASE_URL": "postgresql://u:secret@::1/d"}, "DATABASE_URL.*needs square brackets"),
        ({"CATCHECK_BROKER_URL": "redis://:secret@::1]/0"}, "CATCHECK_BROKER_URL.*needs square brackets"),
        ({"DATABASE_URL": "postgresql://u:12?secret@h/d"}, "DATABASE_URL.*%3F"),
        ({"DATABASE_URL": "sqlite://secret.db"}, "DATABASE_URL.*sqlite:///file"),
        ({"DATABASE_URL": "sqlite:///file?foo=bar&timeout=5"}, "DATABASE_URL.* foo is not one"),
        ({"DATABASE_URL": "sqlite:///secret\nDATABASE=file"}, "DATABASE_URL.*must be one line of text"),
        ({"DATABASE_URL": "postgresql://u:secret\0@h/d"}, "DATABASE_URL.*must be one line of text"),
        ({"DATABASE_URL": "sqlite:///file?timeout=secret"}, "DATABASE_URL.* timeout has a value"),
        ({"DATABASE_URL": "sqlite:///file?cached_statements=secret"}, "cached_statements has a value"),
        ({"DATABASE_URL": "sqlite:///file?isolation_level=secret"}, "isolation_level has a value"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL.*it must name a file"),
        ({"DATABASE_URL": "sqlite:///file:cats?mode=memory&uri=true"}, "DATABASE_URL.*it must name a file"),
        ({"DATABASE_URL": "sqlite:///file:cats?mode=%6Demory&uri=true"}, "DATABASE_URL.*it must name a file"),
        ({"DATABASE_URL": "sqlite:///file:?uri=true"}, "DATABASE_URL.* must be sqlite:///file:NAME"),
        (
            {"DATABASE_URL": "sqlite:///cats.db?mode=ro&uri=true"},
            "DATABASE_URL.* must be sqlite:///file:NAME",
        ),
        ({"DATABASE_URL": "sqlite:///file?timeout=5&timeout=6"}, "DATABASE_URL.*each of its options once"),
        ({"DATABASE_URL": "postgresql://u:secret%00@h:5433/d"}, "DATABASE_URL.*must be one line of text"),
        ({"DATABASE_URL": "postgresql://u:secret@h/\udcff"}, "DATABASE_URL is not UTF-8 text"),
        ({"DATABASE_URL": f"postgresql://u:secret@{'h' * 64}/d"}, "DATABASE_URL.*a very long part"),
        ({"DATABASE_URL": "postgresql://u:secret@a..b/d"}, "DATABASE_URL.*an empty or a very long part"),
        ({"AWS_ENDPOINT_URL_S3": f"http://{'s3.' * 100}org"}, "AWS_ENDPOINT_URL_S3.*host name is too long"),
        ({"CATCHECKER_URL": "http://checker..example.org"}, "CATCHECKER_URL.*has an empty"),
        ({"AWS_SECRET_ACCESS_KEY": "secret\udcff"}, "AWS_SECRET_ACCESS_KEY is not UTF-8 text"),
        ({"AWS_ACCESS_KEY_ID": "two\nsecrets"}, "AWS_ACCESS_KEY_ID.*one line"),
        ({"CATLOADER_DATA_DIR": "/tmp/\udcff"}, "CATLOADER_DATA_DIR.*UTF-8"),
        ({"AWS_ENDPOINT_URL_S3": "http://me:p@/secret@s3:9000"}, "AWS_ENDPOINT_URL_S3"),
        ({"AWS_ENDPOINT_URL_S3": "http://me:secret@s3:9000"}, "not contain a user name or a password"),
        ({"AWS_ENDPOINT_URL_S3": "htp://me:secret@s3:9000"}, "AWS_ENDPOINT_URL_S3"),
        ({"CATCHECKER_URL": "http://me:secret@checker"}, "not contain a user name or a password"),
    ],
)
def test_refusals_name_the_setting_and_hide_the_secret(environment: dict[str, str], names: str) -> None:
    with pytest.raises(SettingError, match=names) as refusal:
        Settings.from_environment(environment)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("value", ['"/srv/data"', "'/srv/data'", '""'])
def test_quotation_marks_around_a_value_are_refused(value: str) -> None:
    """A file for ``docker run --env-file`` is not read by a shell: the folder would be made below `"`."""
    with pytest.raises(SettingError, match=r"^CATLOADER_DATA_DIR is .*; it must not have quotation marks: "):
        Settings.from_environment({"CATLOADER_DATA_DIR": value})
    assert Settings.from_environment({"CATLOADER_OIDC_NAME": '"Cats" or "dogs"'}).oidc_name[0] == '"'


def test_quotation_marks_around_a_secret_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.from_environment({"CATLOADER_SECRET_KEY": '"0123456789abcdef"'})
    assert settings.secret_key.get_secret_value() == '"0123456789abcdef"'
    (sentence,) = caplog.messages
    assert sentence.startswith("CATLOADER_SECRET_KEY is in quotation marks; ")
    assert "0123" not in sentence


@pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_url_gets_its_driver(prefix: str) -> None:
    settings = Settings.from_environment({"DATABASE_URL": f"{prefix}://u:p@h/d"})
    assert settings.database == "postgresql+psycopg://u:p@h/d"
    assert settings.with_changes(port=9000).database == settings.database


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("u:p@ss@h:1/d", "u:p%40ss@h:1/d"),
        ("u:a:b/c#d@h/d", "u:a%3Ab%2Fc%23d@h/d"),
        ("u:100%@h/d", "u:100%25@h/d"),
        ("u:p%40ss@h/d", "u:p%40ss@h/d"),
        ("u@h/d?sslmode=require", "u@h/d?sslmode=require"),
        ("h/d?user=ann@example", "h/d?user=ann@example"),
        ("u:p@[::1]:5432/d", "u:p@[::1]:5432/d"),
        ("u:p@h:/d", "u:p@h/d"),
        ("/d?host=/run/postgresql", "/d?host=/run/postgresql"),
    ],
)
def test_user_name_and_password_are_encoded_as_written(written: str, stored: str) -> None:
    settings = Settings.from_environment({"DATABASE_URL": f"postgresql://{written}"})
    assert settings.database == f"postgresql+psycopg://{stored}"
    assert settings.with_changes(port=9000).database == settings.database


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("redis://:p@ss/w#rd@h:6379/1", "redis://:p%40ss%2Fw%23rd@h:6379/1"),
        ("rediss://h?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem", None),
        ("redis://[::1]:6379", None),
        ("amqp://guest:guest@h//", None),
        ("amqps://h/cats", None),
    ],
)
def test_addresses_of_brokers_are_accepted(written: str, stored: str | None) -> None:
    settings = Settings.from_environment({"CATCHECK_BROKER_URL": written})
    assert settings.broker_url.get_secret_value().replace("://@", "://") == (stored or written)


@pytest.mark.parametrize("folder", ["cats", "cats?", "My%20Photos", "a#b@c:d"])
def test_sqlite_file_is_in_the_data_folder_even_if_its_name_has_signs_of_a_url(
    tmp_path: Path, folder: str
) -> None:
    settings = Settings(data_dir=tmp_path / folder)
    assert settings.database == tmp_path / folder / "catloader.sqlite3"


def test_a_tilde_means_the_home_folder_if_no_shell_has_expanded_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.from_environment({"CATLOADER_DATA_DIR": "~/cats"}).data_dir == tmp_path / "cats"
    assert Settings.from_environment({"CATLOADER_DATA_DIR": f"{tmp_path}/~"}).data_dir == tmp_path / "~"
    with pytest.raises(SettingError, match=r"CATLOADER_DATA_DIR is .* no home folder of that name"):
        Settings.from_environment({"CATLOADER_DATA_DIR": "~nobody-here/cats"})


def test_a_folder_may_end_with_a_space_but_not_with_a_carriage_return(tmp_path: Path) -> None:
    for given, folder in {f"{tmp_path}/cats ": "cats ", f"{tmp_path}/cats\r": "cats"}.items():
        assert Settings.from_environment({"CATLOADER_DATA_DIR": given}).data_dir == tmp_path / folder
    assert Settings.from_environment({"CATLOADER_DATA_DIR": " "}) == Settings()


@pytest.mark.parametrize("host", ["s3_server:9000", "s3-", "xn--", "m\u00fcnchen.example.org", "a" * 64])
def test_host_names_that_s3_libraries_reject_are_refused(host: str) -> None:
    with pytest.raises(SettingError, match=r"AWS_ENDPOINT_URL_S3 is .*; its host name may contain only a-z"):
        Settings.from_environment({"AWS_ENDPOINT_URL_S3": f"http://{host}"})


@pytest.mark.parametrize("host", ["S3", "s3.example.org:9000", "10.0.0.1", "[::1]:9000", "[fe80::1%25lo]"])
def test_host_names_that_s3_libraries_accept_are_accepted(host: str) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    settings = Settings.from_environment({"AWS_ENDPOINT_URL_S3": f"http://{host}", **keys})
    assert build_object_store(settings).address == f"http://{host}"


def test_embedded_store_is_used_when_no_other_is_named() -> None:
    other = Settings.from_environment(
        {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    )
    assert Settings().embedded_s3
    assert not other.embedded_s3


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_can_come_from_a_file(name: str, tmp_path: Path) -> None:
    value = {
        "DATABASE_URL": "postgresql://u:p@h/d",
        "CATLOADER_WEBHOOK_URL": "https://h/secret",
        "CATCHECK_BROKER_URL": "redis://:p@h/0",
        "CATLOADER_SECRET_KEY": "hush" * 4,
    }.get(name, "hush")
    file = tmp_path / "secret"
    file.write_text(value + "\n")
    (field,) = (variable.field for variable in variables() if variable.name == name)
    secret = getattr(Settings.from_environment({name: value}), field)
    assert getattr(Settings.from_environment({f"{name}_FILE": str(file)}), field) == secret
    assert isinstance(secret, SecretStr)
    with pytest.raises(SettingError, match=f"{name} and {name}_FILE are both set"):
        Settings.from_environment({name: value, f"{name}_FILE": str(file)})


def test_secret_file_loses_one_line_break_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for text, value in {"a b \n": "a b ", "a\r\n": "a", "a\n\n": "a\n", "a": "a", "\ufeffa\n": "a"}.items():
        file.write_bytes(text.encode())  # Notepad writes the byte order mark
        settings = Settings.from_environment({"AWS_SECRET_ACCESS_KEY_FILE": str(file)})
        assert settings.s3_secret_access_key.get_secret_value() == value


def test_signing_key_that_can_be_guessed_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingError, match="at least 16 characters") as caught:
        Settings.from_environment({"CATLOADER_SECRET_KEY": "hush-hush-hush!"})
    assert "hush" not in str(caught.value)
    assert Settings.from_environment({"CATLOADER_SECRET_KEY": "hush-hush-hush!!"}).secret_key


def test_metrics_token_with_a_space_at_its_end_is_refused(tmp_path: Path) -> None:
    """HTTP strips the space from the header, so that no request could send this token."""
    file = tmp_path / "secret"
    for text in ("a token \n", " \n"):
        file.write_text(text)
        with pytest.raises(SettingError, match=r"CATLOADER_METRICS_TOKEN.* the last of them not a space"):
            Settings.from_environment({"CATLOADER_METRICS_TOKEN_FILE": str(file)})


def test_a_secret_may_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_bytes, b"hush\r\n")
        settings = Settings.from_environment({"CATLOADER_METRICS_TOKEN_FILE": str(pipe)})
    assert (settings.metrics_token.get_secret_value(), written.result()) == ("hush", 6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 65_537, "too large"),
    ],
)
def test_unusable_secret_file_is_refused_in_one_sentence(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=reason) as refusal:
        Settings.from_environment({"DATABASE_URL_FILE": str(file)})
    assert str(refusal.value).startswith(f"DATABASE_URL_FILE is '{file}', which ")


def test_secrets_are_not_in_the_text_of_settings() -> None:
    settings = Settings.from_environment({"DATABASE_URL": "postgresql://u:hush@h/d"})
    assert "hush" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CATLOADER_PROT", "did you mean CATLOADER_PORT?"),
        ("CATLOADER_DISPATCH", "did you mean CATCHECK_DISPATCH?"),
        ("CATCHECKER_WEBHOOK_SECRET", "did you mean CATCHECK_WEBHOOK_SECRET?"),
        ("CATLOADER_DATABASE_URL", "did you mean DATABASE_URL?"),
        ("CATLOADER_SECRETKEY_FILE", "did you mean CATLOADER_SECRET_KEY_FILE?"),
        ("CATCHECK_UNICORN", "`catloader settings` lists the known ones"),
        ("CATLOADR_PORT", "did you mean CATLOADER_PORT?"),
        ("CAT_LOADER_DATA_DIR", "did you mean CATLOADER_DATA_DIR?"),
        ("CATCHEK_DISPATCH", "did you mean CATCHECK_DISPATCH?"),
        ("catloader_port", "did you mean CATLOADER_PORT?"),
        ("CATLOADER-PORT", "did you mean CATLOADER_PORT?"),
    ],
)
def test_unknown_setting_is_one_warning_with_the_nearest_name(
    name: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Settings.from_environment({name: "1", "AWS_PROFILE": "x"}) == Settings()
    assert caplog.messages == [f"Unknown setting {name} ({hint})"]


@pytest.mark.parametrize(
    ("environ", "setting"),
    [
        ({"AWS_ENDPOINT_URL": "http://s3"}, "AWS_ENDPOINT_URL_S3"),
        ({"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL_S3": "http://s3"}, "AWS_REGION"),
    ],
)
def test_a_variable_of_amazons_programs_without_effect_is_one_warning(
    environ: dict[str, str], setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    Settings.from_environment({**environ, **keys})
    assert caplog.messages == [f"{next(iter(environ))} has no effect; the setting is {setting}."]
    caplog.clear()
    value = {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_REGION": "eu-central-1"}[setting]
    Settings.from_environment({**environ, **keys, setting: value})
    Settings.from_environment({"AWS_DEFAULT_REGION": "eu-central-1"})
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["CATALINA_HOME", "CATALOG_PORT", "CATEGORY", "CAT", "LOADER_PORT"])
def test_variables_of_other_programs_are_not_settings(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert Settings.from_environment({name: "1"}) == Settings()
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["CATLOADER_PORT", "CATCHECKER_PORT"])
@pytest.mark.parametrize("address", ["tcp://10.96.0.12:8000", "tcp://[fd00::12]:8000", "udp://10.96.0.12:53"])
def test_address_of_a_kubernetes_service_is_not_a_port(
    name: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Settings.from_environment({name: address}) == Settings()
    (message,) = caplog.messages
    assert name in message and "Kubernetes" in message and "is used" in message


@pytest.mark.parametrize(
    "service", ["CATLOADER", "CATCHECKER", "CATCHECK", "CATLOADER_DB", "CATLOADER_WEB_2"]
)
def test_other_variables_of_a_kubernetes_service_are_not_settings(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {
        "_SERVICE_HOST": "10.96.0.12",
        "_SERVICE_PORT": "8000",
        "_SERVICE_PORT_HTTP": "8000",
        "_2_PORT": "tcp://10.96.0.13:8000",
        "_PORT_8000_TCP": "tcp://10.96.0.12:8000",
        "_PORT_8000_TCP_PROTO": "tcp",
        "_PORT_8000_TCP_PORT": "8000",
        "_PORT_8000_TCP_ADDR": "10.96.0.12",
    }
    assert Settings.from_environment({service + name: value for name, value in environ.items()}) == Settings()
    assert caplog.messages == []


def test_kept_secret_is_generated_once_and_readable_by_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "secret-key"
    first = kept_secret(path)
    assert re.fullmatch(r"[\w-]{60,}", first)
    assert kept_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret-key"]


def test_a_damaged_secret_is_named_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"The secret in .*/k can't be read: it is not text\. Restore it"):
        kept_secret(tmp_path / "k")
    assert (tmp_path / "k").read_bytes() == b"\xff\xfe"
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingError, match="Is a directory"):
        kept_secret(tmp_path / "folder")


def test_threads_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    secrets: list[str] = []

    def start() -> None:
        together.wait()
        secrets.append(kept_secret(tmp_path / "secret-key"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 8
    assert len(set(secrets)) == 1


@pytest.mark.slow
@pytest.mark.skipif(not refusing.SUPPORTED, reason="numbers of the system calls are not known here")
def test_processes_agree_on_one_secret_on_file_systems_without_hard_links(tmp_path: Path) -> None:
    key = str(tmp_path / "k")
    code = f"import pathlib; from catloader.settings import *; print(kept_secret(pathlib.Path({key!r})))"
    command = refusing.command([sys.executable, "-c", code], link="EPERM")
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(outputs) == 1
    assert outputs == {(tmp_path / "k").read_text()}
    assert [file.name for file in tmp_path.iterdir()] == ["k"]
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600


def test_an_empty_secret_of_a_killed_process_is_generated_again(tmp_path: Path) -> None:
    (tmp_path / "k").touch(0o600)
    assert len(kept_secret(tmp_path / "k")) > 60


def test_a_temporary_folder_that_does_not_exist_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_environment({"TMPDIR": "/nonexistent"})
    assert caplog.messages == [
        "TMPDIR is '/nonexistent', which is not a folder; another temporary folder is used."
    ]


@pytest.mark.parametrize(
    "variable", [one for one in variables() if "whole number" in one.accepts], ids=lambda one: one.name
)
def test_numbers_that_are_too_large_for_a_database_are_refused(variable: Variable) -> None:
    with pytest.raises(
        SettingError, match=f"^{variable.name} is '{10**30}'; it must be a whole number from "
    ):
        Settings.from_environment({variable.name: str(10**30)})
