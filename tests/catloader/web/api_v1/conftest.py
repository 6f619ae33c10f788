"""A site whose API is tested, and Anna with an API program."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.support.programs import Program, token_of
from tests.support.site import Person


@pytest.fixture(scope="module")
def site_settings() -> dict[str, Any]:
    return {"max_file_bytes": 100_000, "login_rate": "3 per hour", "bin_days": 30}


@pytest.fixture
def anna(app: Flask) -> Person:
    return Person(app, "anna@example.org")


@pytest.fixture
def program(app: Flask, anna: Person) -> Program:
    return Program(app, token_of(app, anna))
