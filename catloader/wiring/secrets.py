"""The secrets of the settings, or those made at the first start and kept in the data folder."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from catloader.settings import Settings, kept_secret


def site_secret(settings: Settings) -> str:
    """Return the key that signs forms, cookies and tokens, from the settings or the data folder."""
    return secret_of(settings.secret_key, settings, "secret-key")


def secret_of(
    setting: SecretStr, settings: Settings, file_name: str, make: Callable[[], str] = lambda: ""
) -> str:
    """Return the secret of the setting, else the secret in the data folder, which the first start makes."""
    return setting.get_secret_value() or kept_secret(settings.data_dir / file_name, make())
