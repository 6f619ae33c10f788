"""The whole site in the tests' process, with a real database, real S3 and CSRF protection; and its users."""

from __future__ import annotations

import atexit
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

from argon2 import PasswordHasher
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from PIL import Image
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from catloader import create_app, decoders
from catloader.accounts import passwords
from catloader.settings import Settings
from catloader.store.db.engine import utcnow
from catloader.store.db.photos.gallery import Selection
from catloader.store.db.photos.photo_rows import Photo
from catloader.store.db.staff.audit_log import COMMAND_LINE, AuditEntry
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from catloader.web.http import cookies
from catloader.web.http.browsers import browser_name
from catloader.wiring import Services, build
from checker.isolation.fork_server import ForkServer
from checker.values import Decision, Label, ModelInfo, Outcome, Reason, Rendition, Verdict

PASSWORD = "correct horse battery"
_HASHER, _DUMMY_HASH = passwords._hasher, passwords.DUMMY_HASH
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def _quick_hash(password: str) -> str:
    """Return a hash that is fast to verify; the site's own hashes take 60 ms by design."""
    return _QUICK.hash(password)


_sites_with_quick_hashes = list[object]()


@contextmanager
def quick_hashes() -> Iterator[None]:
    """Let the site make such hashes too, until the end of the block. Blocks may end in any order."""
    passwords._hasher, passwords.DUMMY_HASH = _QUICK, _quick_hash("of no account")
    _sites_with_quick_hashes.append(None)
    try:
        yield
    finally:
        _sites_with_quick_hashes.pop()
        if not _sites_with_quick_hashes:
            passwords._hasher, passwords.DUMMY_HASH = _HASHER, _DUMMY_HASH


def shipped_hashes() -> AbstractContextManager[object]:
    """Let a site of this module make the hashes of a real site, for tests of their cost."""
    return mock.patch.multiple(passwords, _hasher=_HASHER, DUMMY_HASH=_DUMMY_HASH)


