"""``catloader ...`` or ``python -m catloader ...``."""

from __future__ import annotations

from typing import Any

import click

from catloader.cli import (
    accounts,
    backup,
    bulk,
    calibrate,
    checks,
    database,
    doctor,
    gc,
    models,
    promotion,
    records,
    shadow,
    site,
    tokens,
    transfer,
    upload,
    webhooks,
)
from catloader.errors import CatLoaderError
from checker import __version__
from checker.errors import CheckerError
from models.errors import ModelsError


class _OneLineErrors(click.Group):
    """Show an expected error in one line, with exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (CatLoaderError, CheckerError, ModelsError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="catloader", message="%(prog)s %(version)s")
def main() -> None:
    """Photo-upload site whose Cat Checker looks at every photo.

    Settings are environment variables; `catloader settings` shows them.
    """


for command in (
    site.serve,
    site.demo,
    site.settings,
    doctor.doctor,
    database.db,
    gc.gc,
    backup.backup,
    backup.restore,
    transfer.import_,
    transfer.export,
    webhooks.webhooks,
    accounts.user,
    tokens.tokens,
    upload.upload,
    checks.check,
    checks.worker,
    checks.checker,
    models.models,
    bulk.bulk,
):
    main.add_command(command)

for command in (records.verify, records.recheck):
    checks.check.add_command(command)
for command in (calibrate.calibrate, shadow.shadow, promotion.promote, promotion.rollback):
    models.models.add_command(command)
