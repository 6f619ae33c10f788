"""Kinds of values that need more than a type and bounds.

Each check raises ValueError; its text continues the sentence "NAME is VALUE; ...".
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from limits import parse_many
from pydantic import AfterValidator, SecretStr

_SQLITE_OPTIONS = {
    "timeout": r"[0-9]{1,6}(\.[0-9]+)?",
    "isolation_level": "DEFERRED|IMMEDIATE|EXCLUSIVE",
    "detect_types": "[0-3]",
    "check_same_thread": "true|false",
    "cached_statements": "[0-9]{1,6}",
}
"""Those that SQLAlchemy hands to Python's driver; it warns of others and ignores them."""
_BROKER_OPTION = r"ssl_(ca_certs|certfile|keyfile)=.+|ssl_cert_reqs=(required|optional|none)"


def _http_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is not a number, or a broken IPv6 address
        good = False
    if (text and not good) or re.search(r"\s", text):
        raise ValueError("it must be an address such as http://127.0.0.1:9000 or https://host")
    if "@" in parts.netloc:  # logs and messages show addresses
        raise ValueError("it must not contain a user name or a password")
    if parts.query or parts.fragment:
        raise ValueError("it must not contain ? or #")
    return text


def _store_address(text: str) -> str:
    # botocore's rule; it would fail with a traceback. Names of containers often contain a _.
    _http_address(text)
    host = urlsplit(text).hostname or ""
    label = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
    if text and ":" not in host and not re.fullmatch(rf"{label}(\.{label})*", host):
        raise ValueError("its host name may contain only a-z, 0-9, - and .")
    return text


def _issuer(text: str) -> str:
    _http_address(text)
    if text.startswith("http:") and urlsplit(text).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("it must begin with https://")
    return text


def _webhook_address(secret: SecretStr) -> SecretStr:
    # Path and query often contain a token, so the whole address is treated as a secret.
    _http_address(secret.get_secret_value().partition("?")[0])
    return secret


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
    # boto3's rule; it would fail with a traceback.
    if not re.fullmatch(r"(?!-)(?!\d+$)[A-Za-z0-9-]{1,63}(?<!-)", text):
        raise ValueError("it must be a name such as us-east-1")
    return text


def _bucket(text: str) -> str:
    # New buckets have neither capitals nor underscores; old ones of AWS may, and can be imported from.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", text):
        raise ValueError("it must be a name such as my-photos: 3 to 63 letters, digits, -, . and _")
    return text


