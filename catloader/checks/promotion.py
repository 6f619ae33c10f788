"""The model that ``CATCHECK_MODEL=auto`` stands for on this site: the promoted one, else the catalogue's.

``DATA_DIR/model.json`` holds the promoted model and the one before; ``auto`` in it is the catalogue's rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from catloader.checks.runtime_request import runtime_request
from catloader.errors import StartupError
from catloader.settings import Settings
from checker.decision.subject import load_subject
from checker.runtimes.auto import AUTO, Better, better, candidates
from models.catalogue import Entry, resolve
from models.errors import ModelsError, WeightsMissing


class NothingToRollBack(ModelsError):
    """A rollback without a promotion."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """The content of ``model.json``."""

    current: str = AUTO
    previous: str | None = None
    """None: nothing was promoted yet."""


def read_promotion(settings: Settings) -> Promotion:
    """Read ``model.json``; without the file, nothing was promoted.

    Raises:
        StartupError: the file is damaged. Another model than the promoted one must not serve.
    """
    path = _file(settings)
    try:
        data = json.loads(path.read_text("utf-8"))
        return Promotion(str(data["current"]), str(data["previous"]))
    except (FileNotFoundError, NotADirectoryError):
        return Promotion()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(f"{path} can't be read; delete it, then promote the model again.") from error


def model_in_force(settings: Settings) -> str:
    """Return a name of the catalogue, or ``auto``. A name in ``CATCHECK_MODEL`` wins over a promotion."""
    return read_promotion(settings).current if settings.model == AUTO else settings.model


def resolve_model(settings: Settings) -> tuple[Entry, Path]:
    """Return the model in force and the path of its weights. Raises as ``models_in_force`` does."""
    return models_in_force(settings)[0]


def better_model(settings: Settings) -> Better | None:
    """Return the model that ``auto`` would take if what it needs were here, where that may be fetched."""
    if settings.fetch == "off" or model_in_force(settings) != AUTO:
        return None
    return better(load_subject(settings.subject), runtime_request(settings))


def models_in_force(settings: Settings) -> list[tuple[Entry, Path]]:
    """Return the model in force and the path of its weights; with ``auto``, also those that come after it.

    Raises:
        UnknownModel, WeightsMissing, StartupError, ModelRefused: says what to do.
    """
    return models_named(settings, model_in_force(settings))


def models_named(settings: Settings, name: str) -> list[tuple[Entry, Path]]:
    """As ``models_in_force``, for a name of the catalogue or ``auto``."""
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


def promote(settings: Settings, name: str) -> Promotion:
    """Write ``name``, which has been loaded and has passed its self-test; no change if it is current."""
    before = read_promotion(settings)
    if name == before.current:
        return before
    promotion = Promotion(name, before.current)
    _write(settings, promotion)
    return promotion


def rollback_target(settings: Settings) -> str:
    """Return the model before the last promotion.

    Raises:
        NothingToRollBack: there was no promotion.
    """
    previous = read_promotion(settings).previous
    if previous is None:
        raise NothingToRollBack("No model was promoted here, so there is none to return to.")
    return previous


def _file(settings: Settings) -> Path:
    return settings.data_dir / "model.json"


def _write(settings: Settings, promotion: Promotion) -> None:
    path = _file(settings)
    draft = path.with_suffix(".draft")
    content = {"current": promotion.current, "previous": promotion.previous}
    draft.write_text(json.dumps(content) + "\n", "utf-8")
    draft.replace(path)
