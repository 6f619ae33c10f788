"""Descriptions of a provider's faults, for the log and `catloader doctor`. They never contain a token."""

from __future__ import annotations

import re

import requests

from catloader.no_answer import reason_of

_CODE = re.compile("[a-z_]{1,40}")


class TokenRefused(ValueError):
    """A token lacks a claim that every valid token has, or a claim is wrong. The text names the claim."""


def fault_of(issuer: str, cause: BaseException | None) -> str:
    """Return a sentence that explains why a provider can't be used."""
    match cause:
        case requests.HTTPError(response=requests.Response(status_code=status)):
            return f"{issuer} answers with HTTP {status}."
        case requests.RequestException():
            return f"{issuer} does not answer: {reason_of(cause)}."
        case KeyError():
            return f"The metadata of {issuer} lack {cause}."
        case _:
            return f"{issuer} can't be used as a log-in provider: {cause}."


def refusal_of(error: Exception) -> str:
    """Return why a log-in is refused, as an error code of OAuth or JOSE such as ``invalid_client``."""
    if isinstance(error, TokenRefused):
        return str(error)
    names = (getattr(error, name, None) for name in ("error", "claim"))
    codes = [name for name in names if isinstance(name, str) and _CODE.fullmatch(name)]
    return " ".join(codes) or type(error).__name__
