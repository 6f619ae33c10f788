"""``catloader backup`` and ``catloader restore``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.cli.context import pass_settings
from catloader.cli.options import MOST_LISTED
from catloader.errors import BackupRefused, StoreUnavailable
from catloader.settings import Settings
from checker.folder.option_types import NonEmptyPath
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.backup.save import Saved
    from catloader.store.db.engine import Engine

_folder = click.argument("folder", metavar="DIR", type=NonEmptyPath())


@click.command()
@_folder
@click.option(
    "--prune",
    is_flag=True,
    help="Remove what the site deleted, even if it is more than half, or all accounts.",
)
@pass_settings
def backup(settings: Settings, folder: Path, prune: bool) -> None:
    """Back up the site into a folder.

    Saves database, photos, thumbnails, explanations, secrets and profiles; the site may be running. Objects
    that an earlier run copied to DIR are compared by digest and not copied again. Exit code 1: photos had to
    be left out, because the object store lacks, refuses or has altered them, or the site's secrets are
    elsewhere.
    """
    from catloader.backup.folder import BackupFolder
    from catloader.backup.save import save
    from catloader.server.data_dir import prepare_data_dir
    from catloader.server.database import refuse_missing_database
    from catloader.server.object_store import shared_or_own_object_store
    from catloader.wiring import build_engine, build_object_store
    from catloader.wiring.secrets import missing_key

    if folder.resolve().is_relative_to(settings.data_dir.resolve()):
        raise BackupRefused(
            f"{folder} is in the data folder and would be lost with it: name another folder, if possible on "
            "another disk."
        )
    # A disk that is too full for uploads must not prevent a backup.
    settings = settings.with_changes(min_free_bytes=0)
    refuse_missing_database(settings)
    prepare_data_dir(settings)
    target = BackupFolder(folder)
    with shared_or_own_object_store(settings) as with_s3, target.writing(), _bar("Saving") as progress:
        engine = build_engine(settings)
        try:
            result = save(
                target,
                engine,
                build_object_store(with_s3),
                settings.data_dir,
                needs_key=not settings.secret_key.get_secret_value(),
                prune=prune,
                progress=progress,
            )
            _record(engine, result, folder)
            without_key = missing_key(settings, engine)
        finally:
            engine.dispose()
    click.echo(
        f"{counted(result.manifest.photos, 'photo')} of {counted(result.manifest.accounts, 'account')} are "
        f"in {folder}: {counted(result.copied, 'object')} copied, {result.kept} already there."
    )
    if result.deleted_meanwhile:
        click.echo(f"{counted(result.deleted_meanwhile, 'photo')} deleted meanwhile and not in the backup.")
    if result.removed:
        click.echo(
            f"{counted(result.removed, 'object')} removed from the backup: no photo in it has them any more."
        )
    if result.not_removed:
        click.echo(
            f"{counted(result.not_removed, 'object')} in {folder} belong to no photo of this site. They are "
            "more than half of all objects, so they were not removed; --prune removes them."
        )
    if without_key:
        click.echo(f"Error: The backup lacks the secrets and profiles of the site. {without_key}", err=True)
    lost = "left out: the object store lacks, refuses or has altered them (see `gc` and `check verify`)"
    _refuse_left_out(result.lost, lost)
    if without_key:
        raise SystemExit(1)


def _record(engine: Engine, result: Saved, folder: Path) -> None:
    """Add the backup to the audit log, so that the storage page can show it."""
    from catloader.store.db.engine import utcnow
    from catloader.store.db.staff.audit_log import BACKED_UP, AuditLog

    manifest = result.manifest
    path = str(folder.resolve()).encode("utf-8", "backslashreplace").decode()
    summary = f"{counted(manifest.photos, 'photo')} of {counted(manifest.accounts, 'account')} in {path}"
    if result.lost:
        summary += f"; {counted(len(result.lost), 'photo')} left out"
    try:
        AuditLog(engine).add(None, BACKED_UP, summary, utcnow())
    except StoreUnavailable as error:
        click.echo(f"The backup is complete, but could not be entered into the audit log: {error}", err=True)


@click.command()
@_folder
@pass_settings
def restore(settings: Settings, folder: Path) -> None:
    """Restore a backup into an empty site.

    Stop the site first. The database may be of a different kind than the one that was backed up. Exit code 1:
    photos had to be left out, because their files in DIR are damaged.
    """
    from catloader.backup.folder import BackupFolder
    from catloader.backup.restore import restore as restore_from
    from catloader.server.data_dir import exclusive_data_dir, prepare_data_dir
    from catloader.server.database import migrated_database
    from catloader.server.object_store import own_object_store
    from catloader.wiring import build_object_store

    source = BackupFolder(folder)
    source.manifest()  # a wrong name must not create a data folder
    prepare_data_dir(settings)
    with (
        exclusive_data_dir(settings),
        migrated_database(settings, may_create=True) as engine,
        own_object_store(settings) as with_s3,
        source.unchanging(),
        _bar("Restoring") as progress,
    ):
        store = build_object_store(with_s3)
        result = restore_from(source, engine, store, settings.data_dir, progress=progress)
    click.echo(
        f"Restored {counted(result.photos, 'photo')} of {counted(result.accounts, 'account')} "
        f"({counted(result.objects, 'object')}), as of {result.manifest.made_at}."
    )
    _refuse_left_out(result.damaged, "left out: their files in the backup are missing or damaged")


def _refuse_left_out(ids: Sequence[int], reason: str) -> None:
    if ids:
        shown = ", ".join(map(str, ids[:MOST_LISTED])) + (", ..." if len(ids) > MOST_LISTED else "")
        raise click.ClickException(f"{counted(len(ids), 'photo')} {reason}: {shown}.")


@contextmanager
def _bar(description: str) -> Iterator[Callable[[int, int], None]]:
    from tqdm import tqdm

    with tqdm(desc=description, unit=" photos", dynamic_ncols=True, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
