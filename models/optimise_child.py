"""Make one OpenVINO variant that needs no photos, in a process of its own that gives way to others.

    python -m models.optimise_child MODEL PRECISION WEIGHTS_DIR

So torch's memory is returned with it. It ends when its standard input does: with the process that started it.
Exit code 1: it could not be made; one sentence on standard output.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from pathlib import Path

_NICENESS = 10
"""A tenth of the time that a busy process gets: it still ends where the others never rest."""


def main(name: str, precision: str, weights_dir: Path) -> int:
    from models.catalogue import resolve
    from models.errors import ModelsError
    from models.optimise import optimise

    try:
        entry, path = resolve(name, weights_dir)
        optimise(entry, path, weights_dir, precision)
    except (ModelsError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock the interpreter can't take when it ends
        pass
    _thread.interrupt_main()  # not os._exit: the unfinished files are removed


if __name__ == "__main__":
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    except KeyboardInterrupt:
        sys.exit(1)
