"""The OpenAPI document, made by SpecTree from the typed views."""

from __future__ import annotations

import copy
from typing import Any

from flask import current_app, request
from pydantic import ValidationError
from spectree import Response, SecurityScheme, SpecTree, Tag
from spectree.models import SecureType, SecuritySchemeData

from catloader.accounts.api_tokens import Scope
from catloader.api_models import Problem
from catloader.errors import InvalidInput, WrongContentType
from catloader.web.http import problems

PHOTOS = Tag(name="photos", description="The photos of the account.")
CHECKS = Tag(name="checks", description="Check photos without storing them.")

_BEARER = "token"
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}
_PHOTO_TYPES = ("image/*", "application/octet-stream")
_USUAL_ERRORS = {
    400: "The request can't be parsed, or a value is not accepted.",
    401: "The API token is missing, unknown, revoked or expired.",
    403: "The API token lacks the scope.",
    429: "Too many requests with wrong tokens from this network.",
    500: "An error of the site, which was logged.",
    503: "The site is busy, or a part of it is not responding. Try again after `Retry-After` seconds.",
}
_OTHERS = {
    302: "The JPEG is at `Location`, a signed address of the object store (CATLOADER_DELIVERY=url).",
    304: "Unchanged: `If-None-Match` has the current ETag.",
}
_MORE_ERRORS = {
    404: "The photo does not exist, or it belongs to someone else.",
    409: "Not possible in the current state.",
    413: "The body is too large, or the account has reached its quota.",
    415: "The content is not a photo in an accepted format, or not the expected type.",
    422: "The photo is damaged, or the Idempotency-Key was used for another file.",
    501: "The web processes of this site do not check photos.",
    502: "The photo store holds a damaged copy.",
    507: "The disk of the site is full.",
}


# Pydantic's own messages contain a regular expression, or names of Python types.
_OWN_WORDS = {
    "string_pattern_mismatch": "Input should be a value from a response of this site",
    "int_parsing": "Input should be a whole number",
    "int_type": "Input should be a single whole number",
    "string_too_long": "Input should have at most {max_length} characters",
    "string_type": "Input should be text",
    "string_unicode": "Input should be Unicode text",
}


def _raise(_request: Any, _response: Any, error: Exception | None, *_: Any) -> None:
    """Turn a validation error of Pydantic into an error of the site, which becomes a problem document."""
    view = current_app.view_functions[request.endpoint or ""]
    reads_json = request.method == "POST" and not getattr(view, "takes_photo", False)
    if reads_json and request.mimetype not in ("application/json", ""):
        raise WrongContentType("application/json")  # else SpecTree would call the view without a body
    if not isinstance(error, ValidationError):
        return
    if reads_json and not isinstance(request.get_json(force=True, silent=True), dict):
        raise InvalidInput("The body must be a JSON object.")
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    message = _OWN_WORDS.get(first["type"], "").format(**first.get("ctx", {})) or first["msg"]
    raise InvalidInput(f"{field}: {message}.")


api = SpecTree(
    "flask",
    mode="strict",
    title="CatLoader",
    version="1",
    description="Upload photos, read their verdicts, and check photos without storing them.",
    before=_raise,
    after=lambda *_: None,
    validation_error_status=400,
    validation_error_model=Problem,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _parent, child: child,
    security_schemes=[
        SecurityScheme(
            name=_BEARER,
            data=SecuritySchemeData(
                type=SecureType.HTTP, scheme="bearer", description="An API token, made on the account page."
            ),
        )
    ],
    security={_BEARER: []},
)


def responses(
    status: int, model: Any = None, *, errors: tuple[int, ...] = (), others: tuple[int, ...] = ()
) -> Response:
    """Describe the responses of a view: success, ``others``, the usual errors, and its own ``errors``."""
    texts = {**_USUAL_ERRORS, **{code: _MORE_ERRORS[code] for code in errors}}
    described: dict[str, Any] = {f"HTTP_{code}": (Problem, text) for code, text in sorted(texts.items())}
    described |= {f"HTTP_{code}": (None, _OTHERS[code]) for code in others}
    return Response(**{f"HTTP_{status}": model, **described})


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of this application."""
    document: dict[str, Any] = copy.deepcopy(api.spec)  # SpecTree builds it once
    document["servers"] = [{"url": request.script_root or "/"}]  # a proxy may serve the site below a path
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return document


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Add what the models can't express: bodies that are not plain JSON, and headers of responses."""
    view: Any = current_app.view_functions[operation["operationId"]]
    operation["security"] = [{_BEARER: []}]
    operation["description"] = f"{operation['description']} Needs the scope `{view.scope}`.".strip()
    if getattr(view, "takes_photo", False):
        caption = {"caption": {"type": "string"}} if view.scope == Scope.WRITE else {}
        form = {"type": "object", "properties": {"photo": _FILE, **caption}, "required": ["photo"]}
        content = {kind: {"schema": _FILE} for kind in _PHOTO_TYPES}
        operation["requestBody"] = {
            "required": True,
            "content": {**content, "multipart/form-data": {"schema": form}},
        }
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            content = response.get("content", {})
            response["content"] = {problems.MIME_TYPE: content.get("application/json", {})}
        if status in ("429", "503"):
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        elif status == "202":
            response["headers"] = {"Location": {"schema": {"type": "string"}}}
        elif status == "200" and path.endswith(".jpg"):
            response["content"] = {"image/jpeg": {"schema": _FILE}}
