"""The road proposed for an adjustment, and the articles of a law that it rests on.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("adjustment", sa.Column("road", sa.String(), nullable=True))
    op.create_table(
        "touched_article",
        sa.Column("adjustment_id", sa.String(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("canonical", sa.String(), nullable=False),
        sa.Column("article", sa.Integer(), nullable=True),
        sa.Column("sub", sa.Integer(), nullable=False),
        sa.Column("new_article", sa.Integer(), nullable=True),
        sa.Column("new_sub", sa.Integer(), nullable=False),
        sa.Column("change", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("rule", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjustment_id"], ["adjustment.id"], name=op.f("fk_touched_article_adjustment_id_adjustment")
        ),
        sa.PrimaryKeyConstraint("adjustment_id", "no", name=op.f("pk_touched_article")),
    )
    op.create_index("ix_touched_article", "touched_article", ["canonical", "article", "sub"])
    op.create_index("ix_touched_article_new", "touched_article", ["canonical", "new_article", "new_sub"])


def downgrade() -> None:
    raise NotImplementedError("forward only")
