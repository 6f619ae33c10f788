"""``catloader upload``: send files to a site through its API."""

from __future__ import annotations

import codecs
import hashlib
import re
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.cli.options import utf8
from catloader.texts import clean_text
from checker.files import read_soon
from checker.folder.arguments import printable
from checker.plurals import counted

if TYPE_CHECKING:
    from catloader.client import Client

_STOPS = (0, 401, 403, 429, 502, 503, 504, 507)
"""Statuses without a response, without the right or without room: the next file would be refused too."""
_MOST_TOKEN_BYTES = 1000
_MOST_KEYS = 10
"""Limit on deleting and uploading one photo again within a day, for which the site knows its keys."""


def _token_in(_context: click.Context, _parameter: click.Parameter, path: Path) -> str:
    """Read a file that holds only a token, which is sent in the head of a request."""
    try:
        # Notepad writes a byte order mark.
        text = read_soon(path, _MOST_TOKEN_BYTES + 1).removeprefix(codecs.BOM_UTF8).strip()
    except OSError as error:
        raise click.BadParameter(f"{path} can't be read: {error.strerror}.") from error
    if not re.fullmatch(rb"[ -~]{1,%d}" % _MOST_TOKEN_BYTES, text):
        raise click.BadParameter(f"{path} holds no API token, or more than one.")
    return text.decode("ascii")


def _caption(context: click.Context, parameter: click.Parameter, text: str) -> str:
    """Refuse a caption that the site would refuse for each photo, or that can't be sent."""
    return clean_text(utf8(context, parameter, text), "caption")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--server", metavar="URL", required=True, help="Address of the site.")
@click.option(
    "--token-file",
    "token",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_token_in,
    help="File with an API token that has the scope photos:write.",
)
@click.option("--caption", default="", callback=_caption, help="Caption of every photo.")
def upload(files: tuple[Path, ...], server: str, token: str, caption: str) -> None:
    """Upload photos to a site; exit code 1 if any is refused.

    A file that is sent again within a day creates no second photo, so an interrupted run can be repeated.
    """
    from tqdm import tqdm

    from catloader.client import Client

    client = Client(server, token)
    stored = 0
    with tqdm(files, unit="photo", disable=None) as progress:
        for path in progress:
            if sentence := _upload(client, path, caption):
                progress.write(printable(f"{path}: {sentence}"))
            else:
                stored += 1
    client.close()
    click.echo(f"{counted(stored, 'photo')} stored, {len(files) - stored} refused.")
    if stored < len(files):
        raise SystemExit(1)


def _upload(client: Client, path: Path, caption: str) -> str:
    """Upload one file; return the reason if it was refused, else an empty text."""
    from tqdm import tqdm

    from catloader.client import RequestFailed

    try:
        if path.is_dir():
            return "it is a folder; name its files."
        if path.exists() and not path.is_file():  # a pipe may never end, and some devices never do
            return "it is not a regular file."
        size_bytes = path.stat().st_size
    except OSError as error:
        return _unreadable(error)
    if (limit_bytes := client.max_file_bytes) is not None and size_bytes > limit_bytes:
        return _too_large(limit_bytes)  # such as a video: it is neither read nor sent
    try:
        data = path.read_bytes()
    except OSError as error:
        return _unreadable(error)
    try:
        kept = _send(client, data, caption)
    except RequestFailed as error:
        if error.status in _STOPS:
            raise
        return str(error)
    if caption and kept != caption:
        tqdm.write(printable(f"{path}: it was stored before, and keeps its other caption."))
    return ""


def _send(client: Client, data: bytes, caption: str) -> str:
    """Upload a file under a key made of its bytes, so that a repeated command stores it once.

    If the photo of that key was deleted meanwhile, the next key is used.

    Returns:
        The caption of the photo: an earlier one if the photo was stored before.
    """
    from catloader.client import RequestFailed

    key, number = f"file-{hashlib.sha256(data).hexdigest()}", 0
    while True:
        try:
            return client.upload(data, caption=caption, key=f"{key}-{number}" if number else key).caption
        except RequestFailed as error:
            number += 1
            if error.status != HTTPStatus.CONFLICT or number == _MOST_KEYS:
                raise


def _unreadable(error: OSError) -> str:
    return f"it can't be read ({error.strerror})."


def _too_large(limit_bytes: int) -> str:
    from catloader.intake.prepare import shown_limit

    return f"it is larger than {shown_limit(limit_bytes)}, the limit of the site."
