"""An administrator and a reviewer, logged in."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.support.site import Person, services_of


def administrator_of(app: Flask) -> Person:
    administrator = Person(app, "boss@example.org")
    services_of(app).users.grant(administrator.id, "admin")
    return administrator


@pytest.fixture
def administrator(app: Flask) -> Person:
    return administrator_of(app)


@pytest.fixture
def rita(app: Flask) -> Person:
    """A reviewer."""
    rita = Person(app, "rita@example.org")
    services_of(app).users.grant(rita.id, "reviewer")
    return rita
