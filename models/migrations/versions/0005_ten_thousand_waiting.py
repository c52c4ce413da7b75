"""Indexes for the questions that are asked however many changes wait.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_change_work": (["state", "work_since"], "state = 'open' and work_seq > consumed_seq"),
    "ix_change_next_due": (["state", "next_due"], "state = 'open' and next_due is not null"),
    "ix_change_awake": (["state", "leg_no"], "state = 'open' and leg_no > 0 and parked_leg is null"),
}


def upgrade() -> None:
    op.drop_index("ix_change_work", table_name="change")
    op.drop_index("ix_change_next_due", table_name="change")
    for name, (columns, condition) in INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, "change", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_decision_line_adjustment", "decision_line", ["adjustment_id"])


def downgrade() -> None:
    raise NotImplementedError("forward only")
