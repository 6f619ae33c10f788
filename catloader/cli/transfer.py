"""``catloader import`` and ``catloader export``."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from catloader.cli.accounts import account_of
from catloader.cli.context import pass_settings, services_of
from catloader.cli.options import MOST_LISTED, not_empty
from catloader.settings import Settings
from catloader.transfer.sources import Source
from checker.folder.arguments import printable
from checker.folder.option_types import NonEmptyPath
from checker.plurals import counted

_S3 = "s3://"


def _source_argument(_context: click.Context, _parameter: click.Parameter, source: str) -> str:
    return source if source.startswith(_S3) else str(NonEmptyPath()(source))


@click.command(name="import")
@click.argument("source", metavar="FOLDER|s3://BUCKET/PREFIX", callback=_source_argument)
@click.option("--owner", required=True, metavar="EMAIL", help="The account that gets the photos.")
@click.option("--dry-run", is_flag=True, help="Prepare every photo, store nothing.")
@click.option("--resume", is_flag=True, help="Resume a stopped run with the same arguments.")
@pass_settings
def import_(settings: Settings, source: str, owner: str, dry_run: bool, resume: bool) -> None:
    """Import photos for an account.

    Takes every photo in and below FOLDER, or every object of the site's S3 server whose key begins with
    PREFIX. Photos are prepared like uploads, and wait to be checked; photos that the account has already are
    left out. The site may be running. Exit code 1: files were refused.
    """
    from tqdm import tqdm

    from catloader.store.db.photos.exports import Exports
    from catloader.transfer.importing import Importer, Result
    from catloader.transfer.journal import Journal

    refused: list[str] = []
    counted: Counter[Result] = Counter()
    with services_of(settings) as services, contextlib.ExitStack() as stack:
        account = account_of(services.users, owner)
        journal = None
        if not dry_run:
            journal = Journal(settings.data_dir / "imports", source, account.id, resume=resume)
            stack.callback(journal.close)
        importer = Importer(
            settings,
            account.id,
            prepare=services.decoders.prepare,
            photos=services.photos,
            objects=services.objects,
            dispatcher=services.dispatcher,
            known=Exports(services.engine).digests(account.id),  # under the journal's lock
            dry_run=dry_run,
        )
        bar = stack.enter_context(tqdm(desc="Importing", unit=" files", dynamic_ncols=True, disable=None))
        files = _source(services.settings, source)
        for file in importer.run(files, journal, at_once=settings.decode_slots):
            counted[file.result] += 1
            bar.update()
            if file.result is Result.REFUSED:
                refused.append(f"{file.name}: {file.reason}")
        if journal is not None:
            journal.remove()
    for result in Result:
        if counted[result]:
            click.echo(f"{counted[result]:>8}  {result}")
    for line in refused[:MOST_LISTED]:
        click.echo("  " + printable(line))
    if len(refused) > MOST_LISTED:
        click.echo(f"  ... and {len(refused) - MOST_LISTED} more")
    if not counted:
        click.echo("There are no files.")
    if refused:
        raise SystemExit(1)


@click.command()
@click.argument("folder", metavar="DIR", type=NonEmptyPath())
@click.option("--owner", metavar="EMAIL", callback=not_empty, help="Only this account's photos.")
@pass_settings
def export(settings: Settings, folder: Path, owner: str | None) -> None:
    """Export photos and their verdicts into a folder.

    Writes photos/ID.jpg, photos.csv and photos.jsonl. The site may be running. Photos that DIR has already
    are not copied again. Exit code 1: the object store lacks, refuses or has altered photos.
    """
    from tqdm import tqdm

    from catloader.store.db.photos.exports import Exports
    from catloader.transfer.exporting import export as write

    with services_of(settings) as services:
        owner_id = account_of(services.users, owner).id if owner else None
        with tqdm(desc="Exporting", unit=" photos", dynamic_ncols=True, disable=None) as bar:
            result = write(folder, Exports(services.engine), services.objects, owner_id, bar.update)
    click.echo(
        f"{counted(result.photos, 'photo')} in {folder}, {result.already_present} of them there before."
    )
    if result.changed:
        click.echo(f"{counted(result.changed, 'photo')} deleted or replaced meanwhile and left out.")
    if result.missing:
        shown = _shortened([str(id) for id in result.missing])
        raise click.ClickException(
            f"{counted(len(result.missing), 'photo')} without a file, because the object store lacks, "
            f"refuses or has altered them (see `catloader gc` and `catloader check verify`): {shown}."
        )


def _source(settings: Settings, name: str) -> Source:
    from catloader.transfer.sources import BucketSource, FolderSource, SourceError
    from catloader.wiring import build_object_store

    if not name.startswith(_S3):
        return FolderSource(Path(name))
    bucket, _, prefix = name.removeprefix(_S3).partition("/")
    try:
        with_bucket = settings.with_changes(s3_photos_bucket=bucket)
    except ValueError as error:
        raise SourceError(f"{bucket!r} is not a valid bucket name.") from error
    return BucketSource(build_object_store(with_bucket), prefix, settings.max_file_bytes)


def _shortened(words: Sequence[str]) -> str:
    return ", ".join(words[:MOST_LISTED]) + (", ..." if len(words) > MOST_LISTED else "")
