"""All faults with large counts: ``make faults``, or ``python -m tests.faults [--missing] [PART_OF_NAME]...``.

``FAULTS_SCALE=0.1`` uses a tenth of the counts. The result of each scenario is written to
``scripts/results/faults.json`` when it ends; results of other scenarios are kept. ``--missing`` resumes an
interrupted run: it skips scenarios that have kept their promises with the full counts. The exit code is 1 if
a promise was broken.
"""

from __future__ import annotations

import argparse
import os
import sys

from catloader.store.s3.embedded import EmbeddedS3
from models.temporary import temporary_folder
from tests.faults.report import RESULTS, add, is_missing, read, table
from tests.faults.scenarios.table import SCENARIOS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("parts", nargs="*", help="parts of names; by default all scenarios run")
    parser.add_argument("--missing", action="store_true", help="run only scenarios without a full result")
    options = parser.parse_args()
    scale, all_kept = float(os.environ.get("FAULTS_SCALE", "1")), True
    with temporary_folder("faults-") as folder:
        store = EmbeddedS3(folder / "store")
        store.start()
        try:
            for number, scenario in enumerate(SCENARIOS):
                is_named = not options.parts or any(part in scenario.name for part in options.parts)
                is_wanted = is_named and not (options.missing and not is_missing(scenario, read()))
                if scenario.full is None or not is_wanted:
                    continue
                place, counts = folder / str(number), scenario.scaled(scale)
                place.mkdir()
                figures = scenario.measured(place, store, counts)
                add(scenario.name, counts, figures)
                for complaint in figures.complaints():
                    all_kept = False
                    sys.stdout.write(f"{scenario.name}: {complaint}\n")
        finally:
            store.stop()
    sys.stdout.write(table(read()))
    sys.stdout.write(f"Written to {RESULTS}\n")
    return 0 if all_kept else 1


if __name__ == "__main__":
    sys.exit(main())
