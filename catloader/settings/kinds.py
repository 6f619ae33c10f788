"""Kinds of values that need more than a type and bounds.

Each check raises ValueError; its text continues the sentence "NAME is VALUE; ...".
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated

from limits import parse_many
from pydantic import AfterValidator, SecretStr

_KEY_CHARS = 16
"""Minimum length of the key that signs cookies and tokens."""
_LONGEST_WINDOW_S = 10 * 366 * 86_400
"""The end of a window is stored as a time, and times end with the year 9999."""


def _folder(path: Path) -> Path:
    # Settings files (systemd, Docker) are not read by a shell, which would expand the ~.
    try:
        str(path).encode()  # SQLite accepts no other names
        return path.expanduser()
    except UnicodeEncodeError:
        raise ValueError("it must be UTF-8 text") from None
    except RuntimeError:
        raise ValueError("it begins with ~, but there is no home folder of that name") from None


def _region(text: str) -> str:
    # boto3 has the same rule, but would fail with a traceback.
    if not re.fullmatch(r"(?!-)(?!\d+$)[A-Za-z0-9-]{1,63}(?<!-)", text):
        raise ValueError("it must be a name such as us-east-1")
    return text


def _bucket(text: str) -> str:
    # New buckets can't have capitals or underscores, but old buckets of AWS may, and are imported from.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", text):
        raise ValueError("it must be a name such as my-photos: 3 to 63 letters, digits, -, . and _")
    return text


def webhook_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if text and not key:
        raise ValueError("it must be whsec_ followed by base64")
    return secret


def webhook_secrets(secrets: SecretStr) -> SecretStr:
    text = secrets.get_secret_value()
    for secret in text.split() or [text]:  # spaces alone are refused too: nothing would be signed
        webhook_secret(SecretStr(secret))
    return secrets


def _bearer_token(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"([ -~]*[!-~])?", secret.get_secret_value()):  # impossible in a header
        raise ValueError("it must be one line of ASCII characters, the last of them not a space")
    return secret


def signing_key(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value()) < _KEY_CHARS:  # a visitor could guess it from a signed cookie
        raise ValueError(f"it must have at least {_KEY_CHARS} characters, as `openssl rand -hex 32` makes")
    return secret


def _rate(text: str) -> str:
    try:
        rates = parse_many(text)
    except ValueError:
        rates = []
    is_possible = all(rate.amount and rate.get_expiry() <= _LONGEST_WINDOW_S for rate in rates)
    # The parser takes "per 0 minutes" for "per minute".
    if not rates or not is_possible or re.search(r"(/|per)\s*0+\s*[a-z]", text.lower()):
        raise ValueError(
            "it must be one or more rates, such as 10 per minute; 100 per hour, each of at least 1 "
            "in at most 10 years"
        )
    return text


def _without_brackets(text: str) -> str:
    """Return a host in the form for sockets: an IPv6 address without the brackets that URLs need."""
    return text[1:-1] if re.fullmatch(r"\[[0-9A-Fa-f:.]+\]", text) else text


def _host_names(text: str) -> str:
    text = ",".join(_without_brackets(name) for name in split(text))
    pattern = r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+"  # or an IPv6 address
    if not all(re.fullmatch(pattern, name) for name in split(text)):
        raise ValueError("it must be host names, such as cats.example.org, .example.org")
    return text


def _host_name(text: str) -> str:
    text = _without_brackets(text)
    if text and not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+", text):
        raise ValueError("it must be the name or address of a server, such as mail.example.org")
    return text


def _email_address(text: str) -> str:
    if text and not re.fullmatch(
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", text
    ):
        raise ValueError("it must be an e-mail address such as cats@example.org")
    return text


def split(text: str) -> list[str]:
    """Return the items of a list that are separated by commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


Folder = Annotated[Path, AfterValidator(_folder)]
BucketName = Annotated[str, AfterValidator(_bucket)]
RegionName = Annotated[str, AfterValidator(_region)]
SigningKey = Annotated[SecretStr, AfterValidator(signing_key)]
BearerToken = Annotated[SecretStr, AfterValidator(_bearer_token)]
WebhookSecret = Annotated[SecretStr, AfterValidator(webhook_secret)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(webhook_secrets)]
AttemptRate = Annotated[str, AfterValidator(_rate)]
ListenAddress = Annotated[str, AfterValidator(_without_brackets)]
HostName = Annotated[str, AfterValidator(_host_name)]
EmailAddress = Annotated[str, AfterValidator(_email_address)]
HostNames = Annotated[str, AfterValidator(_host_names)]
