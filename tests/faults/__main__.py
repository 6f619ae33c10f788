"""All faults with large counts: ``make faults``, or ``python -m tests.faults [--missing] [PART_OF_NAME]...``.

``FAULTS_SCALE=0.1`` uses a tenth of the counts. Each scenario is written to ``scripts/results/faults.json``
as soon as it has ended; the results of other scenarios stay. ``--missing`` skips scenarios that have been run
with their full counts and kept their promises, so that an interrupted run resumes. Exit code 1: a promise was
not kept.
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
    parser.add_argument("parts", nargs="*", help="of names; without any: all scenarios")
    parser.add_argument("--missing", action="store_true", help="only scenarios without a full result yet")
    asked = parser.parse_args()
    scale, kept = float(os.environ.get("FAULTS_SCALE", "1")), True
    with temporary_folder("faults-") as folder:
        store = EmbeddedS3(folder / "store")
        store.start()
        try:
            for number, scenario in enumerate(SCENARIOS):
                is_wanted = not asked.parts or any(part in scenario.name for part in asked.parts)
                is_asked = is_wanted and not (asked.missing and not is_missing(scenario, read()))
                if scenario.full is None or not is_asked:
                    continue
                place, counts = folder / str(number), scenario.scaled(scale)
                place.mkdir()
                figures = scenario.measured(place, store, counts)
                add(scenario.name, counts, figures)
                for complaint in figures.complaints():
                    kept = False
                    sys.stdout.write(f"{scenario.name}: {complaint}\n")
        finally:
            store.stop()
    sys.stdout.write(table(read()))
    sys.stdout.write(f"Written to {RESULTS}\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
