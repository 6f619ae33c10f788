"""boto3's session without the AWS configuration of the person or machine that runs the site."""

from __future__ import annotations

import os
import ssl
from functools import cache

import boto3
import botocore.loaders
import botocore.session

from catloader.errors import SettingError

_FILES = ("config_file", "credentials_file")
_KEPT = ("ca_bundle",)
"""``AWS_CA_BUNDLE`` is still read: self-hosted servers need their own certificates."""


def make_session(*, uses_tls: bool = False) -> boto3.session.Session:
    """Make a session that reads no profile, no file in ``~/.aws`` and no ``AWS_...`` variable.

    The server, its keys and its region come from our settings. A missing profile, a broken file or an invalid
    number would end the start with boto3's traceback, and an addressing style in a file would silently change
    every request.

    Raises:
        SettingError: the connections use TLS, and ``AWS_CA_BUNDLE`` names no file of certificates.
    """
    isolated = {
        name: (None, None, os.devnull if name in _FILES else default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
        if name not in _KEPT
    }
    session = botocore.session.Session(session_vars=isolated)
    session.register_component("data_loader", _descriptions())
    if uses_tls and (bundle := session.get_config_variable("ca_bundle")):
        _refuse_unreadable(bundle)
    return boto3.session.Session(botocore_session=session)


def _refuse_unreadable(bundle: str) -> None:
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:
        reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingError(f"AWS_CA_BUNDLE is {bundle!r}, which cannot be used: {reason}.") from error


@cache
def _descriptions() -> botocore.loaders.Loader:
    """Return the reader of S3's description, once for all sessions: parsing it takes 50 ms of a core."""
    return botocore.loaders.create_loader()
