"""The lines on the terminal: starting, ready for uploads, the model in use, stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import click

from catloader.checks.promotion import overruled, resolve_model
from catloader.logs import configure, printed
from catloader.server.ending import clean_up_on_sigterm
from catloader.settings import Settings
from catloader.wiring import Services
from checker.decision.subject import load_subject

Announce = Callable[[str, Services], None]
"""Called with the server's address and the services once the server has responded; may block."""


def say(line: str) -> None:
    """Print a line; a closed terminal is not an error."""
    with contextlib.suppress(OSError):
        click.echo(printed(line))


def stopped(code: int) -> int:
    """Print a line after a successful stop; return the exit code."""
    if code == 0:
        say("Stopped.")
    return code


def log_to_stderr(settings: Settings) -> None:
    """Set up the log, and make SIGTERM run the clean-up, like Ctrl-C."""
    clean_up_on_sigterm()
    configure(settings.log_format)


def announcement(settings: Settings, opening: str, *, checks_here: bool) -> Announce:
    """Prepare the lines that a command prints once it is serving.

    Args:
        opening: the first words; ``{url}`` is replaced by the server's address.

    Raises:
        ModelsError, ModelRefused: the weights or the subject are missing. This is the most frequent reason
            for a failed start, so it is detected before anything is started.
    """
    stores, model_note = _stores(settings), _model_note(settings) if checks_here else ""
    checks = (
        f"loading the model {resolve_model(settings)[0].name} ..." if checks_here else _elsewhere(settings)
    )

    def announce(url: str, services: Services) -> None:
        say(f"{opening.format(url=url)} ({stores}); {checks}")
        if checks_here:
            _announce_model(services, model_note)

    return announce


def _announce_model(services: Services, note: str) -> None:
    """Wait until a model is loaded, which may never happen, then print the variant in use."""
    assert services.checker is not None
    services.checker.ready.wait()
    state = services.checker.state()
    if state["state"] == "ready":
        variant = f"{state['runtime']} {state['precision']}, {state['device']}"
        say(f"Checking with {state['model']} ({variant}){note}")
        if reason := state.get("why_not_faster"):
            say(reason)


def _stores(settings: Settings) -> str:
    s3 = "embedded SeaweedFS" if settings.embedded_s3 else f"S3 at {settings.s3_endpoint_url}"
    if isinstance(settings.database, Path):
        return f"{s3}; SQLite in {settings.data_dir}/"
    if settings.database.startswith("sqlite"):
        return f"{s3}; SQLite in {settings.database.partition(':///')[2]}"
    return f"{s3}; PostgreSQL"


def _elsewhere(settings: Settings) -> str:
    if settings.dispatch == "external":
        return f"checks: by the Cat Checker at {settings.checker_url}"
    if settings.dispatch == "celery":
        return "checks: none here; run `catloader worker`, which the broker wakes"
    return "checks: none here; run `catloader worker`"


def _model_note(settings: Settings) -> str:
    subject = load_subject(settings.subject).name
    note = "" if subject == "house_cat" else f", looking for {subject}"
    if promoted := overruled(settings):
        note += f"; CATCHECK_MODEL={settings.model} wins over the promoted model {promoted}"
    return note
