"""``python -m checker PATH...`` and ``python -m checker explain PHOTO``: see docs/checker.md."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from checker.errors import CheckerError
from checker.folder.arguments import INTERRUPTED, READER_GONE, parse, refuse
from models.errors import ModelsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    if sys.stderr is None:  # closed by who started us, as is stdout below
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of the process
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:  # argparse: 0 after --help, 2 for anything wrong
        return int(stop.code or 0)
    if sys.stdout is None and not options.explains:
        return refuse("There is nowhere to write to: the standard output is closed.")
    with warnings.catch_warnings():
        if not options.verbose:
            # Pillow's remarks on odd files would tear the table; what matters about a file is in its row.
            warnings.simplefilter("ignore")
        logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL)
        try:
            # Not before: numpy and Pillow take their time, and torch, further on, seconds.
            from checker.folder import commands

            return commands.explain(options) if options.explains else commands.check(options)
        except (CheckerError, ModelsError) as error:
            return refuse(str(error))
        except ModuleNotFoundError as error:
            return refuse(f"{error.name} is not installed; `pip install -r requirements.txt` brings it.")
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # Python flushes once more at its end, and would complain then.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        except OSError as error:  # what goes wrong with files is told in their rows
            return refuse(f"The output can't be written: {error.strerror or error}.")


def _interrupted(*_: object) -> None:
    """The first Ctrl-C ends it in order; a second one does not wait for that."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _interrupted)
    code = main()
    if code == INTERRUPTED:
        # Python resets the handler while it ends: a second Ctrl-C then would be the process's exit status.
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None where it is closed
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
