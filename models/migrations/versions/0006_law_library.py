"""The stored comparison of two texts of a law, and the divisions an article stands in.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "law_comparison",
        sa.Column("law_id", sa.String(), nullable=False),
        sa.Column("old_edition", sa.Date(), nullable=False),
        sa.Column("new_edition", sa.Date(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["law_id"], ["law.id"], name=op.f("fk_law_comparison_law_id_law")),
        sa.PrimaryKeyConstraint("law_id", "old_edition", "new_edition", name=op.f("pk_law_comparison")),
    )
    op.add_column("article", sa.Column("division", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("forward only")
