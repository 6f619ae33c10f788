"""``catloader`` and ``python -m catloader``: the command line."""

import os
import signal

from checker.garbage import postpone_full_collections

_INTERRUPTED = 128 + signal.SIGINT


def run() -> None:
    """Run the command line; Ctrl-C during the imports, which take a second, ends it without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    postpone_full_collections()
    from catloader.cli import main

    signal.signal(signal.SIGINT, handler)
    main(prog_name="catloader")


if __name__ == "__main__":
    run()