class _Compiled(BytecodeCache):
    """Keeps compiled templates in memory: compiling them again takes a third of the time of a page test."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


COMPILED = _Compiled()


class _SharedForkServer(ForkServer):
    """Stays when its site is closed, for the next site: the imports of the decoders take 0.3 s of a core.

    A site ends its children itself.
    """

    def __init__(self, works: Sequence[str], memory_bytes: int) -> None:
        super().__init__(works, memory_bytes)
        atexit.register(super().close)

    def close(self) -> None:
        pass


@cache
def _fork_server(works: Sequence[str], memory_bytes: int) -> ForkServer:
    return _SharedForkServer(works, memory_bytes)


def shown(response: TestResponse) -> str:
    """Return the page without the request id, for comparisons."""
    return re.sub(r"request [0-9a-f]{16}", "request", response.text)


@contextmanager
def running_site(
    engine: Engine, s3_server: EmbeddedS3, objects: ObjectStore, folder: Path, **settings: Any
) -> Iterator[Flask]:
    """Yield a site; ``settings`` override the defaults here.

    By default no checker runs in this process, and no test exceeds a rate limit by accident.
    """
    values = {
        "data_dir": folder,
        "database_url": engine.url.render_as_string(hide_password=False),
        "s3_endpoint_url": s3_server.endpoint_url,
        "s3_access_key_id": s3_server.access_key_id,
        "s3_secret_access_key": s3_server.secret_access_key,
        "s3_photos_bucket": objects.photos_bucket,
        "s3_thumbnails_bucket": objects.thumbnails_bucket,
        "min_free_bytes": 0,
        "bin_days": 0,  # deleted photos do not go to the bin
        "dispatch": "off",
        "login_rate": "1000 per minute",
        "register_rate": "1000 per minute",
    }
    with mock.patch.object(decoders, "ForkServer", _fork_server):
        services = build(Settings(**{**values, **settings}))
    try:
        app = create_app(services.settings, services)
        app.jinja_env.bytecode_cache = COMPILED
        with quick_hashes():
            yield app
    finally:
        services.close()


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["catloader"]
    return services


class Person:
    """A person with a browser, who fills in forms.

    Args:
        email: e-mail of a new account with the password ``PASSWORD``; the browser is logged in to it. Without
            an e-mail, the person is a visitor.
        environ: WSGI variables of each request.
    """

    def __init__(self, app: Flask, email: str = "", **environ: str) -> None:
        self.app, self.email = app, email
        self.client = app.test_client()
        self._environ = environ
        if email:
            self._begin_account()

    def _begin_account(self) -> None:
        """Make an account like ``sign_up``, but without form, rate limits, mail and slow password hash."""
        services = services_of(self.app)
        browser = browser_name(self._environ.get("HTTP_USER_AGENT", ""))
        token, id = services.sign_ups.create(self.email, _quick_hash(PASSWORD), utcnow(), browser)
        assert id is not None, f"{self.email} has an account already"
        self.client.set_cookie(cookies.SESSION, cookies.signed(token, services.secret_key))

    @classmethod
    def sign_up(cls, app: Flask, email: str) -> Person:
        """Return a user who has made an account with the form."""
        person = cls(app)
        person.email = email
        answer = person.post("/register", {"email": email, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return person

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=headers, environ_overrides=self._environ)

    def token(self, page: str) -> str:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert token, f"{page} has no form"
        return token[1]

    def post(
        self,
        path: str,
        data: dict[str, Any] | None = None,
        page: str | None = None,
        method: str = "POST",
        **headers: str,
    ) -> TestResponse:
        """Fill in the form of ``page`` (by default the page at ``path``) and send it to ``path``."""
        fields = {"csrf_token": self.token(page or path), **(data or {})}
        return self.client.open(
            path, method=method, data=fields, headers=headers, environ_overrides=self._environ
        )

    def log_in(self, password: str = PASSWORD) -> TestResponse:
        return self.post("/login", {"email": self.email, "password": password})

    def log_out(self) -> TestResponse:
        return self.post("/logout", page="/account")

    def upload(self, *files: tuple[str, bytes], caption: str = "", **headers: str) -> TestResponse:
        parts = [(io.BytesIO(data), name) for name, data in files]
        return self.post("/upload", {"photos": parts, "caption": caption}, **headers)

    def upload_one(self, data: bytes | None = None, caption: str = "") -> int:
        """Upload one photo; return its id."""
        answer = self.upload(("photo.jpg", data or jpeg()), caption=caption, Accept="application/json")
        assert answer.status_code == 201, answer.text
        return int(answer.json["files"][0]["id"])  # type: ignore[index]

    @property
    def id(self) -> int:
        user = services_of(self.app).users.by_email(self.email)
        assert user
        return user.id

    @property
    def photos(self) -> list[Photo]:
        """The photos, newest first."""
        return services_of(self.app).gallery.older(Selection(self.id), None, 999)


def acts_of_staff(app: Flask) -> list[AuditEntry]:
    """Return the audit log, newest first, without the acts of the command line."""
    entries = services_of(app).audit_log.page(None, 99)
    return [entry for entry in entries if entry.actor != COMMAND_LINE]


def jpeg(colour: tuple[int, int, int] = (200, 120, 40), size: tuple[int, int] = (96, 64)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


_LABELS = dict.fromkeys(Rendition, (Label(281, "tabby", 0.71), Label(282, "tiger cat", 0.26)))


def check(
    app: Flask,
    verdict: Verdict,
    *,
    score: float = 0.97,
    cat_at: float = 0.5,
    profile_id: str = "uncalibrated",
    reason: Reason | None = None,
    labels: Mapping[Rendition, tuple[Label, ...]] = _LABELS,
    subject: str = "house_cat",
    wild_feline: bool = False,
    turned_deg: int = 0,
    network: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Finish the check of the photo that has waited longest, like a checker does; return the photo's id.

    Args:
        network: fields of the ``ModelInfo`` that matter to the test.
    """
    queue = services_of(app).queue
    (claim,) = queue.claim(1)
    decision = Decision(
        verdict=verdict,
        score=score,
        cat_at=cat_at,
        not_cat_below=0.02,
        subject=subject,
        profile_id=profile_id,
        reason=reason,
        wild_feline=wild_feline,
        labels=labels,
        subject_scores={Rendition.PHOTO: {"tabby": 0.71}, Rendition.THUMBNAIL: {"tabby": 0.71}},
        turned_deg=turned_deg,
    )
    model_info = ModelInfo(
        model="efficientnet_lite0",
        weights_sha256="0" * 64,
        runtime="torch",
        precision="fp32",
        device="cpu",
    )
    model_info = replace(model_info, **network)
    outcome = Outcome(
        claim,
        decision,
        model_info,
        photo_sha256=claim.photo_sha256,
        thumbnail_sha256=claim.thumbnail_sha256,
        batch_size=2,
        ms={"total": 12.5},
    )
    assert queue.finish([outcome]) == [True]
    return claim.photo_id
