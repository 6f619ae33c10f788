"""All faults with large counts: ``make faults``, or ``python -m tests.faults [PART_OF_A_NAME ...]``.

``FAULTS_SCALE=0.1`` takes a tenth of the counts. Each scenario is written to ``scripts/results/faults.json``
as soon as it has ended, beside those of earlier runs; exit code 1: a promise was not kept.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from tests.faults.report import RESULTS, add, read, table
from tests.faults.scenarios.table import SCENARIOS


def main() -> int:
    scale, wanted = float(os.environ.get("FAULTS_SCALE", "1")), sys.argv[1:]
    kept = True
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        store = EmbeddedS3(folder / "store")
        store.start()
        try:
            for number, scenario in enumerate(SCENARIOS):
                if scenario.full is None or (wanted and not any(part in scenario.name for part in wanted)):
                    continue
                place = folder / str(number)
                place.mkdir()
                figures = scenario.measured(place, store, scenario.scaled(scale))
                add(scenario.name, figures)
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
