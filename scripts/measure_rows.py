"""Measure the size of a photo's rows in PostgreSQL; every fourth photo has a row in the check log.

The script creates a database and drops it again. The rows are synthetic, with texts as long as a real site's.

    python scripts/measure_rows.py --database-url URL [--rows 100000] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from scripts.command_line import CannotRun, new_file, number, report_errors, write_result


@report_errors
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database-url",
        default="",
        help="PostgreSQL server on which a database is created and dropped again",
    )
    parser.add_argument(
        "--rows",
        type=number(int, 1, 100_000_000),
        default=100_000,
        help="number of photos (default %(default)s)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write every figure to FILE")
    arguments = parser.parse_args(argv)
    if not arguments.database_url:
        raise CannotRun("row sizes are measured on PostgreSQL; name a server with --database-url")
    from catloader.store.db.table_sizes import row_bytes
    from catloader.store.db.testing import server_version, temporary_database
    from checker.evaluation.provenance import provenance
    from scripts.scale.fleet import engine_of, new_table

    with (
        tempfile.TemporaryDirectory(prefix="catloader-rows-") as folder,
        temporary_database(arguments.database_url, Path(folder), "rows") as url,
    ):
        new_table(url, arguments.rows, pending=0)
        with engine_of(url) as engine:
            tables = row_bytes(engine)
    results = {
        **provenance("catloader"),
        "database": f"PostgreSQL {server_version(arguments.database_url)}",
        "tables": {
            name: {
                "rows": sizes.rows,
                "table_bytes_per_row": round(sizes.table_bytes),
                "index_bytes_per_row": round(sizes.index_bytes),
            }
            for name, sizes in tables.items()
        },
    }
    for name, sizes in tables.items():
        in_table, in_indexes = sizes.table_bytes, sizes.index_bytes
        print(f"{name}: {sizes.rows} rows, {in_table:.0f} bytes each, {in_indexes:.0f} in indexes")
    write_result(arguments.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
