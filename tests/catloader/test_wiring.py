"""The composition root: only it makes clients and engines."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from catloader.errors import SettingError
from catloader.settings import Settings
from catloader.wiring import build, build_object_store
from catloader.wiring.secrets import site_secret
from checker.process.cores import available_cores

_ROOT = Path(__file__).resolve().parents[2]
_MAKERS = {"make_engine", "create_engine", "ObjectStore", "CheckerService", "Explainer", "Dispatcher"}
_MAY = ("catloader/wiring/", "catloader/store/")


def _calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            yield node.lineno, name


@pytest.mark.parametrize("package", ["catloader", "checker", "models"])
def test_only_wiring_makes_engines_and_clients(package: str) -> None:
    calls = [
        f"{name}:{line} calls {call}"
        for path in sorted((_ROOT / package).rglob("*.py"))
        if not (name := str(path.relative_to(_ROOT))).startswith(_MAY)
        for line, call in _calls(path)
        if call in _MAKERS
    ]
    assert calls == []


def test_only_the_settings_read_the_environment() -> None:
    """Elsewhere ``os.environ`` is only passed on to child processes and to a library."""
    hand_on = {
        "catloader/bulk/engines/ray_engine.py",
        "catloader/checks/shadow_runs.py",
        "catloader/cli/models/apart.py",
        "catloader/explanations/warm_child.py",
        "catloader/demo/temporary_site.py",
        "catloader/metric_files.py",
        "catloader/server/commands.py",
    }
    readers = {
        str(path.relative_to(_ROOT))
        for path in (_ROOT / "catloader").rglob("*.py")
        if any(
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and node.attr in ("environ", "getenv")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
        )
    }
    assert readers - hand_on == {"catloader/settings/table.py"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages",
    [
        {"catloader.server.commands": {"flask", "gunicorn", "waitress"},
         "catloader.server.gunicorn, catloader.web":
             {"alembic", "authlib", "cryptography", "joserfc", "requests", "torch", "openvino", "webauthn",
              "zxcvbn"}},
        {"catloader.server.database, catloader.accounts.accounts": {"botocore", "flask", "numpy", "PIL"},
         "catloader.server.checking": {"flask", "gunicorn"}},
        {"checker.isolation.child, catloader.intake.isolated, checker.pixels.isolated":
             {"babel", "flask", "sqlalchemy", "botocore", "torch"}},
    ],
    ids=["a site before its object store, and with its pages", "a command on the database, and a worker",
         "the decoders"],
)  # fmt: skip
def test_a_process_imports_only_what_it_uses(stages: dict[str, set[str]]) -> None:
    """Each library costs every start 20 to 200 ms of processor time, and the site at rest up to 12 MB."""
    code = "import sys\n" + "".join(f"import {modules}; print(*sys.modules)\n" for modules in stages)
    run = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, check=True)
    for (modules, unused), imported in zip(stages.items(), run.stdout.splitlines(), strict=True):
        assert unused & set(imported.split()) == set(), f"after {modules}"


def test_the_client_of_the_object_store_has_connections_for_all_threads_that_check() -> None:
    """The default number of workers, 0, means one per core."""

    def connections_for(workers: int) -> int:
        settings = Settings(
            workers=workers,
            s3_endpoint_url="http://127.0.0.1:9",
            s3_access_key_id=SecretStr("key"),
            s3_secret_access_key=SecretStr("secret"),
        )
        return int(build_object_store(settings)._client.meta.config.max_pool_connections)

    assert connections_for(0) == connections_for(available_cores())


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("secret-key", "short", "it must have at least 16 characters"),
        ("webhook-secret", "my-secret!", "it must be whsec_ followed by base64"),
        ("outgoing-webhook-secret", "whsec_bWlhdQ== my-secret!", "it must be whsec_ followed by base64"),
        ("secret-key", "\ufeff" + 16 * "x", None),
        ("webhook-secret", "\ufeffwhsec_bWlhdQ==\r\n", None),
        ("outgoing-webhook-secret", "\ufeffwhsec_bWlhdQ==\r\n", None),
    ],
)
def test_a_secret_in_the_data_folder_is_checked_like_the_setting(
    tmp_path: Path, name: str, content: str, rule: str | None
) -> None:
    """Someone has written the file, perhaps with Notepad."""
    path = tmp_path / name
    path.write_text(content, "utf-8")
    settings = Settings(
        data_dir=tmp_path,
        s3_endpoint_url="http://127.0.0.1:1",
        s3_access_key_id=SecretStr("a"),
        s3_secret_access_key=SecretStr("b"),
        webhook_url=SecretStr("http://127.0.0.1:1/"),
        webhook_private="on",
    )
    if rule is None:
        build(settings)
        assert site_secret(settings)[0] != "\ufeff"
        return
    with pytest.raises(
        SettingError, match=rf"The secret in {path} is not valid: {rule}.*\. Restore it"
    ) as error:
        build(settings)
    assert content not in str(error.value)
