"""The language of docstrings, tests and documents: plain technical English, with the glossary's words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

_THIS_FILE = Path(__file__).resolve()
_ROOT = _THIS_FILE.parents[1]
_QUESTION = re.compile(r"(What|Who|Whose|Whom|Whether|Where|Why|How|Which|When)\b")
# Words of the first version that the glossary has replaced.
_REPLACED = re.compile(
    r"\b(knobs?|on air|small talk|droppings|for good|in vain|stood its self-test|strike out|nobody's|"
    r"take back|goes on|go on|going on|think better of|grain of salt|for the company's sake|come to rest)\b",
    re.IGNORECASE,
)
# Such names say how a value came about, not what it is.
_EMPTY_NAMES = frozenset({"asked", "found", "ours", "said", "theirs", "there", "told", "way", "ways"})


def _docstrings(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (place, text) of every docstring, and of every string that documents a field."""
    for path in sorted((_ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not hasattr(node, "body") or not isinstance(node.body, list):
                continue
            for statement in node.body:
                value = getattr(statement, "value", None)
                text = value.value if isinstance(value, ast.Constant) else None
                if isinstance(statement, ast.Expr) and isinstance(text, str):
                    yield f"{path.relative_to(_ROOT)}:{statement.lineno}", text.strip()


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["catloader", "checker", "models", "scripts", "tests"])
def test_docstrings_do_not_open_with_a_question_word(folder: str) -> None:
    docstrings = list(_docstrings(folder))
    assert len(docstrings) > 20
    offenders = [f"{place}: {text.splitlines()[0]}" for place, text in docstrings if _QUESTION.match(text)]
    assert offenders == []


def _lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    """Return the lines that match the pattern, with their places; skip this file, which has the patterns."""
    return [
        f"{path.relative_to(_ROOT)}:{number}: {line.strip()}"
        for path in paths
        if path != _THIS_FILE
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("folder", ["catloader", "checker", "models", "scripts", "tests", "docs"])
def test_replaced_words_do_not_come_back(folder: str) -> None:
    paths = [path for suffix in ("py", "html", "js", "md") for path in (_ROOT / folder).rglob(f"*.{suffix}")]
    assert _lines_with(_REPLACED, sorted(paths)) == []


def test_denials_of_a_noun_use_not() -> None:
    """Write "this is not a number": "this is no number" is a translation. "There is no number" is English."""
    denied = re.compile(
        r"(?<!there )(?<!also )(?<!still )\b(is|are|was|were) no (?!longer|more|faster)\w", re.I
    )
    paths = [*_markdown(), *(path for suffix in ("py", "js", "html") for path in _code(suffix))]
    assert _lines_with(denied, paths) == []


def test_test_names_state_a_behaviour() -> None:
    names = [
        f"{path.relative_to(_ROOT)}: {name}"
        for path in sorted((_ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
        if re.match(r"test_(what|who|whose|where|why|how|which|whether)_", name)
    ]
    assert names == []


@pytest.mark.parametrize("folder", ["catloader", "checker", "models", "scripts"])
def test_variables_are_named_by_their_content(folder: str) -> None:
    offenders = []
    for path in sorted((_ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            elif isinstance(node, ast.arg):
                name = node.arg
            else:
                continue
            if name.strip("_").split("_")[0] in _EMPTY_NAMES:
                offenders.append(f"{path.relative_to(_ROOT)}:{node.lineno}: {name}")
    assert offenders == []


_MARKDOWN_COLUMNS = 120


def test_lines_of_documents_are_wrapped() -> None:
    """Tables, code blocks, links and inline code can't be wrapped."""
    offenders, documents = [], 0
    for path in sorted(_markdown()):
        documents += 1
        text = re.sub(
            r"^ *```.*?^ *```",
            lambda code: "\n" * code[0].count("\n"),
            path.read_text("utf-8"),
            flags=re.M | re.S,
        )
        for number, line in enumerate(text.splitlines(), 1):
            prose = re.sub(r"!?\[[^\]]*\]\([^)]*\)|`[^`]+`", "", line)
            if (
                len(line) > _MARKDOWN_COLUMNS
                and " " in prose.strip(" -*")
                and not line.lstrip().startswith("|")
            ):
                offenders.append(f"{path.relative_to(_ROOT)}:{number}")
    assert documents > 20
    assert offenders == []


def _markdown() -> Iterator[Path]:
    yield from _ROOT.glob("*.md")
    for folder in ("catloader", "checker", "deploy", "docs", "models", "scripts", "tests"):
        yield from (_ROOT / folder).rglob("*.md")


def test_code_calls_a_photo_a_photo() -> None:
    """In Python and JavaScript an ``image`` is what Pillow or the browser has decoded."""
    code = [path for suffix in ("py", "js", "html", "css") for path in _code(suffix)]
    assert _lines_with(re.compile(r"(?<!soft.)picture", re.IGNORECASE), code) == []


def _code(suffix: str) -> list[Path]:
    folders = ("catloader", "checker", "models", "scripts", "tests")
    return sorted(path for folder in folders for path in (_ROOT / folder).rglob(f"*.{suffix}"))


def test_documents_and_pages_call_a_photo_a_photo() -> None:
    """The glossary has one term; ``soft picture`` is the name of a kind in files that people have."""
    documents = [_ROOT / "README.md", *(_ROOT / "docs").glob("*.md")]
    texts = {str(path.relative_to(_ROOT)): path.read_text("utf-8") for path in documents}
    with (_ROOT / "catloader/languages/de.po").open("rb") as file:
        texts["de.po"] = "\n".join(str(message.id) for message in read_po(file))
    texts["the API"] = (_ROOT / "catloader/api_models.py").read_text("utf-8")
    offenders = {
        name: re.findall(r"[^.\n]*\bpictures?\b[^.\n]*", re.sub(r"`[^`\n]+`|\"picture\"", "", text))
        for name, text in texts.items()
    }
    assert {name: sentences for name, sentences in offenders.items() if sentences} == {}
