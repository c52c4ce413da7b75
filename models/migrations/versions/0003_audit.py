"""The log vouches for the rows it wrote; the office has a log of its own, with a daily head over all changes.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from models.domain.seals import line_hash
from models.tables.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("change", sa.Column("headed_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("change_log", sa.Column("sealed", sa.JSON(), nullable=True))
    op.add_column("proposal", sa.Column("log_seq", sa.Integer(), nullable=True))
    op.create_table(
        "office_log",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.JSON(), nullable=True),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_office_log")),
    )
    op.create_index("ix_office_log_verb", "office_log", ["verb"])
    _begin()


def _begin() -> None:
    """The first line names what was there before: publications nobody sealed."""
    connection = op.get_bind()
    earlier = [row[0] for row in connection.execute(sa.text("select id from publication order by id"))]
    line = {
        "seq": 1,
        "at": datetime.now(UTC),
        "who": None,
        "via": "engine",
        "verb": "启用",
        "object": "",
        "data": {"publications": earlier},
        "prev_hash": "",
    }
    line["hash"] = line_hash(line)
    log = sa.table(
        "office_log",
        *(sa.column(name) for name in ("seq", "who", "via", "verb", "object", "data", "prev_hash", "hash")),
        sa.column("at", UtcDateTime()),
    )
    op.execute(log.insert().values(**{**line, "data": json.dumps(line["data"])}))


def downgrade() -> None:
    op.drop_table("office_log")
    op.drop_column("proposal", "log_seq")
    op.drop_column("change_log", "sealed")
    op.drop_column("change", "headed_seq")
