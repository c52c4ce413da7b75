"""Who was stood in for at drafting is found by an index: he does not review what was written in his name.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    condition = text("acting_for_id is not null")
    op.create_index(
        "ix_assignment_acting", "assignment", ["change_id"], sqlite_where=condition, postgresql_where=condition
    )


def downgrade() -> None:
    raise NotImplementedError("forward only")
