"""boto3's session without the AWS configuration of the person or machine that runs the site."""

from __future__ import annotations

import os
from functools import cache

import boto3
import botocore.loaders
import botocore.session

_FILES = ("config_file", "credentials_file")
_KEPT = ("ca_bundle",)
"""``AWS_CA_BUNDLE`` is still read: self-hosted servers need their own certificates."""


def make_session() -> boto3.session.Session:
    """Make a session that reads no profile, no file in ``~/.aws`` and no ``AWS_...`` variable.

    The server, its keys and its region come from our settings. A missing profile, a broken file or an invalid
    number would end the start with boto3's traceback, and an addressing style in a file would silently change
    every request.
    """
    isolated = {
        name: (None, None, os.devnull if name in _FILES else default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
        if name not in _KEPT
    }
    session = botocore.session.Session(session_vars=isolated)
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session)


@cache
def _descriptions() -> botocore.loaders.Loader:
    """Return the reader of S3's description, once for all sessions: parsing it takes 50 ms of a core."""
    return botocore.loaders.create_loader()
