"""OpenVINO variants on disk: their names and manifests, and their verification before use.

``models.optimise`` makes them. This module imports neither torch nor openvino, and serving needs only this
module.
Three files belong together: ``NAME.xml`` (the graph), ``NAME.bin`` (the weights) and, written last,
``NAME.json`` (the manifest, with the digests of the other two).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.catalogue import Entry
from models.errors import WeightsMissing, WeightsRefused

FORMAT = 2
PRECISIONS = ("fp32", "bf16", "int8")
SHIPPED = Path(__file__).parent / "openvino"
"""Folder of the variants that come with the program."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts about one OpenVINO variant, whose files are next to its manifest."""

    model: str
    precision: str
    """``fp32``, ``bf16`` (stored as fp16) or ``int8``."""
    preprocessing: str
    """``Preprocessing.key``: the normalisation is part of the graph."""
    source_sha256: str
    """SHA-256 of the weights that the variant was made from."""
    xml_sha256: str
    bin_sha256: str
    made: Mapping[str, Any] = field(default_factory=dict)
    """Date, versions, number and digest of the calibration photos, and the difference from fp32 on them."""
    path: Path = Path()
    """Path of the ``.xml`` file."""

    @property
    def weights_sha256(self) -> str:
        """The digest of the weights that run: for fp32 and bf16 the digest of their source.

        int8 has its own digest, because its weights also depend on the calibration photos: the profile of one
        int8 variant does not apply to another.
        """
        return self.bin_sha256 if self.precision == "int8" else self.source_sha256

    @property
    def saturates(self) -> bool:
        """True for int8 variants of earlier versions: sums of their products overflow without VNNI."""
        return self.precision == "int8" and "quantisation" not in self.made


def stem(entry: Entry, source_sha256: str, precision: str, made_with: str) -> str:
    """Return the stem of a variant's file names, which depends on everything that changes the outputs.

    Args:
        made_with: for int8, the settings and the digest of the calibration photos; else empty.
    """
    inputs = (FORMAT, source_sha256, entry.preprocessing.key, precision, made_with)
    return f"{entry.name}-{precision}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]}"


def write_manifest(manifest: Manifest) -> None:
    """Write the manifest, which makes the variant available; its other two files must be complete."""
    facts = {"format": FORMAT, **dataclasses.asdict(manifest)}
    del facts["path"]
    part = manifest.path.with_suffix(".json.part")
    part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    part.replace(manifest.path.with_suffix(".json"))


def manifests(
    entry: Entry,
    weights_dir: Path,
    precision: str,
    on_damage: Callable[[WeightsRefused], object] | None = None,
) -> list[Manifest]:
    """List the entry's variants of this precision: those in ``weights_dir``, newest first, then the shipped.

    Args:
        on_damage: called for each manifest that can't be read; other manifests are still listed.
    Raises:
        WeightsRefused: a manifest can't be read, and there is no ``on_damage``.
    """
    return [
        manifest
        for folder in (weights_dir, SHIPPED)
        for manifest in sorted(_manifests_in(folder, entry, precision, on_damage), key=_date, reverse=True)
    ]


def get(entry: Entry, weights_dir: Path, precision: str) -> Manifest:
    """Return the first of ``manifests``.

    Raises:
        WeightsMissing: there is no such variant; the message names the command that makes it.
        WeightsRefused: a manifest can't be read.
    """
    for manifest in manifests(entry, weights_dir, precision):
        return manifest
    if precision not in PRECISIONS:
        raise WeightsMissing(f"OpenVINO runs {', '.join(PRECISIONS)} here, not {precision}.")
    present = " and ".join(other for other in PRECISIONS if manifests(entry, weights_dir, other))
    raise WeightsMissing(
        f"{entry.name} has no OpenVINO variant in {precision} yet; "
        f"`catloader models optimise {entry.name} --precision {precision}` makes it."
        + (f" There is one in {present}." if present else "")
    )


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if another version of this program wrote it in another format.

    Raises:
        WeightsRefused: the manifest can't be read.
    """
    try:
        facts = json.loads(path.read_text("utf-8"))
        if facts.pop("format") != FORMAT:
            return None
        return Manifest(**facts, path=path.with_suffix(".xml"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsRefused(f"{path} can't be read; delete it, and make the variant again.") from error


def verify(manifest: Manifest) -> None:
    """Compare both files with the digests in the manifest.

    Raises:
        WeightsRefused: a file differs, or can't be read.
    """
    for path, expected in (
        (manifest.path, manifest.xml_sha256),
        (manifest.path.with_suffix(".bin"), manifest.bin_sha256),
    ):
        if sha256_of(path) != expected:
            raise WeightsRefused(
                f"{path.name} is truncated or altered: its digest differs from {manifest.path.stem}.json. "
                f"`catloader models optimise {manifest.model} --precision {manifest.precision}` makes it "
                "again."
            )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits; empty if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _manifests_in(
    folder: Path, entry: Entry, precision: str, on_damage: Callable[[WeightsRefused], object] | None
) -> Iterator[Manifest]:
    for path in sorted(folder.glob(f"{entry.name}-{precision}-*.json")):
        try:
            manifest = read_manifest(path)
        except WeightsRefused as error:
            if on_damage is None:
                raise
            on_damage(error)
            continue
        if (
            manifest is not None
            and (manifest.model, manifest.precision) == (entry.name, precision)
            and manifest.preprocessing == entry.preprocessing.key
            and manifest.source_sha256.startswith(entry.sha256)
        ):
            yield manifest


def _date(manifest: Manifest) -> str:
    return str(manifest.made.get("date", ""))
