"""The client of an OpenID provider: authorization code with PKCE, state and nonce."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeGuard
from unicodedata import category
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from catloader.answer_time import limit_session
from catloader.errors import ProviderRefused, ProviderUnavailable
from catloader.oidc.faults import TokenRefused, fault_of, refusal_of
from catloader.oidc.identity import Identity
from catloader.oidc.signatures import MALFORMED, Algorithms, key_set
from catloader.settings import Settings
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

CALLBACK = "/login/oidc/callback"
_TIMEOUT_S = 5.0
"""Timeout for each read of a response, and for the whole response."""
_FAILED_FOR_S = 10.0
"""Delay before the next request to a provider that did not respond. Each request occupies a thread."""
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_BASIC, _POST = "client_secret_basic", "client_secret_post"
_USERINFO = "userinfo_endpoint"
"""Optional: some providers have none."""
_EMAIL_CLAIMS = ("email", "email_verified")
_CLOCKS_APART_S = 120
_MAX_SUBJECT_CHARS = 255
"""Limit in OpenID Connect Core, section 2."""
_REFUSED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that no address contains. Cf is allowed: some scripts need its invisible characters."""


class Provider:
    """An OpenID provider. Its endpoints are read at the first use. Thread-safe."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, redirect_uri: str, name: str) -> None:
        self.issuer, self.name = issuer, name
        self._client_id, self._client_secret, self._redirect_uri = client_id, client_secret, redirect_uri
        self._endpoints, self._secret_by = dict[str, str](), _BASIC
        self._failed_at_s = -_FAILED_FOR_S
        self._lock, self._log_limits = threading.Lock(), LogLimits()

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str:
        """Return the address of the provider's log-in page.

        Raises:
            ProviderUnavailable: the provider does not respond.
        """
        endpoint = self._endpoint("authorization_endpoint")
        with self._session() as session:
            url, _ = session.create_authorization_url(
                endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
        return str(url)

    def identity(self, code: str, nonce: str, verifier: str) -> Identity:
        """Exchange the code from the callback for a token, validate it, and return the identity.

        Raises:
            ProviderUnavailable: the provider does not respond.
            ProviderRefused: the provider refuses the code, or its token is not valid.
        """
        try:
            endpoint = self._endpoint("token_endpoint")
            with self._session() as session:
                token = session.fetch_token(
                    endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
                )
                keys = key_set(self._get(self._endpoint("jwks_uri")))
            claims = self._claims(token, keys, nonce)
            subject = claims["sub"]
            if not _is_text(subject) or len(subject) > _MAX_SUBJECT_CHARS:
                raise TokenRefused("no subject")
            if any(claims.get(name) is None for name in _EMAIL_CLAIMS):
                claims = self._userinfo(token, subject) or claims
        except requests.RequestException as error:
            raise self._unavailable(error) from error
        except (OAuthError, JoseError, *MALFORMED) as error:
            # The text of the error is not logged, because it may contain the token.
            logger.warning("A log-in through %s is refused: %s", self.issuer, refusal_of(error))
            raise ProviderRefused(
                "%(name)s did not confirm who you are. Please try again.", name=self.name
            ) from None
        email, is_verified = claims.get("email"), claims.get("email_verified") is True
        return Identity(self.issuer, subject, email if _is_text(email) else "", is_verified)

    def examine(self) -> None:
        """Read the endpoints and the keys, as a log-in does, to test the provider.

        Raises:
            ProviderUnavailable: its ``__cause__`` is the error of the part that failed.
        """
        address = self._endpoint("jwks_uri")
        try:
            key_set(self._get(address))
        except (requests.RequestException, JoseError, *MALFORMED) as error:
            raise self._unavailable(error) from error

    def _claims(self, token: dict[str, Any], keys: KeySet, nonce: str) -> dict[str, Any]:
        decoded = jwt.decode(token["id_token"], keys, registry=Algorithms())
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
        }
        params = {"client_id": self._client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate(leeway=_CLOCKS_APART_S)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise TokenRefused("another nonce")
        return dict(claims)

    def _userinfo(self, token: dict[str, Any], subject: str) -> dict[str, Any]:
        """Return the claims ``email`` and ``email_verified`` from the userinfo endpoint.

        OpenID Connect Core, section 5.4, guarantees these claims at this endpoint only. The result is empty
        if the endpoint returns no address: the token is enough for a person whose subject is known already.

        Raises:
            TokenRefused: the response is about another subject.
        """
        address, access_token = self._endpoints.get(_USERINFO), token.get("access_token")
        if address is None or not isinstance(access_token, str):
            return {}
        try:
            claims = self._get(address, {"Authorization": f"Bearer {access_token}"})
            is_of_subject = claims["sub"] == subject
        except (requests.RequestException, *MALFORMED) as error:
            fault = fault_of(address, error)
            if (suffix := self._log_limits.suffix(fault)) is not None:
                logger.warning("The provider gave no e-mail address: %s%s", fault, suffix)
            return {}
        if not is_of_subject:
            raise TokenRefused("another subject")
        return {name: claims.get(name) for name in _EMAIL_CLAIMS} if "email" in claims else {}

    def _session(self) -> Any:
        session = OAuth2Session(
            self._client_id,
            self._client_secret,
            scope="openid email",
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            default_timeout=_TIMEOUT_S,
            token_endpoint_auth_method=self._secret_by,
        )
        limit_session(session, _TIMEOUT_S)
        return session

    def _endpoint(self, name: str) -> str:
        with self._lock:
            if not self._endpoints:
                if time.monotonic() < self._failed_at_s + _FAILED_FOR_S:
                    raise self._unavailable()
                try:
                    metadata = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                    if metadata["issuer"] != self.issuer:
                        raise ValueError(f"it calls itself {metadata['issuer']}")
                    endpoints = {name: _address(metadata[name]) for name in _ENDPOINTS}
                    with suppress(*MALFORMED):
                        endpoints[_USERINFO] = _address(metadata[_USERINFO])
                    self._secret_by = _secret_by(metadata.get("token_endpoint_auth_methods_supported"))
                    self._endpoints = endpoints
                except (requests.RequestException, *MALFORMED) as error:
                    self._failed_at_s = time.monotonic()
                    raise self._unavailable(error) from error
        return self._endpoints[name]

    def _get(self, url: str, headers: Mapping[str, str] = MappingProxyType({})) -> Any:
        with requests.Session() as session:
            limit_session(session, _TIMEOUT_S)
            response = session.get(url, headers=dict(headers), timeout=_TIMEOUT_S)
        response.raise_for_status()
        return response.json()

    def _unavailable(self, error: Exception | None = None) -> ProviderUnavailable:
        if error is not None:
            fault = fault_of(self.issuer, error)
            if (suffix := self._log_limits.suffix(fault)) is not None:
                logger.warning("Log-ins through the provider fail: %s%s", fault, suffix)
        return ProviderUnavailable("%(name)s does not answer. Please try again in a minute.", name=self.name)


def _secret_by(methods: object) -> str:
    """Return how to send the client's secret: by the standard's default, if the provider accepts it."""
    is_by_post = isinstance(methods, list) and _BASIC not in methods and _POST in methods
    return _POST if is_by_post else _BASIC


def _address(claim: object) -> str:
    """Return the URL in a claim. Raise ``ValueError`` if it is not an http or https URL with a host."""
    url = str(claim)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"its metadata name the address {url!r}")
    return url


def _is_text(claim: object) -> TypeGuard[str]:
    """Return True if a claim is a text without NUL, line breaks and halves of surrogate pairs."""
    return isinstance(claim, str) and claim != "" and not _REFUSED_CATEGORIES & set(map(category, claim))


def build_provider(settings: Settings) -> Provider | None:
    """Make the client; None if ``CATLOADER_OIDC_ISSUER`` is not set."""
    if not settings.oidc_issuer:
        return None
    return Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret.get_secret_value(),
        settings.public_url.rstrip("/") + CALLBACK,
        settings.oidc_name,
    )
