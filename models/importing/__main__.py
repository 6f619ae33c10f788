"""Import weights in a separate process with a time limit, because a file may describe endless work.

    python -m models.importing FILE WEIGHTS_DIR LIKE SOURCE LICENCE

LIKE is a model of the catalogue, or empty. Prints one JSON object, which describes the imported weights or
says why they were refused.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from models.catalogue import entry_named
from models.errors import ModelsError
from models.importing.importer import Origin, import_weights

_MOST_BYTES = 12 * 2**30
"""Enough for the largest model of the catalogue (1.2 GB) several times: as read, converted and compared."""


def _result(file: str, weights_dir: str, like: str, source: str, licence: str) -> dict[str, object]:
    path = Path(file)
    try:
        entries = [entry_named(like)] if like else None
        imported = import_weights(path, Path(weights_dir), entries, others=Origin(source, licence))
    except ModelsError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"{path.name} is refused: importing it takes too much memory."}
    return {
        "name": imported.entry.name,
        "path": str(imported.path),
        "logit_difference": imported.logit_difference,
    }


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    sys.stdout.write(json.dumps(_result(*sys.argv[1:])))
