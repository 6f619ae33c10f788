"""The secrets of the settings, or those made at the first start and kept in the data folder."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from catloader.settings import KEY_FILE, Settings, kept_secret
from catloader.settings.kinds import signing_key
from catloader.store.db.accounts.sessions import any_log_in
from catloader.store.db.engine import Engine


def site_secret(settings: Settings) -> str:
    """Return the key that signs forms, cookies and tokens, from the settings or the data folder."""
    return secret_of(settings.secret_key, settings, KEY_FILE, signing_key)


def missing_key(settings: Settings, engine: Engine) -> str:
    """Return a sentence if the key of the site that uses the database is elsewhere, else an empty string.

    A command gets the database from ``DATABASE_URL`` in every folder, but another data folder.
    """
    if settings.secret_key.get_secret_value() or (settings.data_dir / KEY_FILE).exists():
        return ""
    if not any_log_in(engine):  # a new site, which has no key yet
        return ""
    return (
        "The key that signs log-ins and tokens is neither in CATLOADER_SECRET_KEY nor in the data folder "
        f"{settings.data_dir.resolve()}; set CATLOADER_SECRET_KEY or CATLOADER_DATA_DIR as for the site."
    )


def secret_of(
    setting: SecretStr,
    settings: Settings,
    file_name: str,
    check: Callable[[SecretStr], object],
    make: Callable[[], str] = lambda: "",
) -> str:
    """Return the secret of the setting, else the secret in the data folder, which the first start makes.

    Args:
        check: the setting's own check, for the secret in the data folder.
    """
    return setting.get_secret_value() or kept_secret(settings.data_dir / file_name, make(), check)
