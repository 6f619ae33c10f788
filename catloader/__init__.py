"""CatLoader: people upload photos, and the Cat Checker decides which photos show a cat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from catloader.settings import Settings
    from catloader.wiring import Services


def create_app(settings: Settings | None = None, services: Services | None = None) -> Flask:
    """Make the application of one web process.

    If ``services`` is None, they are built from ``settings`` (or the environment), and closed at exit.
    """
    # Imported here: `import catloader.errors` should not import Flask.
    from catloader.web import make_app, own_services

    return make_app(services if services is not None else own_services(settings))
