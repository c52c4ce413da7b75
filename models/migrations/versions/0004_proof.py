"""Codes that show who decides; when a key was last used; stages whose proof the office chooses.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proof_code",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("proved_at", UtcDateTime(), nullable=True),
        sa.Column("valid_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_proof_code_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proof_code")),
    )
    op.create_index("ix_proof_code_person", "proof_code", ["person_id", "created_at"], unique=False)
    op.add_column("api_token", sa.Column("last_used_at", UtcDateTime(), nullable=True))
    # Until now `none` was the only word a stage could have: nobody chose it. Running changes follow the office too.
    procedure = sa.table("procedure", sa.column("key"), sa.column("no"), sa.column("body", sa.JSON()))
    connection = op.get_bind()
    for key, number, body in connection.execute(sa.select(procedure)).all():
        for stage in body["stages"]:
            if stage.get("proof") == "none":
                stage["proof"] = None
        here = sa.and_(procedure.c.key == key, procedure.c.no == number)
        connection.execute(sa.update(procedure).where(here).values(body=body))


def downgrade() -> None:
    op.drop_column("api_token", "last_used_at")
    op.drop_index("ix_proof_code_person", table_name="proof_code")
    op.drop_table("proof_code")
