"""Report the branch coverage of the tests that just ran; `make coverage` runs the tests and this script."""

from __future__ import annotations

import argparse
import io
import json
import sys

from scripts.command_line import CannotRun, report_errors, require

PACKAGES = ("catloader", "checker", "models", "scripts")


@report_errors
def main() -> int:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    require("coverage", file="requirements-dev.txt")
    from coverage import Coverage
    from coverage.exceptions import NoDataError

    from checker.evaluation.provenance import ROOT, provenance

    measured = Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    figures = {}
    try:
        for name in (*PACKAGES, "total"):
            figures[name] = round(measured.report(include=_files(name), file=io.StringIO()), 1)
    except NoDataError as error:
        raise CannotRun("there is no coverage to report: run `make coverage`") from error
    for name, percent in figures.items():
        print(f"{name:<10} {percent:5.1f} %")
    text = json.dumps({**provenance("catloader"), "percent_of_lines_and_branches": figures}, indent=2)
    (ROOT / "scripts/results/coverage.json").write_text(text + "\n", "utf-8")
    return 0


def _files(name: str) -> list[str]:
    return [f"{package}/*" for package in PACKAGES if name in (package, "total")]


if __name__ == "__main__":
    sys.exit(main())
