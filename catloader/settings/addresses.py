"""Addresses of servers: S3, databases, brokers and others.

Each check raises ValueError; its text continues the sentence "NAME is VALUE; ...".
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import AfterValidator, SecretStr

_SQLITE_OPTIONS = {
    "timeout": r"[0-9]{1,6}(\.[0-9]+)?",
    "isolation_level": "DEFERRED|IMMEDIATE|EXCLUSIVE",
    "detect_types": "[0-3]",
    "check_same_thread": "true|false",
    "cached_statements": "[0-9]{1,6}",
}
"""The options that SQLAlchemy passes to Python's driver. It ignores others with a warning."""
_MAX_HOST_BYTES = 253  # of DNS
_WRONG_HOST = "its host name is too long, or has an empty or a very long part"
_BROKER_OPTION = r"ssl_(ca_certs|certfile|keyfile)=.+|ssl_cert_reqs=(required|optional|none)"


def http_address(text: str) -> str:
    """Return the text if it is empty or an HTTP address without password or query."""
    _refuse_wrong_form(text)
    if not _is_host_name(urlsplit(text).hostname or ""):
        raise ValueError(_WRONG_HOST)
    return text


def _refuse_wrong_form(text: str) -> None:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is not a number, or a broken IPv6 address
        good = False
    if (text and not good) or re.search(r"\s", text):
        raise ValueError("it must be an address such as http://127.0.0.1:9000 or https://host")
    if "@" in parts.netloc:  # logs and messages show addresses
        raise ValueError("it must not contain a user name or a password")
    if "?" in text or "#" in text:
        raise ValueError("it must not contain ? or #")


def _is_host_name(host: str) -> bool:
    """Return False if sockets would refuse the name before resolving it, with an error other than OSError."""
    try:
        return len(host.encode("idna")) <= _MAX_HOST_BYTES
    except UnicodeError:  # an empty or a very long label
        return False


def _store_address(text: str) -> str:
    # botocore has the same rule, but would fail with a traceback. Container names often contain a _.
    _refuse_wrong_form(text)
    host = urlsplit(text).hostname or ""
    label = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
    if text and ":" not in host and not re.fullmatch(rf"{label}(\.{label})*", host):
        raise ValueError("its host name may contain only a-z, 0-9, - and .")
    if not _is_host_name(host):
        raise ValueError(_WRONG_HOST)
    return text


def _issuer(text: str) -> str:
    http_address(text)
    if text.startswith("http:") and urlsplit(text).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("it must begin with https://")
    return text


def _webhook_address(secret: SecretStr) -> SecretStr:
    # Path and query often contain a token, so the whole address is treated as a secret.
    http_address(secret.get_secret_value().partition("?")[0])
    return secret


def _database_address(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if re.search(r"[\x00-\x1f\x7f]|%00", url):
        raise ValueError("it must be one line of text")
    if url.startswith(("postgres://", "postgresql://", "postgresql+psycopg://")):
        return SecretStr(_postgresql_address(url))
    if url and not re.match(r"sqlite(\+pysqlite)?:///.", url):
        raise ValueError("it must be postgresql://user:password@host/name or sqlite:///file")
    place, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if ":memory:" in place or options.get("mode") == "memory":
        raise ValueError("it must name a file, because a database in memory is lost at each stop")
    if len(options) < len(pairs):
        raise ValueError("it must have each of its options once")
    unknown = options.keys() - _SQLITE_OPTIONS.keys()
    if options.get("uri") == "true":  # then SQLite itself reads the unknown options
        if not re.search(r":///file:.", place):  # otherwise the options would be part of the file's name
            raise ValueError("with uri=true it must be sqlite:///file:NAME with options")
    elif unknown:
        raise ValueError(
            f"its options after the question mark must be those of SQLite, and {min(unknown)} is not one"
        )
    for name in options.keys() - unknown:
        if not re.fullmatch(_SQLITE_OPTIONS[name], options[name]):
            raise ValueError(f"its option {name} has a value that SQLite does not accept")
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
        ValueError: the address has a ``?`` that could end them, an IPv6 address without brackets, or an
            invalid port.
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
    if not _is_host_name(match[1]):
        raise ValueError(_WRONG_HOST)
    port = match[2]
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise ValueError("the port after the host must be a number between 1 and 65535")
    host = host.removesuffix(":")  # a template left the port empty: the default applies
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


HttpAddress = Annotated[str, AfterValidator(http_address)]
StoreAddress = Annotated[str, AfterValidator(_store_address)]
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
BrokerAddress = Annotated[SecretStr, AfterValidator(_broker_address)]
IssuerAddress = Annotated[str, AfterValidator(_issuer)]
WebhookAddress = Annotated[SecretStr, AfterValidator(_webhook_address)]
