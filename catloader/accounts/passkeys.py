"""Passkeys (WebAuthn): the options sent to a browser, and the verification of its responses.

Each challenge is valid for five minutes and one use. The device verifies the person (finger, face, PIN), so a
passkey counts for both steps of a log-in.

The functions import the library when they are called. Importing it takes 0.1 s and 4 MB in each process, and
few people have passkeys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catloader.errors import InvalidInput, WrongCredentials
from catloader.store.db.accounts.passkeys import Passkeys
from catloader.store.db.accounts.users import User
from catloader.texts import visible

_ID = re.compile("[A-Za-z0-9_-]{1,2000}")
# JSON or CBOR that is invalid, nested too deeply, or has other types than the library expects.
_NOT_VALID = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

MAX_NAME_CHARS = 60
MOST = 20
"""Maximum number of passkeys of one account."""


@dataclass(frozen=True, slots=True)
class Site:
    """The site, as browsers know it."""

    host: str
    origin: str
    """As in ``https://cats.example.org``."""


def registration_options(
    passkeys: Passkeys, user: User, site: Site, secret: str
) -> tuple[dict[str, Any], bytes]:
    """Return the options for a new passkey, and the challenge in them.

    Raises:
        InvalidInput: the account has the maximum number of passkeys.
    """
    known = passkeys.of_user(user.id)
    if len(known) >= MOST:
        raise InvalidInput("An account may have %(most)d passkeys. Remove one first.", most=MOST)
    from webauthn import generate_registration_options
    from webauthn.helpers import base64url_to_bytes, options_to_json_dict, structs

    options = generate_registration_options(
        rp_id=site.host,
        rp_name="CatLoader",
        user_name=user.email,
        user_id=hmac.new(secret.encode(), f"passkey of {user.id}".encode(), hashlib.sha256).digest(),
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=base64url_to_bytes(passkey.credential_id))
            for passkey in known
        ],
    )
    return options_to_json_dict(options), options.challenge


def register(
    passkeys: Passkeys, user: User, site: Site, challenge: bytes, credential: str, *, name: str, now: datetime
) -> None:
    """Store the passkey that the browser made.

    Raises:
        InvalidInput: the response is not valid, or the passkey is registered already.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import bytes_to_base64url
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, *_NOT_VALID) as error:
        raise InvalidInput("The passkey could not be registered. Please try again.") from error
    id = bytes_to_base64url(verified.credential_id)
    key = verified.credential_public_key
    passkeys.add(user.id, id, key, verified.sign_count, name=clean_name(name) or "Passkey", now=now)


def clean_name(name: str) -> str:
    """Return a name as it is stored: one line, without invisible characters, not too long."""
    printable = "".join(c if c.isprintable() else " " for c in name)
    return visible(" ".join(printable.split())[:MAX_NAME_CHARS])


def log_in_options(site: Site) -> tuple[dict[str, Any], bytes]:
    """Return the options for a log-in with any account, and the challenge in them."""
    from webauthn import generate_authentication_options
    from webauthn.helpers import options_to_json_dict, structs

    options = generate_authentication_options(
        rp_id=site.host, user_verification=structs.UserVerificationRequirement.REQUIRED
    )
    return options_to_json_dict(options), options.challenge


def authenticate(passkeys: Passkeys, site: Site, challenge: bytes, credential: str, now: datetime) -> User:
    """Return the account of the passkey that the browser used.

    Raises:
        WrongCredentials: the response is not valid, or the passkey is not known.
    """
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    refused = WrongCredentials("This passkey is not known here, or its answer came too late.")
    try:
        id = str(json.loads(credential)["id"])
    except _NOT_VALID:
        raise refused from None
    match = passkeys.find(id) if _ID.fullmatch(id) else None  # databases reject some other characters
    if match is None:
        raise refused
    passkey, user = match
    try:
        verified = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, *_NOT_VALID) as error:
        raise refused from error
    if not passkeys.use(passkey, verified.new_sign_count, now):
        raise refused
    return user
