"""The faults of a provider, for the log and `catloader doctor`: never the text of a token."""

from __future__ import annotations

import re

import requests

from catloader.no_answer import reason_of

_CODE = re.compile("[a-z_]{1,40}")


class TokenRefused(ValueError):
    """A token lacks what every valid one has; the text says what."""


def fault_of(issuer: str, cause: BaseException | None) -> str:
    """Say in one sentence why a provider can't be used."""
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
    """Name the reason why a log-in is refused by its code in OAuth or JOSE, as in ``invalid_client``."""
    if isinstance(error, TokenRefused):
        return str(error)
    names = (getattr(error, name, None) for name in ("error", "claim"))
    codes = [name for name in names if isinstance(name, str) and _CODE.fullmatch(name)]
    return " ".join(codes) or type(error).__name__
