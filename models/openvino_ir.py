"""OpenVINO networks on disk: their names, what each was made from, and the check before one is used.

``models.optimise`` makes them; this half imports neither torch nor openvino, and is all that serving needs.
Three files belong together: ``NAME.xml`` (the graph), ``NAME.bin`` (the numbers) and, written last,
``NAME.json`` (the manifest: what the other two must be).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.catalogue import Entry
from models.errors import WeightsMissing, WeightsRefused

FORMAT = 1
PRECISIONS = ("fp32", "bf16", "int8")
SHIPPED = Path(__file__).parent / "openvino"
"""The networks that come with the program."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One network in OpenVINO's form, as it lies beside this manifest."""

    model: str
    precision: str
    """``fp32``, ``bf16`` (computed so; kept as fp16) or ``int8``."""
    preprocessing: str
    """``Preprocessing.key``: the normalisation is part of the graph."""
    source_sha256: str
    """Of the weights that it was made from."""
    xml_sha256: str
    bin_sha256: str
    made: Mapping[str, Any] = field(default_factory=dict)
    """Date, versions, the calibration photos' number and digest, how far it is from fp32 on them."""
    path: Path = Path()
    """The ``.xml``."""

    @property
    def weights_sha256(self) -> str:
        """The weights that really run. fp32 and bf16: the source's. int8 has its own: which they are
        depends on the calibration photos too, so no other int8 network's profile holds for them."""
        return self.bin_sha256 if self.precision == "int8" else self.source_sha256


def stem(entry: Entry, source_sha256: str, precision: str, calibration_sha256: str = "") -> str:
    """The files' name: another one for whatever would give other numbers."""
    inputs = (FORMAT, source_sha256, entry.preprocessing.key, precision, calibration_sha256)
    return f"{entry.name}-{precision}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]}"


def write_manifest(manifest: Manifest) -> None:
    """Makes the network findable: only now are its files known to be whole."""
    facts = {"format": FORMAT, **dataclasses.asdict(manifest)}
    del facts["path"]
    part = manifest.path.with_suffix(".json.part")
    part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    part.replace(manifest.path.with_suffix(".json"))


def manifests(entry: Entry, weights_dir: Path, precision: str) -> list[Manifest]:
    """The entry's networks of this precision: your own, the newest first, then the shipped one.

    Raises:
        WeightsRefused: a manifest that can't be read.
    """
    return [
        manifest
        for folder in (weights_dir, SHIPPED)
        for manifest in sorted(_cards_in(folder, entry, precision), key=_date, reverse=True)
    ]


def get(entry: Entry, weights_dir: Path, precision: str) -> Manifest:
    """The first of ``manifests``; where there is none, ``WeightsMissing`` says how to make it."""
    for manifest in manifests(entry, weights_dir, precision):
        return manifest
    raise WeightsMissing(
        f"{entry.name} was not yet made for OpenVINO in {precision}; "
        f"`catloader models optimise {entry.name} --precision {precision}` does that once."
    )


def _cards_in(folder: Path, entry: Entry, precision: str) -> Iterator[Manifest]:
    for path in folder.glob(f"{entry.name}-{precision}-*.json"):
        manifest = read_card(path)
        if (
            manifest is not None
            and (manifest.model, manifest.precision) == (entry.name, precision)
            and manifest.preprocessing == entry.preprocessing.key
            and manifest.source_sha256.startswith(entry.sha256)
        ):
            yield manifest


def _date(manifest: Manifest) -> str:
    return str(manifest.made.get("date", ""))


def read_card(path: Path) -> Manifest | None:
    """None for a manifest of another format, which another version of this program wrote."""
    try:
        facts = json.loads(path.read_text("utf-8"))
        if facts.pop("format") != FORMAT:
            return None
        return Manifest(**facts, path=path.with_suffix(".xml"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsRefused(f"{path} can't be read; delete it, and make the network again.") from error


def verify(manifest: Manifest) -> None:
    """Raises WeightsRefused unless both files are what the manifest says."""
    for path, wanted in (
        (manifest.path, manifest.xml_sha256),
        (manifest.path.with_suffix(".bin"), manifest.bin_sha256),
    ):
        if sha256_of(path) != wanted:
            raise WeightsRefused(
                f"{path.name} is truncated or altered: it is not what {manifest.path.stem}.json says. "
                f"`catloader models optimise {manifest.model} --precision {manifest.precision}` makes it "
                "again."
            )


def sha256_of(path: Path) -> str:
    """64 hex digits; empty where the file can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def without_telemetry() -> None:
    """Call before openvino or nncf is imported: both report their use over the network unless told not to.

    Both take a missing ``openvino_telemetry`` for a no, and start 40 ms sooner.
    """
    import sys

    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python's own way to say "not here"
