"""Find the catalogue's entry that weights belong to, or say why there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from models.build import architecture
from models.catalogue import Entry
from models.errors import PackageMissing, WeightsRefused
from models.tensor_file import Tensors, canonical


def entry_of_file(sha256: str, entries: Iterable[Entry]) -> Entry | None:
    """Return the entry whose file this is, by the digest of the whole file."""
    return next((entry for entry in entries if sha256.startswith(entry.sha256)), None)


def entry_of_tensors(tensors: Tensors, entries: Iterable[Entry], name: str) -> Entry:
    """Return the entry whose parameters these are, by the digest of their canonical form.

    Args:
        name: of the source, for the message.
    Raises:
        WeightsRefused: there is none, or it can't be told.
    """
    entries = list(entries)
    digest = hashlib.sha256()
    for chunk in canonical(tensors):
        digest.update(chunk)
    entry = entry_of_file(digest.hexdigest(), entries)
    if entry is not None:
        return entry
    similar = [entry for entry in entries if _shapes(entry) == {k: v.shape for k, v in tensors.items()}]
    if not similar:
        raise WeightsRefused(f"{name} does not hold the parameters of a model of the catalogue.")
    names = " or ".join(entry.name for entry in similar)
    files = ", ".join(entry.file for entry in similar)
    raise WeightsRefused(
        f"{name} can't be proven to hold the weights of {names}: it fits them, but its digest is not in the "
        f"catalogue, which has those of {files}."
    )


def _shapes(entry: Entry) -> dict[str, tuple[int, ...]]:
    try:
        try:
            with torch.device("meta"):  # no memory, no random numbers
                state = architecture(entry.architecture).state_dict()
        except (
            NotImplementedError
        ):  # torch's meta device has no values, and RegNet computes its widths with some
            state = architecture(entry.architecture).state_dict()
    except PackageMissing:  # what can't be built here can't be recognised by its shapes either
        return {}
    return {
        name: tuple(tensor.shape)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
