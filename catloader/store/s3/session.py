"""boto3's session and clients, without the AWS configuration of the person or machine that runs the site."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config

from catloader.answer_time import LimitedResponse, pool_classes
from catloader.errors import SettingError
from catloader.store.s3.errors import add_handlers

_FILES = ("config_file", "credentials_file")
_AUTHORITIES = {"ca_bundle": "AWS_CA_BUNDLE", "requests_ca_bundle": "REQUESTS_CA_BUNDLE"}
"""Still read, because self-hosted servers may have certificates of their own; the first that is not empty
counts. boto3 does the same, but ends the start if one is empty, even without TLS."""


def make_session(*, uses_tls: bool = False) -> boto3.session.Session:
    """Make a session that reads no profile, no file in ``~/.aws`` and only the variables in ``_AUTHORITIES``.

    The server, its keys and its region come from the site's settings. Otherwise a missing profile, a broken
    file or an invalid number would end the start with boto3's traceback, and an addressing style in a file
    would silently change every request.

    Raises:
        SettingError: the connections use TLS, and such a variable does not name a file of certificates.
    """
    isolated: dict[str, tuple[Any, Any, Any, Any]] = {
        name: (None, None, os.devnull if name in _FILES else default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    isolated |= {name: (None, variable, None, None) for name, variable in _AUTHORITIES.items()}
    session = botocore.session.Session(session_vars=isolated)
    session.register_component("data_loader", _descriptions())
    bundles = {variable: session.get_config_variable(name) for name, variable in _AUTHORITIES.items()}
    named = [(variable, bundle) for variable, bundle in bundles.items() if bundle and bundle.strip()]
    if uses_tls and named:
        _refuse_unreadable(*named[0])
    session.set_config_variable("ca_bundle", named[0][1] if named else True)  # True: the usual authorities
    return boto3.session.Session(botocore_session=session)


def make_client(
    session: boto3.session.Session,
    *,
    endpoint_url: str,
    access_key_id: str,
    secret_access_key: str,
    region: str,
    max_connections: int,
    connect_s: float,
    read_s: float,
    response: type[LimitedResponse],
    uses_proxies: bool,
) -> Any:
    """Make a client of S3.

    Args:
        connect_s, read_s: time limits for a connection, and for the next part of a response.
        response: response class of the connections, made by ``response_class``.
        uses_proxies: use the proxies in the environment, which are meant for the internet.
    """
    config = Config(
        signature_version="s3v4",
        # The second option is not needed here, but without it a wrong value in the environment is read.
        s3={"addressing_style": "path", "us_east_1_regional_endpoint": "regional"},
        connect_timeout=connect_s,
        read_timeout=read_s,
        retries={"total_max_attempts": 3, "mode": "standard"},
        max_pool_connections=max_connections,
        # Most servers other than Amazon's do not support the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies=None if uses_proxies else {},
    )
    client = session.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=region,
        config=config,
    )
    pools = pool_classes(response, AWSHTTPConnectionPool, AWSHTTPSConnectionPool)
    client._endpoint.http_session._pool_classes_by_scheme.update(pools)
    add_handlers(client.meta.events)
    return client


def _refuse_unreadable(variable: str, bundle: str) -> None:
    try:
        ssl.create_default_context(cafile=bundle)
    except OSError as error:
        reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingError(f"{variable} is {bundle!r}, which cannot be used: {reason}.") from error


@cache
def _descriptions() -> botocore.loaders.Loader:
    """Return the loader of S3's description, shared by all sessions, since parsing takes 50 ms of a core."""
    return botocore.loaders.create_loader()
