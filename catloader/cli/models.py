"""The networks: which there are, fetch one, check the files, make OpenVINO's form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click

from catloader.checks.promotion import resolve_model
from catloader.settings import Settings
from checker.values import Pixels
from models.catalogue import Entry, entry_named, load_catalogue, resolve, weights_path
from models.errors import ModelsError, WeightsMissing


@click.group()
def models() -> None:
    """The networks that can decide."""


@models.command()
def ls() -> None:
    """List them, and the forms whose rates are measured, the fastest first; `*` marks the one in force."""
    settings = Settings.from_environment()
    try:
        in_force = resolve_model(settings)[0].name
    except ModelsError:
        in_force = ""
    click.echo(f"  {'name':<20} {'acc@1':>6} {'MB':>5}  {'licence':<13} on disk")
    for entry in load_catalogue().values():
        mark = "*" if entry.name == in_force else " "
        path = weights_path(entry, settings.weights_dir)
        there = _measured(settings, entry, path) if path else "no"
        size = round(entry.bytes / 1e6)
        click.echo(f"{mark} {entry.name:<20} {entry.acc1:>6.2f} {size:>5}  {entry.licence:<13} {there}")


def _measured(settings: Settings, entry: Entry, path: Path) -> str:
    from catloader.wiring import runtime_request
    from checker.decision.subject import load_subject
    from checker.errors import ModelRefused
    from checker.runtimes.variants import variants

    try:
        found = list(variants(entry, path, load_subject(settings.subject), runtime_request(settings)))
    except ModelRefused as error:
        return f"refused: {error}"
    measured = [f"{variant.runtime} {variant.precision}" for variant in found if variant.profile]
    return f"yes; measured: {', '.join(measured)}" if measured else "yes; nothing measured"


@models.command()
@click.argument("name")
@click.option("--mirror", metavar="URL", help="Fetch URL/FILE instead of the publisher's address.")
def fetch(name: str, mirror: str | None) -> None:
    """Bring the weights of NAME, digest checked, resuming what is half there."""
    from models.fetch import fetch as run

    settings = Settings.from_environment()
    entry = entry_named(name)
    path = weights_path(entry, settings.weights_dir) if entry.package else None
    if path is None:
        with click.progressbar(length=entry.bytes, label=f"Fetching {name}") as bar:
            path = run(entry, settings.weights_dir, bar.update, base_url=mirror)
    click.echo(f"{name} is in {path}.")


@models.command()
@click.argument("names", nargs=-1)
def verify(names: tuple[str, ...]) -> None:
    """Compare the files on disk (or NAMES) with the catalogue, and OpenVINO's with their manifests.

    The digest shown is the one that is logged with each verdict.
    """
    settings = Settings.from_environment()
    wanted: list[Entry] = [entry_named(name) for name in names] or list(load_catalogue().values())
    refused = 0
    for entry in wanted:
        path = weights_path(entry, settings.weights_dir)
        if path is None:
            if names:
                raise WeightsMissing(f"The weights of {entry.name} are not on disk.")
            continue
        for what, digest in _digests(entry, path, settings.weights_dir):
            try:
                click.echo(f"{what:<33} ok       sha256 {digest()[:16]}")
            except ModelsError as error:
                refused += 1
                click.echo(f"{what:<33} refused  {error}")
    if refused:
        raise click.ClickException(
            f"{refused} file{'s are' if refused > 1 else ' is'} not what the catalogue says."
        )


def _digests(entry: Entry, path: Path, weights_dir: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """What there is of a network, and how to get its digest, or the reason why not."""
    from models import openvino_ir
    from models.digest import verify as digest_of

    def of_form(manifest: openvino_ir.Manifest) -> str:
        openvino_ir.verify(manifest)
        return manifest.weights_sha256

    yield entry.name, partial(digest_of, entry, path)
    for precision in openvino_ir.PRECISIONS:
        for manifest in openvino_ir.manifests(entry, weights_dir, precision):
            yield f"{entry.name} openvino {precision}", partial(of_form, manifest)


@models.command()
@click.argument("name")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "int8"]), default="fp32", show_default=True)
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For int8: a folder of photos like those to come; 50 at least, 300 are plenty.",
)
def optimise(name: str, precision: str, photos: Path | None) -> None:
    """Make NAME's OpenVINO form, once; CATCHECK_RUNTIME=openvino then serves it."""
    from models.optimise import optimise as run

    settings = Settings.from_environment()
    entry, path = resolve(name, settings.weights_dir)
    calibration = list(_pictures(entry, photos)) if photos else []
    settings.weights_dir.mkdir(parents=True, exist_ok=True)
    manifest = run(entry, path, settings.weights_dir, precision, calibration)
    click.echo(f"{entry.name} for OpenVINO in {precision} is in {manifest.path}.")


_CALIBRATION = 300


def _pictures(entry: Entry, folder: Path) -> Iterator[Pixels]:
    """Photos from all over the folder, as the network sees them; what can't be read is passed over."""
    from checker.errors import UnreadableImage
    from checker.folder.walk import read, walk
    from checker.pixels.decode import decode

    files = list(walk([str(folder)]))
    # The first ones would all be of one kind where the folders have kinds.
    for found in files[:: max(1, len(files) // _CALIBRATION)][:_CALIBRATION]:
        try:
            yield decode(read(found.path), entry.preprocessing)
        except UnreadableImage as error:
            click.echo(f"{found.path}: {error}", err=True)
