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
from checker.folder.arguments import CheckOptions, ExplainOptions, parse, refuse
from checker.process.exits import INTERRUPTED, READER_GONE, drop_output, open_standard_streams
from checker.process.garbage import postpone_full_collections
from checker.process.low_limits import EARLY, SHORTAGE, is_shortage, low_limit
from models.errors import ModelsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; return the exit code."""
    open_standard_streams()
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except OSError as error:  # the help could not be printed
        return _refuse_unwritten(error)
    if isinstance(options, int):
        return options
    if sys.stdout is None and isinstance(options, CheckOptions):
        return refuse("There is nowhere to write to: the standard output is closed.")
    with warnings.catch_warnings():
        if not options.verbose:
            # Pillow's warnings about odd files would break up the table; errors are in the rows.
            warnings.simplefilter("ignore")
        logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL)
        return _run(options)


def _run(options: CheckOptions | ExplainOptions) -> int:
    try:
        if sentence := low_limit(EARLY):
            return refuse(sentence)
        # Imported here, after the arguments were parsed: importing numpy, Pillow and torch takes seconds.
        if isinstance(options, ExplainOptions):
            from checker.folder.explain import explain

            return explain(options)
        from checker.folder.commands import check

        return check(options)
    except (CheckerError, ModelsError) as error:
        return refuse(str(error))
    except ModuleNotFoundError as error:
        return refuse(f"{error.name} is not installed; `pip install -r requirements.txt` installs it.")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return READER_GONE
    except (OSError, RuntimeError, MemoryError) as error:  # errors of photos are in their rows
        if is_shortage(error):
            return refuse(SHORTAGE)
        if not isinstance(error, OSError):
            raise
        return _refuse_unwritten(error)


def _refuse_unwritten(error: OSError) -> int:
    if isinstance(error, FileNotFoundError) and error.filename is None:  # raised by os.getcwd()
        return refuse("The current folder does not exist any more.")
    reason = f"{error.strerror or error}."
    if error.filename is not None:
        return refuse(f"{error.filename} can't be read or written: {reason}")
    return refuse(f"The output can't be written: {reason}")


def _interrupt(*_: object) -> None:
    """Shut down cleanly at the first Ctrl-C, and exit immediately at a second one."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


if __name__ == "__main__":
    postpone_full_collections()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have set it to be ignored
        signal.signal(signal.SIGINT, _interrupt)
    code = main()
    if code == INTERRUPTED:
        # Python restores the default handler while it exits; a second Ctrl-C would then change the status.
        with contextlib.suppress(AttributeError, OSError, ValueError):  # stdout is None if it was closed
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
