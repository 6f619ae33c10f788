"""``catloader`` and ``python -m catloader``: the command line."""

import os
import signal
import sys

from checker.process.exits import open_standard_streams
from checker.process.garbage import postpone_full_collections

_INTERRUPTED = 128 + signal.SIGINT


def run() -> None:
    """Run the command line; Ctrl-C during the imports, which take a second, prints no traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell may have set SIGINT to be ignored
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    postpone_full_collections()
    open_standard_streams()
    try:
        import babel.localtime  # noqa: F401 - it reads the file that TZ names
    except (AssertionError, OSError, ValueError) as error:  # AssertionError: if pytz is installed
        sys.exit(
            f"Error: TZ names a file that is not a time zone ({error}); set a zone, as in Europe/Berlin."
        )
    from catloader.cli import main

    signal.signal(signal.SIGINT, handler)
    main(prog_name="catloader")


if __name__ == "__main__":
    run()
