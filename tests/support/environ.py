"""The environment of programs that tests start, without the settings of the person who runs the tests."""

from __future__ import annotations

import os

from catloader.settings import variables


def environ_without_settings(**settings: object) -> dict[str, str]:
    """Return this process's environment, with ``settings`` (by variable) instead of its own.

    A site that runs under test fetches no model, whatever is reachable.
    """
    names = {name for variable in variables() for name in variable.names}
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return inherited | {"CATCHECK_FETCH": "off"} | {name: str(value) for name, value in settings.items()}
