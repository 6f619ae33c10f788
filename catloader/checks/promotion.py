"""The model that ``CATCHECK_MODEL=auto`` means on this site: the promoted model, else the catalogue's choice.

The choice and its history are in the database (``ModelChoices``), and running checkers follow them. Each data
folder's ``model.json`` has the promoted model and the previous model, as a checker or a command last read
them from the database. ``auto`` in ``model.json`` means that no model is promoted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catloader.checks.runtime_request import runtime_request
from catloader.errors import StartupError
from catloader.settings import Settings
from catloader.store.db.checks.model_choices import ModelChoices
from checker.decision.subject import load_subject
from checker.files import write_whole
from checker.runtimes.selection.auto import AUTO, Better, better, candidates
from models.catalogue import Entry, resolve
from models.errors import ModelsError, WeightsMissing


class NothingToRollBack(ModelsError):
    """There was no promotion that a rollback could undo."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The current model and the previous one."""

    current: str = AUTO
    previous: str | None = None
    """The model before the last promotion; None: there was no promotion."""


def read_promotion(settings: Settings) -> Promotion:
    """Read ``model.json``; without the file, nothing was promoted.

    Raises:
        StartupError: the file is damaged. Only the promoted model may serve, so there is no default.
    """
    path = _file(settings)
    try:
        data = json.loads(path.read_text("utf-8"))
        current, previous = str(data["current"]), data["previous"]
        return Promotion(current, None if previous is None else str(previous))
    except (FileNotFoundError, NotADirectoryError):
        return Promotion()
    except OSError as error:
        raise StartupError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StartupError(f"{path} can't be read; delete it, then promote the model again.") from error


def model_in_force(settings: Settings) -> str:
    """Return a name of the catalogue, or ``auto``. A name in ``CATCHECK_MODEL`` wins over a promotion."""
    return read_promotion(settings).current if settings.model == AUTO else settings.model


def resolve_model(settings: Settings) -> tuple[Entry, Path]:
    """Return the model in force and the path of its weights. Raises as ``models_in_force`` does."""
    return models_in_force(settings)[0]


def better_model(settings: Settings) -> Better | None:
    """Return the better model that ``auto`` would choose if its missing files were fetched, if any."""
    if settings.fetch == "off" or model_in_force(settings) != AUTO:
        return None
    return better(load_subject(settings.subject), runtime_request(settings))


def models_in_force(settings: Settings) -> list[tuple[Entry, Path]]:
    """Return the current model and the path of its weights; with ``auto``, the fallback models too.

    Raises:
        UnknownModel, WeightsMissing, StartupError, ModelRefused: the text says what to do.
    """
    return models_named(settings, model_in_force(settings))


def models_named(settings: Settings, name: str) -> list[tuple[Entry, Path]]:
    """Like ``models_in_force``, for a name of the catalogue or ``auto``."""
    if name == AUTO:
        return candidates(load_subject(settings.subject), runtime_request(settings))
    try:
        return [resolve(name, settings.weights_dir)]
    except WeightsMissing as error:
        if name == settings.model:
            raise
        raise WeightsMissing(
            f"The weights of the promoted model {name} are not on disk: run `catloader models fetch {name}`, "
            "or `catloader models rollback` to return to the model before it."
        ) from error


def overruled(settings: Settings) -> str | None:
    """Return the promoted model that a name in ``CATCHECK_MODEL`` overrules, if there is one."""
    promoted = read_promotion(settings).current
    return None if settings.model == AUTO or promoted in (AUTO, settings.model) else promoted


def promote(
    settings: Settings,
    choices: ModelChoices,
    name: str,
    actor_id: int | None,
    now: datetime,
    *,
    is_loaded: bool = False,
) -> Promotion:
    """Choose the model that all checkers load next; nothing changes if it is the current model.

    Args:
        actor_id: None: a person at the command line.
        is_loaded: the caller has loaded the model, and its self-test has passed. Otherwise the first checker
            loads it; if that fails, the checker refuses the choice and the previous model stays.
    """
    return _choose(
        settings, choices, name, act="promoted model", actor_id=actor_id, now=now, is_loaded=is_loaded
    )


def roll_back(
    settings: Settings,
    choices: ModelChoices,
    actor_id: int | None,
    now: datetime,
    *,
    is_loaded: bool = False,
) -> Promotion:
    """Choose the model before the last promotion; a second call redoes the promotion.

    Raises as ``rollback_target``.
    """
    name = rollback_target(settings, choices)
    return _choose(
        settings, choices, name, act="rolled back to model", actor_id=actor_id, now=now, is_loaded=is_loaded
    )


def rollback_target(settings: Settings, choices: ModelChoices) -> str:
    """Return the model before the last promotion.

    Raises:
        NothingToRollBack: there was no promotion.
    """
    previous = choices.previous() or (None if choices.current() else read_promotion(settings).previous)
    if previous is None:
        raise NothingToRollBack("No model was promoted here, so there is none to return to.")
    return previous


def current_name(settings: Settings, choices: ModelChoices) -> str:
    """Return the model in force, like ``model_in_force``, but from the database."""
    choice = choices.current() if settings.model == AUTO else None
    return choice.model if choice else model_in_force(settings)


def keep(settings: Settings, promotion: Promotion) -> None:
    """Write ``model.json``."""
    content = {"current": promotion.current, "previous": promotion.previous}
    write_whole(_file(settings), (json.dumps(content) + "\n").encode())


def _choose(
    settings: Settings,
    choices: ModelChoices,
    name: str,
    *,
    act: str,
    actor_id: int | None,
    now: datetime,
    is_loaded: bool,
) -> Promotion:
    before = read_promotion(settings).current
    choices.choose(name, before, act, actor_id, now, is_loaded=is_loaded)
    return Promotion(name, choices.previous())


def _file(settings: Settings) -> Path:
    return settings.data_dir / "model.json"
