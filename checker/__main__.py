"""``python -m checker PATH...`` and ``python -m checker explain PHOTO``: see docs/checker.md."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence

from checker.arguments import INTERRUPTED, READER_GONE, parse
from checker.errors import CheckerError
from models.errors import ModelsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:  # argparse: 0 after --help, 2 for anything wrong
        return int(stop.code or 0)
    # Not before: numpy and Pillow take their time, and torch, further on, seconds.
    from checker import tool

    with warnings.catch_warnings():
        if not options.verbose:
            # Pillow's remarks on odd files would tear the table; what matters about a file is in its row.
            warnings.simplefilter("ignore")
        logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL)
        try:
            return tool.explain(options) if options.explains else tool.check(options)
        except (CheckerError, ModelsError) as error:
            return tool.refuse(str(error))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # Python flushes once more at its end, and would complain then.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_GONE
        except OSError as error:  # what goes wrong with files is told in their rows
            return tool.refuse(f"The output can't be written: {error.strerror or error}.")


if __name__ == "__main__":
    sys.exit(main())
