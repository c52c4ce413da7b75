"""What the pulse asks every half second takes an index on SQLite too.

SQLite keeps no figures of its tables: of 10,000 changes that wait it read every one to find those without a run.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_WITHOUT_RUN = text("state = 'open' and flow_run_id is null")


def upgrade() -> None:
    op.drop_index("ix_change_flow_run_id", "change")
    op.create_index(
        "ix_change_without_run",
        "change",
        ["state", "created_at"],
        sqlite_where=_WITHOUT_RUN,
        postgresql_where=_WITHOUT_RUN,
    )


def downgrade() -> None:
    raise NotImplementedError("forward only")
