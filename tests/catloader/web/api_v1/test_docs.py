"""The OpenAPI document and its page."""

from __future__ import annotations

import re

from flask import Flask

from tests.support.databases import ON_SQLITE
from tests.support.site import Person

pytestmark = ON_SQLITE


def test_the_document_describes_every_address_of_the_api(app: Flask) -> None:
    document = Person(app).get("/openapi.json").json
    assert document is not None
    assert document["openapi"] == "3.1.0"
    described = {
        (path, method.upper()) for path, operations in document["paths"].items() for method in operations
    }
    rules = {
        (re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == rules


def test_every_error_is_described_as_problem_details(app: Flask) -> None:
    document = Person(app).get("/openapi.json").json
    assert document is not None
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["security"] == [{"token": []}]
            errors = {status: one for status, one in operation["responses"].items() if status >= "400"}
            assert {"400", "401", "403", "429", "500", "503"} <= set(errors)
            for one in errors.values():
                assert one["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }


def test_every_operation_with_a_body_describes_the_refusals_of_bodies(app: Flask) -> None:
    """A body can be too large, or of a wrong type, or find no room in the temporary folder."""
    document = Person(app).get("/openapi.json").json
    assert document is not None
    operations = [one for path in document["paths"].values() for one in path.values() if "requestBody" in one]
    assert len(operations) == 3
    for one in operations:
        assert {"413", "415", "507"} <= set(one["responses"]), one["operationId"]


def test_the_page_shows_the_document_without_inline_scripts_and_other_hosts(app: Flask) -> None:
    page = Person(app).get("/docs/api")
    assert page.status_code == 200
    shown = page.text.replace("<wbr>", "")
    limits = ("integer, 1 to 100; if absent: <code>50</code>", "string, at most 255 characters")
    for text in ("POST /api/v1/check", "Idempotency-Key", "photos:write", "weights_sha256", *limits):
        assert text in shown
    of_every_page = re.findall(
        r'<script type="module" src="/static/(?:forms|kept-text).js[^"]*"></script>', page.text
    )
    assert page.text.count("<script") == len(of_every_page) == 2
    assert not re.search(r"""\sstyle=|(src|href|action)=["'](https?:)?//""", page.text)


def test_the_page_marks_code_in_every_description(app: Flask) -> None:
    page = Person(app).get("/docs/api").text
    assert "`" not in page
    for text in (
        "With <code>If-None-Match</code>, the response is 304",
        "Needs the scope <code>photos:write</code>.",
        "The <code>next</code> of the previous page.",
        "Try again after <code>Retry-After</code> seconds.",
    ):
        assert text in page
