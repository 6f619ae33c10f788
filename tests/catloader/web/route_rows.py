"""All addresses with the response that each role gets; ``test_route_matrix`` tests the site by this table.

A row with 404 for others is a promise: they get the same response as for a photo that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.site import PASSWORD

LOGIN = "log-in page"
"""A redirect to the log-in page."""
Answer = int | str


class Row(NamedTuple):
    """The responses to a person with a browser.

    A user whose account is disabled gets the response for a visitor. ``photo`` is the state of the owner's
    private photo, or of whatever else the address names.
    """

    visitor: Answer
    other: Answer
    owner: Answer
    reviewer: Answer
    admin: Answer
    form: Mapping[str, Any] = {}
    photo: str = "cat"


class ApiRow(NamedTuple):
    """The responses to a program; ``cookie`` is the owner's browser, which sends no token."""

    nothing: int
    cookie: int
    without_scope: int
    other: int
    owner: int
    body: Mapping[str, Any] = {}
    photo: str = "cat"


def _all(status: Answer, **more: Any) -> Row:
    return Row(status, status, status, status, status, **more)


def _users(status: Answer, **more: Any) -> Row:
    return Row(LOGIN, status, status, status, status, **more)


def _own(status: Answer, **more: Any) -> Row:
    return Row(LOGIN, 404, status, 404, 404, **more)


def _staff(status: Answer, **more: Any) -> Row:
    return Row(LOGIN, 404, 404, status, status, **more)


def _admin(status: Answer, **more: Any) -> Row:
    return Row(LOGIN, 404, 404, 404, status, **more)


def _token(status: int, *, other: int | None = None, **more: Any) -> ApiRow:
    return ApiRow(401, 401, 403, status if other is None else other, status, **more)


def _own_by_token(status: int, **more: Any) -> ApiRow:
    return _token(status, other=404, **more)


