"""Write the domains of e-mails in ASCII ("xn--..."), as browsers send them: see ``normal_email``.

An account made at the command line, or in Firefox, had the domain in its own letters, and could not log in
with Chrome. If the same address has an account in both spellings, both rows stay as they are.
"""

from __future__ import annotations

import contextlib

import idna
import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_USERS = sa.table("users", sa.column("id", sa.Integer), sa.column("email", sa.String))


def upgrade() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.select(_USERS)).all()
    emails = {row.email for row in rows}
    for row in rows:
        local, _, domain = row.email.rpartition("@")
        if domain.isascii():
            continue
        with contextlib.suppress(UnicodeError):  # no domain name
            email = f"{local}@{idna.encode(domain, uts46=True).decode()}"
            if email not in emails:
                connection.execute(sa.update(_USERS).where(_USERS.c.id == row.id).values(email=email))


def downgrade() -> None:
    """Change nothing: the earlier version knows both spellings as different addresses."""