def _database_address(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise ValueError("it must be one line of text")
    if url.startswith(("postgres://", "postgresql://", "postgresql+psycopg://")):
        return SecretStr(_postgresql_address(url))
    if url and not re.match(r"sqlite(\+pysqlite)?:///.", url):
        raise ValueError("it must be postgresql://user:password@host/name or sqlite:///file")
    if ":memory:" in url or "mode=memory" in url:
        raise ValueError("it must name a file, because a database in memory is lost at each stop")
    options = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    unknown = options.keys() - _SQLITE_OPTIONS.keys()
    if options.get("uri") != "true" and unknown:  # SQLite reads those of a URI
        raise ValueError(
            f"its options after the question mark must be those of SQLite, and {min(unknown)} is not one"
        )
    for name in options.keys() - unknown:
        if not re.fullmatch(_SQLITE_OPTIONS[name], options[name]):
            raise ValueError(f"its option {name} has a value that SQLite does not take")
    return secret


def _postgresql_address(url: str) -> str:
    """Add the driver, and percent-encode user name and password, which people write unencoded.

    SQLAlchemy ends the password at the first ``@`` and would treat the rest of it as the host, which error
    messages show.
    """
    return "postgresql+psycopg://" + _encoded_login(url.partition("://")[2])


def _encoded_login(address: str) -> str:
    """Percent-encode user name and password of an address without its scheme.

    Raises:
        ValueError: the address has a ``?`` that could end them, an IPv6 address without brackets, or a port
            that is none.
    """
    place, question_mark, query = address.partition("?")
    if "@" in query and "@" not in place and "/" not in place:
        raise ValueError("a ? in the user name or password must be written as %3F")
    login, at, rest = place.rpartition("@")
    host, slash, name = rest.partition("/")
    if "," in host:
        raise ValueError("several hosts must be written as ?host=first,second&port=5432,5432")
    match = re.fullmatch(r"(\[[^\[\]]+\]|[^:\[\]]*):?([^:\[\]]*)", host)
    if match is None:
        raise ValueError("an IPv6 address needs square brackets, as in [::1]")
    port = match[2]
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValueError("the port after the host must be a number between 1 and 65535")
    host = host.removesuffix(":")  # a template whose port is empty: the usual one
    encoded = ":".join(quote(unquote(part), safe="") for part in login.split(":", 1))
    return f"{encoded}{at}{host}{slash}{name}{question_mark}{query}"


def _broker_address(secret: SecretStr) -> SecretStr:
    scheme, separator, address = secret.get_secret_value().partition("://")
    if not separator and not scheme:
        return secret
    if scheme not in ("redis", "rediss", "amqp", "amqps") or not address:
        raise ValueError("it must be redis://:password@host:6379/0 or amqp://user:password@host//")
    encoded = _encoded_login(address)
    place, _, query = encoded.rpartition("@")[2].partition("?")
    if scheme.startswith("redis") and not re.fullmatch(r"[^/]*(/\d*)?", place):
        raise ValueError("the Redis database after the host must be a number")
    if not all(re.fullmatch(_BROKER_OPTION, option) for option in query.split("&") if option):
        raise ValueError(
            "after the ? only ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_cert_reqs are allowed"
        )
    return SecretStr(f"{scheme}://{encoded}")


def _webhook_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if text and not key:
        raise ValueError("it must be whsec_ followed by base64")
    return secret


def _webhook_secrets(secrets: SecretStr) -> SecretStr:
    for secret in secrets.get_secret_value().split():
        _webhook_secret(SecretStr(secret))
    return secrets


def _bearer_token(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[ -~]*", secret.get_secret_value()):  # no header of a request could hold it
        raise ValueError("it must be one line of ASCII characters")
    return secret


def _rate(text: str) -> str:
    try:
        parse_many(text)
    except ValueError:
        raise ValueError("it must be one or more rates, such as 10 per minute; 100 per hour") from None
    return text


def _without_brackets(text: str) -> str:
    """Return a host as sockets take it: people write IPv6 addresses as they stand in web addresses."""
    return text[1:-1] if re.fullmatch(r"\[[0-9A-Fa-f:.]+\]", text) else text


def _host_names(text: str) -> str:
    text = ",".join(_without_brackets(one) for one in split(text))
    name = r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f:]+"  # or an IPv6 address
    if not all(re.fullmatch(name, one) for one in split(text)):
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
    """Return the items of a list that is written with commas."""
    return [item.strip() for item in text.split(",") if item.strip()]


Folder = Annotated[Path, AfterValidator(_folder)]
BucketName = Annotated[str, AfterValidator(_bucket)]
RegionName = Annotated[str, AfterValidator(_region)]
HttpAddress = Annotated[str, AfterValidator(_http_address)]
StoreAddress = Annotated[str, AfterValidator(_store_address)]
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
BrokerAddress = Annotated[SecretStr, AfterValidator(_broker_address)]
IssuerAddress = Annotated[str, AfterValidator(_issuer)]
WebhookAddress = Annotated[SecretStr, AfterValidator(_webhook_address)]
BearerToken = Annotated[SecretStr, AfterValidator(_bearer_token)]
WebhookSecret = Annotated[SecretStr, AfterValidator(_webhook_secret)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_webhook_secrets)]
AttemptRate = Annotated[str, AfterValidator(_rate)]
ListenAddress = Annotated[str, AfterValidator(_without_brackets)]
HostName = Annotated[str, AfterValidator(_host_name)]
EmailAddress = Annotated[str, AfterValidator(_email_address)]
HostNames = Annotated[str, AfterValidator(_host_names)]
