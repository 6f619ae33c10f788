"""Settings that require other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catloader.errors import SettingError

if TYPE_CHECKING:
    from catloader.settings.table import Settings


def check_together(settings: Settings) -> None:
    """Check that each setting has the other settings that it requires.

    Raises:
        SettingError: variables are missing; the message names them.
    """
    if settings.dispatch == "external" and not settings.checker_url:
        raise SettingError("CATCHECK_DISPATCH=external needs CATCHECKER_URL, the address of the Cat Checker.")
    if settings.dispatch == "celery" and not settings.broker_url.get_secret_value():
        raise SettingError("CATCHECK_DISPATCH=celery needs CATCHECK_BROKER_URL, the address of the broker.")
    keys = (settings.s3_access_key_id, settings.s3_secret_access_key)
    if not settings.embedded_s3 and not all(key.get_secret_value() for key in keys):
        raise SettingError(
            "AWS_ENDPOINT_URL_S3 is set, so AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set too."
        )
    if settings.oidc_issuer and not (settings.oidc_client_id and settings.public_url):
        raise SettingError(
            "CATLOADER_OIDC_ISSUER is set, so CATLOADER_OIDC_CLIENT_ID and CATLOADER_PUBLIC_URL must be set "
            "too."
        )
    if settings.smtp_host and not (settings.public_url and settings.smtp_sender):
        raise SettingError(
            "CATLOADER_SMTP_HOST is set, so CATLOADER_PUBLIC_URL and CATLOADER_SMTP_SENDER must be set too."
        )
    if settings.smtp_user and not settings.smtp_password.get_secret_value():
        raise SettingError("CATLOADER_SMTP_USER is set, so CATLOADER_SMTP_PASSWORD must be set too.")
