"""The storage page of administrators: usage by account, and the latest backup. Other users get 404."""

from __future__ import annotations

import shutil
from datetime import timedelta

from flask import Blueprint, render_template

from catloader.store.db.engine import utcnow
from catloader.store.db.staff.audit_log import BACKED_UP
from catloader.web.http.context import services
from catloader.web.staff.admin import administrators_only

blueprint = Blueprint("storage", __name__, url_prefix="/admin/storage")
blueprint.before_request(administrators_only)

_LARGEST = 10
_OLD = timedelta(days=7)
"""The page warns if the latest backup is older."""


@blueprint.get("")
def page() -> str:
    parts = services()
    backup = parts.audit_log.latest(BACKED_UP)
    return render_template(
        "admin_storage.html",
        stored=parts.usage.stored(),
        largest=parts.administration.largest(_LARGEST),
        to_delete=parts.ledger.count(),
        free_bytes=shutil.disk_usage(parts.settings.data_dir).free,
        backup=backup,
        is_old=backup is not None and utcnow() - backup.made_at > _OLD,
    )
