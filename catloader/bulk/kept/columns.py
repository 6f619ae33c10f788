"""The additional columns of ``results`` in a plan of labelled photos, written and read unit by unit.

Log-odds, logits and features are lists of a fixed size, in the precision in which they were computed, so a
profile made from them equals a profile made without a plan to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from catloader.bulk.kept.keep import Keep, keep_of
from catloader.bulk.kept.keeper import Kept
from catloader.bulk.manifest import Label, label_type, parquet
from catloader.bulk.plan import BulkError, Plan
from checker.evaluation.photos import UnusablePhotos
from checker.pixels.facts import Facts

if TYPE_CHECKING:
    import pyarrow

ARRAYS = ("soft", "drawn", "odds", "logits", "features")
SMALL = ("labelled", "error", "renditions_sha256")
"""Columns that every reader needs."""


def kept_columns(rows: Sequence[Mapping[str, Any]], keep: Keep) -> dict[str, pyarrow.Array]:
    """Return the columns of a unit. A photo that was not classified has zeros in its arrays."""
    pa = parquet()
    kept: list[Kept | None] = [row["kept"] for row in rows]
    facts = pa.struct(
        [(field.name, pa.int32() if field.name.endswith("_px") else pa.float64()) for field in fields(Facts)]
    )
    text = pa.string()
    columns = {
        "labelled": pa.array([row["labelled"]._asdict() for row in rows], label_type()),
        "renditions_sha256": pa.array([row and row.contents.renditions_sha256 for row in kept], text),
        "decoder": pa.array([row and row.decoder for row in kept], text),
        "facts": pa.array([row and asdict(row.contents.facts) for row in kept], facts),
    }
    for name, (shape, kind) in _arrays(keep).items():
        values = np.zeros((len(rows), prod(shape)), kind)
        for index, photo in enumerate(kept):
            if photo is not None:
                values[index] = getattr(photo, name).ravel()
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), prod(shape))
    return columns


def kept_units(plan: Plan, *names: str) -> Iterator[dict[str, Any]]:
    """Yield the columns of each unit in the order of the photos: those of ``SMALL``, and ``names``.

    ``labelled`` is a list of ``Label``; the columns of ``ARRAYS`` are arrays with a row for each photo; other
    columns are lists. Memory: the columns of one unit.

    Raises:
        BulkError: the plan is not a plan of labelled photos, or is not done.
        UnusablePhotos: a photo could not be classified; the text names it and the remedy.
    """
    keep = required_keep(plan)
    if plan.done() < plan.units:
        raise BulkError(f"The plan {plan.folder.name} is not done; `catloader bulk resume` continues it.")
    arrays = _arrays(keep)
    for path, table in plan.tables([*SMALL, *names]):
        unit: dict[str, Any] = {
            name: table[name].to_pylist() for name in table.column_names if name not in ARRAYS
        }
        unit["labelled"] = [Label(**label) for label in unit["labelled"]]
        for label, sha256, error in zip(
            unit["labelled"], unit["renditions_sha256"], unit["error"], strict=True
        ):
            if sha256 is None:
                raise UnusablePhotos(
                    f"{label.name}: {error} Once it can be read, delete {path}; `catloader bulk resume "
                    f"{plan.folder.name}` then measures the photos of this file again."
                )
        for name in (name for name in names if name in ARRAYS):
            shape, _ = arrays[name]
            flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            unit[name] = flat.reshape(len(unit["labelled"]), *shape)
        yield unit


def required_keep(plan: Plan) -> Keep:
    """Return the description of the data that a plan keeps.

    Raises:
        BulkError: the plan keeps verdicts only.
    """
    keep = keep_of(plan)
    if keep is None:
        raise BulkError(
            f"The plan {plan.folder.name} keeps verdicts only; `catloader bulk plan --labelled DATA` makes "
            "a plan that keeps the data for calibration."
        )
    return keep


def _arrays(keep: Keep) -> dict[str, tuple[tuple[int, ...], npt.DTypeLike]]:
    """Return the shape and the dtype of each array of a photo."""
    return {
        "soft": ((keep.examples,), np.bool_),
        "drawn": ((1,), np.bool_),
        "odds": (keep.odds_shape, np.float64),
        "logits": (keep.logits_shape, np.float32),
        "features": (keep.features_shape, np.float32),
    }
