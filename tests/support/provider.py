"""A small OpenID provider on loopback. It checks requests and can put false claims into tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from flask import Flask, abort, jsonify, redirect, request
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

CLIENT_ID, CLIENT_SECRET = "catloader", "secret-of-the-client"


class TestProvider:
    """Logs in ``person``; ``changed_claims``, ``missing_claims`` and ``key`` make invalid tokens.

    ``userinfo`` holds claims that the userinfo endpoint adds or changes; ``userinfo_status`` makes it fail.
    """

    __test__ = False

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.own_key = RSAKey.generate_key(2048, {"kid": "1"})
        self.reset()

    def reset(self) -> None:
        self.key: RSAKey | OctKey | OKPKey = self.own_key
        self.published: list[RSAKey | OKPKey] = [self.own_key]
        self.algorithm = "RS256"
        self.changed_header: dict[str, Any] = {}
        self.person: dict[str, Any] = {}
        self.changed_claims: dict[str, Any] = {}
        self.missing_claims: set[str] = set()
        self.userinfo: dict[str, Any] = {}
        self.userinfo_status = 200
        self.codes: dict[str, dict[str, str]] = {}
        self.missing_metadata: set[str] = set()
        self.changed_metadata: dict[str, Any] = {}

    def authorize(self) -> Response:
        query = request.args.to_dict()
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT_ID
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return redirect(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")

    def token(self) -> Response:
        query = self.codes.pop(request.form.get("code", ""), None)
        challenge = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if self.changed_metadata.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            client = request.form.get("client_id"), request.form.get("client_secret")
        else:
            login = request.authorization
            client = (login.username, login.password) if login else (None, None)
        if (
            query is None
            or client != (CLIENT_ID, CLIENT_SECRET)
            or query["code_challenge"] != base64.urlsafe_b64encode(challenge).decode().rstrip("=")
            or query["redirect_uri"] != request.form.get("redirect_uri")
        ):
            abort(jsonify(error="invalid_grant"))
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "nonce": query["nonce"]}
        claims |= self.person | self.changed_claims
        claims = {name: value for name, value in claims.items() if name not in self.missing_claims}
        header = {"alg": self.algorithm, "kid": "1"} | self.changed_header
        payload = json.dumps(claims)  # ASCII, so that half a surrogate pair can be sent
        unknown = header.keys() - JWSRegistry.default_header_registry.keys()
        parameters = {name: HeaderParameter("of a test", "str") for name in unknown}
        registry = JWSRegistry(parameters, algorithms=[self.algorithm])
        with warnings.catch_warnings(action="ignore"):  # of the former name of an algorithm
            token = jws.serialize_compact(header, payload, self.key, registry=registry)
        return jsonify(id_token=token, access_token="x", token_type="Bearer", expires_in=60)

    def claims(self) -> Response:
        """Serve the userinfo endpoint."""
        assert request.headers["Authorization"] == "Bearer x"
        if self.userinfo_status != 200:
            abort(self.userinfo_status)
        return jsonify({"sub": self.person["sub"]} | self.userinfo)

    def app(self) -> Flask:
        app = Flask("provider")
        all_metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }
        unknown = {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "2"}

        def keys() -> Response:
            return jsonify(keys=[unknown, *(key.as_dict(private=False) for key in self.published)])

        def metadata() -> Response:
            return jsonify(
                {name: value for name, value in all_metadata.items() if name not in self.missing_metadata}
                | self.changed_metadata
            )

        app.add_url_rule("/.well-known/openid-configuration", "metadata", metadata)
        app.add_url_rule("/keys", "keys", keys)
        app.add_url_rule("/userinfo", "claims", self.claims)
        app.add_url_rule("/authorize", "authorize", self.authorize)
        app.add_url_rule("/token", "token", self.token, methods=["POST"])
        return app


@contextmanager
def running_provider(port: int) -> Iterator[TestProvider]:
    provider = TestProvider(port)
    server = make_server("127.0.0.1", port, provider.app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings_of(port: int) -> dict[str, object]:
    return {
        "oidc_issuer": f"http://127.0.0.1:{port}",
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Example ID",
        "public_url": "http://localhost",
    }
