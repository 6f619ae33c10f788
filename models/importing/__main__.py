"""Import weights for a process that waits with a time limit: a file may describe endless work.

    python -m models.importing FILE WEIGHTS_DIR LIKE SOURCE LICENCE

LIKE: a model of the catalogue, or empty. Prints one JSON object: what was imported, or why it was refused.
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
"""Memory for the largest model of the catalogue (1.2 GB) several times: as read, converted and compared."""


def _answer(file: str, weights_dir: str, like: str, source: str, licence: str) -> dict[str, object]:
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
    sys.stdout.write(json.dumps(_answer(*sys.argv[1:])))
