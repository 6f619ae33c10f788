"""Measure one variant on labelled photos and write its profile: ``catloader models calibrate``."""

from __future__ import annotations

import sys

from scripts.command_line import report_errors


@report_errors
def main(argv: list[str] | None = None) -> int:
    from catloader.cli.models.calibrate import calibrate

    calibrate.main(argv, prog_name="calibrate.py", standalone_mode=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
