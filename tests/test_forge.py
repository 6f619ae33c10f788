"""Check that the files for the forge, Docker, pre-commit and make agree."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def _yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def _recipe(target: str) -> list[str]:
    rule = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert rule
    return [line.strip().replace("$(PY)", ".venv/bin/python") for line in rule[1].splitlines()]


def test_make_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony
    run = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    lines = [re.fullmatch(r"make ([a-z-]+) +\S.*", line) for line in run.stdout.splitlines()]
    assert sorted(line[1] for line in lines if line) == sorted(phony[1].split())


def test_pre_commit_runs_the_commands_of_make_check() -> None:
    (local,) = _yaml(".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"].removesuffix(" --force-exclude") for hook in local["hooks"]]
    first_tries = [command.partition(" || ")[0] for command in _recipe("check")]
    assert entries == [command.removesuffix(" --check") for command in first_tries]
    # Installed from requirements-dev.txt, so that there is no second list of versions.
    assert all(hook["language"] == "system" for hook in local["hooks"])
    pins = (ROOT / "requirements-dev.txt").read_text("utf-8")
    for tool in ("ruff", "mypy", "import-linter", "pre-commit"):
        assert re.search(rf"^{tool}==", pins, re.MULTILINE)


def test_the_forge_tests_the_promised_pythons() -> None:
    jobs = _yaml(".github/workflows/gate.yml")["jobs"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    promised = [text.rpartition(" ")[2] for text in classifiers if re.search(r":: 3\.\d+$", text)]
    assert jobs["gate"]["strategy"]["matrix"]["python"] == promised
    assert jobs["minimum"]["container"] == f"python:{promised[0]}-bookworm"
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    scripts = [command for command in commands if command.startswith(".ci/")]
    assert scripts == [".ci/run", ".ci/minimum", ".ci/audit"]
    assert all((ROOT / script).stat().st_mode & 0o100 for script in scripts)


def test_forms_of_the_forge_are_valid_yaml() -> None:
    for path in [*(ROOT / ".github").rglob("*.yml"), ROOT / "compose.yaml"]:
        assert yaml.safe_load(path.read_text("utf-8")), path


def test_docker_gets_every_file_that_it_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    copied = {
        source
        for arguments in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in arguments.split()[:-1]
    }
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert copied == set(let_in)
    assert all(list(ROOT.glob(source)) for source in copied)


def test_jobs_use_actions_by_digest_and_leave_no_credentials_in_the_checkout() -> None:
    jobs = _yaml(".github/workflows/gate.yml")["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(jobs)
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)
    assert all(re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in steps if "uses" in step)


def test_updates_wait_until_a_release_is_a_week_old() -> None:
    updates = _yaml(".github/dependabot.yml")["updates"]
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)


def test_images_name_their_user_by_number() -> None:
    """Kubernetes can tell that a number is not root (``runAsNonRoot``), but not a name."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (created,) = re.findall(r"useradd .*--uid (\d+)", dockerfile)
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == [created, created]


def test_the_user_of_images_may_write_weights() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (folder,) = re.findall(r"CATCHECK_WEIGHTS_DIR=/app/(\S+)", dockerfile)
    install = f"RUN install -d -o catloader -g catloader {folder}\n"
    assert "COPY models models\n" in dockerfile.partition(install)[0]
    assert "USER " in dockerfile.partition(install)[2]
