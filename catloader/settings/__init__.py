"""The settings: one table, read once from the environment.

``table`` declares every setting with its environment variable, default, bounds and meaning. ``environment``
reads the settings, also from files (``*_FILE``), and warns of unknown names. ``page`` writes
``docs/settings.md``.
"""

from catloader.settings.kept_secret import KEY_FILE, kept_secret
from catloader.settings.table import Settings
from catloader.settings.variables import Variable, variables

__all__ = ["KEY_FILE", "Settings", "Variable", "kept_secret", "variables"]