ROWS = {
    "GET /": Row(200, 303, 303, 303, 303),
    "GET /static/<path:filename>": _all(200),
    "GET /healthz": _all(200),
    "GET /livez": _all(200),
    "GET /readyz": _all(503),  # the site of this test never loads a model
    "GET /metrics": _all(401),
    "POST /checkcatimages-api": _all(401),
    "GET /checkcatimages-api": _all(200),
    "GET /checkcatimages": _all(200),
    "GET /openapi.json": _all(200),
    "GET /docs/api": _all(200),
    "GET /register": Row(200, 303, 303, 303, 303),
    "POST /register": _all(303, form={"email": "new@example.org", "password": PASSWORD}),
    "GET /login": Row(200, 303, 303, 303, 303),
    "POST /login": _all(401, form={"email": "new@example.org", "password": "wrong password"}),
    "POST /logout": _all(303),
    "GET /account": _users(200),
    "GET /account/email": _users(303),
    "GET /account/password": _users(303),
    "GET /account/delete": _users(303),
    "POST /account/password": _users(403, form={"old_password": "wrong", "new_password": PASSWORD}),
    "POST /account/delete": _users(403, form={"password": "wrong"}),
    "POST /account/email": _users(403, form={"email": "new@example.org", "password": "wrong"}),
    "POST /account/display": _users(303),
    "POST /account/sessions/end": _users(303, form={"session": "none"}),
    "GET /deleted/<token>": _all(404),
    "GET /account/export": _users(200),
    "GET /account/tokens": _users(200),
    "POST /account/tokens": _users(
        403, form={"name": "x", "scope": "check", "days": "30", "password": "wrong"}
    ),
    "POST /account/tokens/<id>/revoke": _own(303, photo="token"),
    "GET /upload": _users(200),
    "POST /upload": _users(400),
    "GET /site.webmanifest": _all(200),
    "GET /upload/share-worker.js": _all(200),
    "POST /upload/shared": _users(303),
    # Requests without the headers of tus are refused before anything is looked up.
    "POST /upload/resumable": _users(412),
    "PATCH /upload/resumable/<id>": _users(412),
    "POST /upload/resumable/<id>": _users(412),
    "DELETE /upload/resumable/<id>": _users(412),
    "GET /photos": _users(200),
    "POST /photos/selected": _users(303),
    "GET /photos/<id>": _own(200),
    "GET /photos/<id>/photo.jpg": Row(404, 404, 200, 404, 404),
    "GET /photos/<id>/thumbnail.jpg": Row(404, 404, 200, 404, 404),
    "GET /photos/<id>/thumbnail-2x.jpg": Row(404, 404, 200, 404, 404),
    "GET /photos/<id>/explanation.jpg": Row(404, 404, 409, 404, 404),
    "POST /photos/<id>/appeal": _own(303, form={"wish": "not_cat"}),
    "POST /photos/<id>/withdraw": _own(303),
    "POST /photos/<id>/caption": _own(303, form={"caption": "Tom"}),
    "POST /photos/<id>/check": _own(303),
    "POST /photos/<id>/publish": _own(303),
    "POST /photos/<id>/share": _own(200),
    "POST /photos/<id>/unshare": _own(303),
    "GET /photos/<id>/square": _own(200),
    "POST /photos/<id>/square": _own(303, form={"left": "20", "top": "0", "side": "64"}),
    "POST /photos/<id>/rotate": _own(303, form={"to": "left"}),
    "POST /photos/<id>/replace": _own(400),
    "POST /photos/<id>/delete": _own(303),
    "GET /bin": _users(200),
    "POST /bin": _users(303),
    "GET /bin/<id>/thumbnail.jpg": _own(200, photo="bin"),
    "GET /bin/<id>/thumbnail-2x.jpg": _own(200, photo="bin"),
    "GET /album": _all(200),
    "GET /album/<id>": _all(404),
    "POST /album/<id>/like": Row(LOGIN, 404, 404, 404, 404),
    "GET /s/<token>": _all(200, photo="shared"),
    "GET /s/<token>/photo.jpg": _all(200, photo="shared"),
    "GET /review": _staff(200),
    "GET /review/<id>": _staff(200, photo="unsure"),
    "POST /review/<id>/decide": _staff(303, photo="unsure", form={"verdict": "cat"}),
    "GET /review/audit": _staff(200),
    "POST /review/audit/draw": _staff(303, form={"number": "1", "verdict": "cat"}),
    "POST /review/audit/<id>": _staff(303, form={"answer": "cat"}),
    "GET /review/taken-down": _staff(200),
    # 404 for the administrator, because the reviewer has already done it.
    "POST /review/<id>/take-down": Row(LOGIN, 404, 404, 303, 404, photo="album", form={"note": "No."}),
    "POST /review/<id>/allow": _staff(303, photo="taken down"),
    "POST /review/undo": _staff(303),
    "GET /admin": _admin(200),
    "POST /admin/checking": _admin(303, form={"checking": "resume"}),
    "POST /admin/requeue": _admin(303, form={"status": "failed"}),
    "GET /admin/failed": _admin(200),
    "POST /admin/failed": _admin(303, form={"photo": "1"}),
    "POST /admin/invitations": _admin(200),
    "GET /admin/audit": _admin(200),
    "GET /admin/models": _admin(200),
    "POST /admin/models/promote": _admin(303, form={"model": "efficientnet_lite2"}),
    "POST /admin/models/shadow": _admin(400, form={"model": "nothing"}),
    "POST /admin/models/rollback": _admin(303),
    "GET /admin/thresholds": _admin(200),
    "GET /admin/storage": _admin(200),
    "POST /admin/thresholds/measure": _admin(400),  # the site of this test has no profile
    "POST /admin/thresholds/<id>/apply": Row(LOGIN, 404, 404, 404, 404),
    "POST /admin/thresholds/rollback": _admin(400),
    "GET /admin/users": _admin(200),
    "GET /admin/users/<id>": _admin(200, photo="account"),
    "POST /admin/users/<id>/access": _admin(303, photo="account", form={"access": "enable"}),
    "POST /admin/users/<id>/password-link": _admin(200, photo="account"),
    "POST /admin/users/<id>/quota": _admin(303, photo="account"),
    "POST /admin/users/<id>/role": _admin(303, photo="account", form={"role": "user"}),
    "GET /new-password/<token>": _all(404),
    "POST /new-password/<token>": _all(404),
    "GET /forgotten-password": _all(200),
    "POST /forgotten-password": _all(200, form={"email": "nobody@example.org"}),
    "GET /confirm-email/<token>": _users(404),
    "POST /confirm-email/<token>": _users(404),
    "POST /account/email/confirm": _users(303),
    "POST /account/notices": _users(303, form={"wanted": "on"}),
    "GET /login/second-step": Row(LOGIN, 303, 303, 303, 303),
    "POST /login/second-step": _all(LOGIN),
    "GET /account/second-factor": _users(200),
    "POST /account/second-factor": _users(403, form={"password": "wrong"}),
    "POST /account/second-factor/remove": _users(403, form={"password": "wrong"}),
    "POST /admin/users/<id>/second-factor/remove": _admin(303, photo="account"),
    "GET /login/oidc": _all(404),  # the site has no provider
    "GET /login/oidc/callback": _all(404),
    "GET /account/provider": _users(404),
    "POST /account/provider": _users(404, form={"password": "wrong"}),
    "GET /account/passkeys": _users(200),
    "POST /account/passkeys/options": _users(403, form={"password": "wrong"}),
    "POST /account/passkeys": _users(403, form={"credential": "{}"}),
    "POST /account/passkeys/<id>/name": _own(303, form={"name": "Phone"}, photo="passkey"),
    "POST /account/passkeys/<id>/remove": _own(303, photo="passkey"),
    "POST /login/passkey/options": _all(200),
    "POST /login/passkey": _all(403, form={"credential": "{}"}),
    "GET /api/form": Row(401, 200, 200, 200, 200),
    "GET /api/photos/status": Row(401, 200, 200, 200, 200),
}

API_ROWS = {
    "POST /api/v1/check": _token(503),
    "POST /api/v1/photos": _token(202),
    "GET /api/v1/photos": _token(200),
    "GET /api/v1/photos/<id>": _own_by_token(200),
    "DELETE /api/v1/photos/<id>": _own_by_token(204),
    "GET /api/v1/photos/<id>/photo.jpg": _own_by_token(200),
    "GET /api/v1/photos/<id>/thumbnail.jpg": _own_by_token(200),
    "GET /api/v1/photos/<id>/verdict": _own_by_token(200),
    "POST /api/v1/photos/<id>/appeal": _own_by_token(201, body={"wish": "not_cat"}),
    "DELETE /api/v1/photos/<id>/appeal": _own_by_token(204, photo="appealed"),
}
