"""The settings of a command: read once, on first use, and handed on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import click

from catloader.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Pass the settings to a command as its first argument.

    They are read when the command runs, not before: ``--help`` must work with a wrong setting.
    """

    @functools.wraps(command)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        root = click.get_current_context().find_root()
        if root.obj is None:
            root.obj = Settings.from_environment()
        return command(root.obj, *args, **kwargs)

    return with_settings
