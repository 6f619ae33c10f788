"""Compare the documents with the code: steps, tree, settings, commands, links, promises."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import click
import pytest

from catloader.cli import main
from catloader.settings import variables
from catloader.settings.page import as_markdown
from catloader.store.db.schema import Status
from models.catalogue import load_catalogue
from tests.faults import report
from tests.support import photo_sets

_ROOT = Path(__file__).resolve().parents[1]
_DOCUMENTS = sorted(
    [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "scripts").rglob("*.md")]
)
_ARCHITECTURE = (_ROOT / "docs/architecture.md").read_text("utf-8")
_DEPLOYMENT = [
    _ROOT / name
    for name in (
        "Dockerfile",
        "compose.yaml",
        "deploy/compose.fleet.yaml",
        "deploy/compose.valkey.yaml",
        "Makefile",
        "scripts/install",
        ".ci/run",
    )
]

# For this step, the table names an interface instead of a file.
_SEAMS = {"ImageSource.get": "store/s3/objects.py"}


def _named(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _steps() -> dict[tuple[int, str], list[str]]:
    """Return (number, name) -> modules of the step, from the table at the head of architecture.md."""
    table = _ARCHITECTURE.split("```")[1]
    steps = {}
    for line in table.strip("\n").splitlines():
        row = re.fullmatch(r" ?(\d+) (\w+) +(.+?) {2,}.*", line)
        assert row, line
        place = _SEAMS.get(row[3], row[3])
        steps[int(row[1]), row[2]] = re.findall(r"[\w/]+(?:\.py|/)", place)
    return steps


def _file(module: str) -> Path:
    """Return the path of a module; of a package such as ``decision/``, the path of its ``__init__.py``."""
    name = module + "__init__.py" if module.endswith("/") else module
    places = (_ROOT / name, _ROOT / "catloader" / name, _ROOT / "checker" / name)
    return next(path for path in places if path.is_file())


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


_MENTION = re.compile(r"\b[Ss]teps? (\d+(?:(?:,|,? and| to) \d+)*)(?:, ([a-z]+(?:(?:,|,? and) [a-z]+)*):)?")


def _numbers_in(docstring: str) -> set[int]:
    """Return the numbers in mentions such as ``Step 7``, ``steps 5 and 10`` and ``Steps 6 to 9``."""
    numbers: set[int] = set()
    for mention in _MENTION.finditer(docstring):
        first, last = (int(re.findall(r"\d+", mention[1])[end]) for end in (0, -1))
        numbers |= (
            set(range(first, last + 1))
            if " to " in mention[1]
            else set(map(int, re.findall(r"\d+", mention[1])))
        )
    return numbers


def _names_in(docstring: str) -> set[str]:
    """Return the names in mentions such as ``Step 7, decode: ...`` and ``Steps 5 and 10, claim and log:``."""
    names = " ".join(mention[2] or "" for mention in _MENTION.finditer(docstring))
    return set(re.findall(r"[a-z]+", names)) - {"and"}


def test_the_steps_are_numbered_from_1_to_10() -> None:
    assert [number for number, _ in _steps()] == list(range(1, 11))
    assert all(_steps().values())


@pytest.mark.parametrize("step", _steps(), ids=lambda step: f"{step[0]}-{step[1]}")
def test_a_module_names_the_steps_it_does(step: tuple[int, str]) -> None:
    number, name = step
    for module in _steps()[step]:
        docstring = _docstring(_file(module))
        assert number in _numbers_in(docstring), f"{module} does not say: step {number}, {name}"


def test_no_module_names_a_step_of_another_module() -> None:
    names = dict(iter(_steps()))
    for folder in ("catloader", "checker", "models"):
        for path in (_ROOT / folder).rglob("*.py"):
            docstring = _docstring(path).partition("\n\n")[0]
            known = {names[number] for number in _numbers_in(docstring)}
            assert _names_in(docstring) <= known, _named(path)


def _tree() -> dict[str, set[str]]:
    """Return the tree of architecture.md: folder (``catloader/web/``) -> its folders and modules."""
    listed: dict[str, set[str]] = {}
    above: list[str] = []
    for line in _ARCHITECTURE.split("```")[5].strip("\n").splitlines():
        name = line.split()[0]
        above[(len(line) - len(line.lstrip())) // 2 :] = []
        if above:
            listed["".join(above)].add(name)
        above.append(name)
        listed["".join(above)] = set()
    return listed


def _packages(folder: Path) -> set[str]:
    return {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("package", ["catloader/", "checker/"])
def test_the_tree_in_the_architecture_is_the_tree_of_the_code(package: str) -> None:
    modules = {path.name for path in (_ROOT / package).glob("[!_]*.py")}
    assert _tree()[package] == _packages(_ROOT / package) | modules


@pytest.mark.parametrize(
    "folder",
    [
        "catloader/cli/",
        "catloader/web/",
        "catloader/store/",
        "catloader/store/db/",
        "checker/pixels/",
        "scripts/",
        "scripts/accuracy/",
    ],
)
def test_the_tree_in_the_architecture_has_the_packages_of_a_large_package(folder: str) -> None:
    assert _tree()[folder] == _packages(_ROOT / folder) - {"migrations/"}


def test_the_tree_in_the_architecture_lists_the_top_level() -> None:
    top = [path for path in _tree() if path.count("/") == 1 and path.endswith("/")]
    assert top == ["catloader/", "checker/", "models/", "scripts/", "deploy/", "tests/"]
    assert all((_ROOT / path).exists() for path in _tree())


def test_every_name_in_the_architecture_exists_in_the_code() -> None:
    names = set(re.findall(r"`(\w+)`", _ARCHITECTURE))
    assert len(names) > 80
    for package in ("catloader", "checker", "models", "tests"):
        for path in (_ROOT / package).rglob("*"):
            if path.suffix in (".py", ".html", ".toml"):
                names -= set(re.findall(r"\w+", path.read_text("utf-8")))
    assert names == set()


def test_the_diagram_has_every_status() -> None:
    diagram = _ARCHITECTURE.split("```")[3]
    assert [status for status in Status if not re.search(rf"\b{status}\b", diagram)] == []


def test_the_settings_page_is_up_to_date() -> None:
    written = (_ROOT / "docs/settings.md").read_text("utf-8")
    assert written == as_markdown(), "run: python -m catloader.settings"


@pytest.mark.parametrize("document", [*_DOCUMENTS, *_DEPLOYMENT], ids=_named)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    known = {name for variable in variables() for name in variable.names}
    settings = re.findall(
        r"\b(?:CATLOADER|CATCHECK|CATCHECKER|AWS|DATABASE)_[A-Z0-9_]*[A-Z0-9]\b", document.read_text("utf-8")
    )
    assert set(settings) - known <= {photo_sets.VARIABLE, "AWS_CA_BUNDLE"}  # of the tests, and boto3's


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_named)
def test_every_command_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = document.read_text("utf-8")
    code = "\n".join([*re.findall(r"```\n(.*?)```", text, re.DOTALL), *re.findall(r"`([^`\n]+)`", text)])
    for target in re.findall(r"\bmake ([a-z-]+)\b", code):
        assert target in targets, f"make {target}"
    for words in re.findall(r"(?:^|[\s/])catloader((?: [a-z][a-z-]*)+)", code, re.MULTILINE):
        _assert_command(words.split())
    # After "`catloader user create`", a document may write "`user promote`" without ``catloader``.
    for group, word in re.findall(r"^(user|check|checker|models|db) ([a-z-]+)\b", code, re.MULTILINE):
        _assert_command([group, word])
    for script in re.findall(r"python (scripts/[\w/]+\.py)", code):
        assert (_ROOT / script).is_file(), script


def _assert_command(words: list[str]) -> None:
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            return  # an argument
        inner = command.get_command(click.Context(command), word)
        assert inner, "catloader " + " ".join(words)
        command = inner


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_named)
def test_every_link_leads_to_an_existing_file_and_heading(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def test_the_quick_start_is_three_lines() -> None:
    quick_start = (_ROOT / "README.md").read_text("utf-8").partition("## Quick start")[2].split("```")[1]
    assert [line.split()[:2] for line in quick_start.strip().splitlines()] == [
        ["make", "run"],
        ["make", "demo"],
        ["make", "test"],
    ]


def test_the_readme_names_every_model() -> None:
    table = (_ROOT / "README.md").read_text("utf-8").partition("## Models")[2].partition("## ")[0]
    assert set(load_catalogue()) - set(re.findall(r"`(\w+)`", table)) == set()


def test_figures_of_the_faults_equal_the_measured_ones() -> None:
    measured = report.table(report.read())
    assert measured.count("\n") > 10
    assert measured in (_ROOT / "docs/promises.md").read_text("utf-8")


def test_figures_of_the_coverage_equal_the_measured_ones() -> None:
    measured = json.loads((_ROOT / "scripts/results/coverage.json").read_text("utf-8"))
    text = (_ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for name, percent in measured["percent_of_lines_and_branches"].items():
        assert (f"{percent} % of lines" if name == "total" else f"{name} {percent} %") in " ".join(
            text.split()
        )


def test_every_test_that_is_named_exists() -> None:
    names = [
        name
        for document in _DOCUMENTS
        for name in re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", document.read_text("utf-8"))
    ]
    assert len(names) > 40
    for file, test in names:
        assert re.search(rf"\n *def {test}\(", (_ROOT / file).read_text("utf-8")), f"{file}::{test}"


def test_every_item_of_the_security_page_leads_to_its_promises() -> None:
    items = re.findall(r"^- \*\*(.+?)\*\*", (_ROOT / "docs/security.md").read_text("utf-8"), re.MULTILINE)
    assert len(items) > 20
    promised = [item for item in items if item != "Not available yet"]
    assert [item for item in promised if not re.fullmatch(r"\[.+\]\(promises\.md#[a-z-]+\)", item)] == []
