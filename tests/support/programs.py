"""Programs that use the API of a site under test."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from catloader.accounts import api_tokens
from catloader.accounts.api_tokens import Scope
from catloader.store.db.engine import utcnow
from tests.support.site import Person, jpeg, services_of


def token_of(
    app: Flask, person: Person, *scopes: str, name: str = "a program", days: int | None = None
) -> str:
    """Make a token for a person's account; it has all scopes by default."""
    services = services_of(app)
    return api_tokens.create(
        services.api_tokens,
        person.id,
        name,
        scopes or tuple(Scope),
        days=days,
        secret=services.secret_key,
        now=utcnow(),
    )


class Program:
    """A client with a token and no cookies."""

    def __init__(self, app: Flask, token: str = "") -> None:
        self._client = app.test_client(use_cookies=False)
        self.header = f"Bearer {token}" if token else ""
        self._headers = {"Authorization": self.header} if token else {}

    def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> TestResponse:
        return self._client.open(path, method=method, headers={**self._headers, **(headers or {})}, **options)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.send("GET", path, headers)

    def upload(self, data: bytes | None = None, *, key: str = "", kind: str = "image/jpeg") -> TestResponse:
        """Send a photo as the request body; ``key`` is its ``Idempotency-Key``."""
        headers = {"Content-Type": kind, **({"Idempotency-Key": key} if key else {})}
        return self.send("POST", "/api/v1/photos", headers, data=jpeg() if data is None else data)


def assert_problem(response: TestResponse, status: int) -> str:
    """Check a problem details response (RFC 9457); return its detail."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    problem = response.json
    assert problem is not None
    assert problem["status"] == status
    assert problem["title"]
    detail: str = problem["detail"]
    assert detail.endswith("."), detail
    return detail
