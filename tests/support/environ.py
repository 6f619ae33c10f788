"""The environment of programs that tests start, without the settings of the person who runs the tests."""

from __future__ import annotations

import os

from catloader.settings import variables


def environ_without_settings(**settings: object) -> dict[str, str]:
    """Return this process's environment without the site's settings, plus ``settings`` (by variable).

    ``CATCHECK_FETCH=off`` is added: a site under test must not fetch a model, even where it could.
    """
    names = {name for variable in variables() for name in variable.names}
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return inherited | {"CATCHECK_FETCH": "off"} | {name: str(value) for name, value in settings.items()}
