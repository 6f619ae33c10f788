"""Which network ``CATCHECK_MODEL=auto`` means here: the one that was promoted, else the catalogue's rule.

``DATA_DIR/model.json`` holds the promoted one and the one before; ``auto`` in it is the catalogue's rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from catloader.errors import StartupError
from catloader.settings import Settings
from models.catalogue import Entry, resolve
from models.errors import ModelsError, WeightsMissing

AUTO = "auto"


class NothingBefore(ModelsError):
    """A rollback without a promotion."""


@dataclass(frozen=True, slots=True)
class Choice:
    current: str = AUTO
    previous: str | None = None
    """None: nothing was promoted yet."""


def choice_file(settings: Settings) -> Path:
    return settings.data_dir / "model.json"


def read_choice(settings: Settings) -> Choice:
    """Raises StartupError where the file is broken: another network than the chosen one must not serve."""
    path = choice_file(settings)
    try:
        data = json.loads(path.read_text("utf-8"))
        return Choice(str(data["current"]), str(data["previous"]))
    except (FileNotFoundError, NotADirectoryError):
        return Choice()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(
            f"{path} cannot be read; delete it, and promote the network that you want again."
        ) from error


def write_choice(settings: Settings, choice: Choice) -> None:
    path = choice_file(settings)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"current": choice.current, "previous": choice.previous}) + "\n", "utf-8")
    draft.replace(path)


def model_in_force(settings: Settings) -> str:
    """A name of the catalogue, or ``auto``. A name in ``CATCHECK_MODEL`` wins over a promotion."""
    return read_choice(settings).current if settings.model == AUTO else settings.model


def resolve_model(settings: Settings) -> tuple[Entry, Path]:
    """The network in force and its weights.

    Raises:
        UnknownModel, WeightsMissing, StartupError: says what to do.
    """
    name = model_in_force(settings)
    try:
        return resolve(name, settings.weights_dir)
    except WeightsMissing as error:
        if name == settings.model:
            raise
        raise WeightsMissing(
            f"The weights of the promoted network {name} are not on disk; `catloader models fetch {name}` "
            "brings them, `catloader models rollback` goes back."
        ) from error


def overruled(settings: Settings) -> str | None:
    """The promoted network that an explicit ``CATCHECK_MODEL`` keeps out, if it does."""
    promoted = read_choice(settings).current
    return None if settings.model == AUTO or promoted in (AUTO, settings.model) else promoted


def promote(settings: Settings, name: str) -> Choice:
    """Call it when ``name`` was loaded and stood its self-test. Promoting the current one changes nothing."""
    before = read_choice(settings)
    if name == before.current:
        return before
    choice = Choice(name, before.current)
    write_choice(settings, choice)
    return choice


def back(settings: Settings) -> str:
    """What a rollback would go to.

    Raises:
        NothingBefore: there was no promotion.
    """
    previous = read_choice(settings).previous
    if previous is None:
        raise NothingBefore("No network was promoted here, so there is none to go back to.")
    return previous
