"""What the pulse and the board ask again and again takes an index, on SQLite too.

SQLite keeps no figures of its tables: of 10,000 changes that wait it read every one to find those without a run. The
board looks for the earliest due of each change, and for notices that did not arrive.

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


def upgrade() -> None:
    op.drop_index("ix_change_flow_run_id", "change")
    _where("ix_change_without_run", "change", ["state", "created_at"], "state = 'open' and flow_run_id is null")
    op.drop_index("ix_step_open", "step")
    _where("ix_step_open", "step", ["change_id", "due_on"], "state = 'open'")
    _where("ix_notice_undeliverable", "notice", ["created_at"], "state = 'undeliverable'")


def _where(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=text(condition), postgresql_where=text(condition))


def downgrade() -> None:
    raise NotImplementedError("forward only")
