"""The first schema: every table of the office, and the rule that validity periods of an item do not overlap.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models.tables.base import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OVERLAP = """
    select 1 from item_version as other
    where other.item_id = new.item_id and other.id <> new.id
      and other.superseded_at is null and new.superseded_at is null
      and (other.valid_to is null or other.valid_to > new.valid_from)
      and (new.valid_to is null or new.valid_to > other.valid_from)
"""


def upgrade() -> None:
    _article()
    _department()
    _document()
    _engine()
    _item()
    _law()
    _meta()
    _person()
    _procedure()
    _publication()
    _request()
    _workday()
    _change()
    _code()
    _contact()
    _item_version()
    _law_version()
    _link()
    _list_snapshot()
    _notice()
    _post()
    _publication_line()
    _session()
    _substitute()
    _adjustment()
    _basis()
    _change_log()
    _sheet()
    _proposal()
    _step()
    _assignment()
    _rung()
    _step_line()
    _decision()
    _decision_line()
    _periods()


def downgrade() -> None:
    for name in (
        "decision_line",
        "decision",
        "step_line",
        "rung",
        "assignment",
        "step",
        "proposal",
        "sheet",
        "change_log",
        "basis",
        "adjustment",
        "substitute",
        "session",
        "publication_line",
        "post",
        "notice",
        "list_snapshot",
        "link",
        "law_version",
        "item_version",
        "contact",
        "code",
        "change",
        "workday",
        "request",
        "publication",
        "procedure",
        "person",
        "meta",
        "law",
        "item",
        "engine",
        "document",
        "department",
        "article",
    ):
        op.drop_table(name)


def _periods() -> None:
    """An exclusion constraint on PostgreSQL, triggers that say the same on SQLite."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("create extension if not exists btree_gist")
        op.execute(
            "alter table item_version add constraint ex_item_version_period exclude using gist"
            " (item_id with =, tstzrange(valid_from, valid_to) with &&) where (superseded_at is null)"
        )
        return
    for verb in ("insert", "update"):
        op.execute(
            f"create trigger item_version_period_{verb} before {verb} on item_version"
            f" when exists ({_OVERLAP})"
            " begin select raise(abort, 'ex_item_version_period'); end"
        )


def _article() -> None:
    op.create_table(
        "article",
        sa.Column("law_id", sa.String(), nullable=False),
        sa.Column("edition_on", sa.Date(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("sub", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("law_id", "edition_on", "no", "sub", name=op.f("pk_article")),
    )


def _department() -> None:
    op.create_table(
        "department",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("full", sa.String(), nullable=False),
        sa.Column("short", sa.String(), nullable=False),
        sa.Column("uscc", sa.String(), nullable=True),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("superior_id", sa.String(), nullable=True),
        sa.Column("office", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["superior_id"], ["department.id"], name=op.f("fk_department_superior_id_department")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_department")),
    )
    op.create_index(op.f("ix_department_full"), "department", ["full"], unique=False)


def _document() -> None:
    op.create_table(
        "document",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("owner_kind", sa.String(), nullable=False),
        sa.Column("owner_id", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
    )


def _engine() -> None:
    op.create_table(
        "engine",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engine")),
    )


def _item() -> None:
    op.create_table(
        "item",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["item.id"], name=op.f("fk_item_parent_id_item")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
        sa.UniqueConstraint("identity", name=op.f("uq_item_identity")),
    )


def _law() -> None:
    op.create_table(
        "law",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("canonical", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_law")),
        sa.UniqueConstraint("canonical", name=op.f("uq_law_canonical")),
    )


def _meta() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index(op.f("ix_person_name"), "person", ["name"], unique=False)


def _procedure() -> None:
    op.create_table(
        "procedure",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", "no", name=op.f("pk_procedure")),
    )
    op.create_index(op.f("ix_procedure_hash"), "procedure", ["hash"], unique=False)


def _publication() -> None:
    op.create_table(
        "publication",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("effective_at", UtcDateTime(), nullable=False),
        sa.Column("published_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("document_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
        sa.UniqueConstraint("change_id", "effective_at", name=op.f("uq_publication_change_id_effective_at")),
        sa.UniqueConstraint("number", name=op.f("uq_publication_number")),
    )
    op.create_index(op.f("ix_publication_change_id"), "publication", ["change_id"], unique=False)


def _request() -> None:
    op.create_table(
        "request",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", "person_id", name=op.f("pk_request")),
    )


def _workday() -> None:
    op.create_table(
        "workday",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_workday", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_workday")),
    )


def _change() -> None:
    op.create_table(
        "change",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("starter_id", sa.String(), nullable=True),
        sa.Column("coordinator_id", sa.String(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("log_seq", sa.Integer(), nullable=False),
        sa.Column("work_seq", sa.Integer(), nullable=False),
        sa.Column("consumed_seq", sa.Integer(), nullable=False),
        sa.Column("work_since", UtcDateTime(), nullable=True),
        sa.Column("next_due", UtcDateTime(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("leg_no", sa.Integer(), nullable=False),
        sa.Column("leg_engine", sa.String(), nullable=True),
        sa.Column("parked_leg", sa.Integer(), nullable=True),
        sa.Column("flow_run_id", sa.String(), nullable=True),
        sa.Column("stuck", sa.String(), nullable=True),
        sa.CheckConstraint("consumed_seq <= work_seq", name=op.f("ck_change_consumed")),
        sa.ForeignKeyConstraint(["coordinator_id"], ["person.id"], name=op.f("fk_change_coordinator_id_person")),
        sa.ForeignKeyConstraint(["starter_id"], ["person.id"], name=op.f("fk_change_starter_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_change_idempotency_key")),
        sa.UniqueConstraint("number", name=op.f("uq_change_number")),
    )
    op.create_index(op.f("ix_change_flow_run_id"), "change", ["flow_run_id"], unique=False)
    op.create_index(
        "ix_change_next_due",
        "change",
        ["next_due"],
        unique=False,
        sqlite_where=sa.text("state = 'open' and next_due is not null"),
        postgresql_where=sa.text("state = 'open' and next_due is not null"),
    )
    op.create_index(op.f("ix_change_state"), "change", ["state"], unique=False)
    op.create_index(
        "ix_change_work",
        "change",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'open' and work_seq > consumed_seq"),
        postgresql_where=sa.text("state = 'open' and work_seq > consumed_seq"),
    )
    op.create_index(
        "uq_change_open_subject",
        "change",
        ["subject"],
        unique=True,
        sqlite_where=sa.text("state = 'open' and subject is not null"),
        postgresql_where=sa.text("state = 'open' and subject is not null"),
    )


def _code() -> None:
    op.create_table(
        "code",
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_code_item_id_item")),
        sa.PrimaryKeyConstraint("value", "item_id", name=op.f("pk_code")),
    )


def _contact() -> None:
    op.create_table(
        "contact",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("bad_since", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_contact_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("person_id", "kind", name=op.f("uq_contact_person_id_kind")),
    )
    op.create_index(op.f("ix_contact_address"), "contact", ["address"], unique=False)
    op.create_index(op.f("ix_contact_person_id"), "contact", ["person_id"], unique=False)


def _item_version() -> None:
    op.create_table(
        "item_version",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("superseded_at", UtcDateTime(), nullable=True),
        sa.Column("valid_from", UtcDateTime(), nullable=False),
        sa.Column("valid_to", UtcDateTime(), nullable=True),
        sa.Column("legal_since", sa.Date(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("department_id", sa.String(), nullable=True),
        sa.Column("department_text", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("adjustment_id", sa.String(), nullable=True),
        sa.Column("publication_id", sa.String(), nullable=True),
        sa.CheckConstraint("valid_to is null or valid_to > valid_from", name=op.f("ck_item_version_period")),
        sa.ForeignKeyConstraint(
            ["department_id"], ["department.id"], name=op.f("fk_item_version_department_id_department")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_item_version_item_id_item")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item_version")),
    )
    op.create_index(op.f("ix_item_version_code"), "item_version", ["code"], unique=False)
    op.create_index(
        "ix_item_version_current",
        "item_version",
        ["item_id"],
        unique=True,
        sqlite_where=sa.text("valid_to is null and superseded_at is null"),
        postgresql_where=sa.text("valid_to is null and superseded_at is null"),
    )
    op.create_index(op.f("ix_item_version_department_id"), "item_version", ["department_id"], unique=False)
    op.create_index(op.f("ix_item_version_item_id"), "item_version", ["item_id"], unique=False)
    op.create_index("ix_item_version_period", "item_version", ["valid_from", "valid_to"], unique=False)
    op.create_index(op.f("ix_item_version_publication_id"), "item_version", ["publication_id"], unique=False)
    op.create_index(op.f("ix_item_version_type"), "item_version", ["type"], unique=False)


def _law_version() -> None:
    op.create_table(
        "law_version",
        sa.Column("law_id", sa.String(), nullable=False),
        sa.Column("edition_on", sa.Date(), nullable=False),
        sa.Column("promulgated_on", sa.Date(), nullable=True),
        sa.Column("effective_on", sa.Date(), nullable=True),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("certainty", sa.String(), nullable=False),
        sa.Column("header", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["law_id"], ["law.id"], name=op.f("fk_law_version_law_id_law")),
        sa.PrimaryKeyConstraint("law_id", "edition_on", name=op.f("pk_law_version")),
    )


def _link() -> None:
    op.create_table(
        "link",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("spent_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_link_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
    )
    op.create_index(
        "uq_link_active",
        "link",
        ["person_id", "change_id", "purpose"],
        unique=True,
        sqlite_where=sa.text("revoked_at is null and change_id is not null"),
        postgresql_where=sa.text("revoked_at is null and change_id is not null"),
    )


def _list_snapshot() -> None:
    op.create_table(
        "list_snapshot",
        sa.Column("list", sa.String(), nullable=False),
        sa.Column("publication_id", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("delta", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publication.id"], name=op.f("fk_list_snapshot_publication_id_publication")
        ),
        sa.PrimaryKeyConstraint("list", "publication_id", name=op.f("pk_list_snapshot")),
    )


def _notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=True),
        sa.Column("step_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("link_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("error", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_notice_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sa.UniqueConstraint("key", name=op.f("uq_notice_key")),
    )
    op.create_index(op.f("ix_notice_change_id"), "notice", ["change_id"], unique=False)
    op.create_index("ix_notice_person", "notice", ["person_id", "change_id"], unique=False)
    op.create_index(
        "ix_notice_waiting",
        "notice",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("state in ('queued','held','retrying','sending')"),
        postgresql_where=sa.text("state in ('queued','held','retrying','sending')"),
    )


def _post() -> None:
    op.create_table(
        "post",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("department_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("superior_person_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["department_id"], ["department.id"], name=op.f("fk_post_department_id_department")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_post_person_id_person")),
        sa.ForeignKeyConstraint(["superior_person_id"], ["person.id"], name=op.f("fk_post_superior_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_post")),
        sa.UniqueConstraint(
            "person_id", "department_id", "role", "from_on", name=op.f("uq_post_person_id_department_id_role_from_on")
        ),
    )
    op.create_index(op.f("ix_post_department_id"), "post", ["department_id"], unique=False)
    op.create_index(op.f("ix_post_person_id"), "post", ["person_id"], unique=False)
    op.create_index(op.f("ix_post_role"), "post", ["role"], unique=False)


def _publication_line() -> None:
    op.create_table(
        "publication_line",
        sa.Column("publication_id", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("adjustment_id", sa.String(), nullable=True),
        sa.Column("old_version_id", sa.String(), nullable=True),
        sa.Column("new_version_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publication.id"], name=op.f("fk_publication_line_publication_id_publication")
        ),
        sa.PrimaryKeyConstraint("publication_id", "item_id", name=op.f("pk_publication_line")),
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_session_person_id_person")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_session")),
    )


def _substitute() -> None:
    op.create_table(
        "substitute",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("by_person_id", sa.String(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["by_person_id"], ["person.id"], name=op.f("fk_substitute_by_person_id_person")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_substitute_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_substitute")),
        sa.UniqueConstraint("person_id", "from_on", name=op.f("uq_substitute_person_id_from_on")),
    )


def _adjustment() -> None:
    op.create_table(
        "adjustment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("ord", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=True),
        sa.Column("base_version_id", sa.String(), nullable=True),
        sa.Column("outcomes", sa.String(), nullable=False),
        sa.Column("department_id", sa.String(), nullable=True),
        sa.Column("sheet_id", sa.String(), nullable=True),
        sa.Column("group_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("approved_hash", sa.String(), nullable=True),
        sa.Column("declined", sa.Boolean(), nullable=False),
        sa.Column("effective_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("hint", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_version_id"], ["item_version.id"], name=op.f("fk_adjustment_base_version_id_item_version")
        ),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_adjustment_change_id_change")),
        sa.ForeignKeyConstraint(
            ["department_id"], ["department.id"], name=op.f("fk_adjustment_department_id_department")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_adjustment_item_id_item")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adjustment")),
    )
    op.create_index(op.f("ix_adjustment_change_id"), "adjustment", ["change_id"], unique=False)
    op.create_index(op.f("ix_adjustment_item_id"), "adjustment", ["item_id"], unique=False)
    op.create_index(op.f("ix_adjustment_sheet_id"), "adjustment", ["sheet_id"], unique=False)
    op.create_index(
        "uq_adjustment_target",
        "adjustment",
        ["change_id", "item_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'removed' and item_id is not null"),
        postgresql_where=sa.text("state <> 'removed' and item_id is not null"),
    )


def _basis() -> None:
    op.create_table(
        "basis",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("ord", sa.Integer(), nullable=False),
        sa.Column("canonical", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("edition_on", sa.Date(), nullable=True),
        sa.Column("article", sa.Integer(), nullable=True),
        sa.Column("to_article", sa.Integer(), nullable=True),
        sa.Column("sub", sa.Integer(), nullable=True),
        sa.Column("paragraph", sa.Integer(), nullable=True),
        sa.Column("item", sa.Integer(), nullable=True),
        sa.Column("subitem", sa.Integer(), nullable=True),
        sa.Column("annex", sa.String(), nullable=True),
        sa.Column("quoted", sa.String(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["item_version.id"], name=op.f("fk_basis_version_id_item_version")),
        sa.PrimaryKeyConstraint("version_id", "ord", name=op.f("pk_basis")),
    )
    op.create_index("ix_basis_article", "basis", ["canonical", "article", "sub"], unique=False)


def _change_log() -> None:
    op.create_table(
        "change_log",
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=True),
        sa.Column("acting_for", sa.String(), nullable=True),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_change_log_change_id_change")),
        sa.PrimaryKeyConstraint("change_id", "seq", name=op.f("pk_change_log")),
    )


def _sheet() -> None:
    op.create_table(
        "sheet",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("ord", sa.Integer(), nullable=False),
        sa.Column("department_id", sa.String(), nullable=True),
        sa.Column("department_name", sa.String(), nullable=False),
        sa.Column("procedure_key", sa.String(), nullable=False),
        sa.Column("procedure_no", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("stuck", sa.String(), nullable=True),
        sa.Column("stuck_tries", sa.Integer(), nullable=False),
        sa.Column("retry_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_sheet_change_id_change")),
        sa.ForeignKeyConstraint(["department_id"], ["department.id"], name=op.f("fk_sheet_department_id_department")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sheet")),
    )
    op.create_index(op.f("ix_sheet_change_id"), "sheet", ["change_id"], unique=False)


def _proposal() -> None:
    op.create_table(
        "proposal",
        sa.Column("adjustment_id", sa.String(), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=True),
        sa.Column("remark", sa.String(), nullable=False),
        sa.Column("by_person_id", sa.String(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("submitted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjustment_id"], ["adjustment.id"], name=op.f("fk_proposal_adjustment_id_adjustment")
        ),
        sa.PrimaryKeyConstraint("adjustment_id", "no", name=op.f("pk_proposal")),
    )


def _step() -> None:
    op.create_table(
        "step",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("sheet_id", sa.String(), nullable=True),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("no_owner", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_step_change_id_change")),
        sa.ForeignKeyConstraint(["sheet_id"], ["sheet.id"], name=op.f("fk_step_sheet_id_sheet")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_step")),
        sa.UniqueConstraint("sheet_id", "stage", "round", name=op.f("uq_step_sheet_id_stage_round")),
    )
    op.create_index(op.f("ix_step_change_id"), "step", ["change_id"], unique=False)
    op.create_index(
        "ix_step_open",
        "step",
        ["change_id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_step_sheet_id"), "step", ["sheet_id"], unique=False)
    op.create_index(
        "uq_step_scope",
        "step",
        ["change_id"],
        unique=True,
        sqlite_where=sa.text("sheet_id is null and state = 'open'"),
        postgresql_where=sa.text("sheet_id is null and state = 'open'"),
    )


def _assignment() -> None:
    op.create_table(
        "assignment",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("step_id", sa.String(), nullable=False),
        sa.Column("seat", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("acting_for_id", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("from_id", sa.String(), nullable=True),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_assignment_change_id_change")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_assignment_person_id_person")),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_assignment_step_id_step")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
    )
    op.create_index(op.f("ix_assignment_change_id"), "assignment", ["change_id"], unique=False)
    op.create_index(
        "ix_assignment_open",
        "assignment",
        ["person_id", "change_id"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_assignment_step_id"), "assignment", ["step_id"], unique=False)
    op.create_index(
        "uq_assignment_seat",
        "assignment",
        ["step_id", "seat", "person_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _rung() -> None:
    op.create_table(
        "rung",
        sa.Column("step_id", sa.String(), nullable=False),
        sa.Column("rung", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("fired_at", UtcDateTime(), nullable=True),
        sa.Column("dropped", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_rung_step_id_step")),
        sa.PrimaryKeyConstraint("step_id", "rung", name=op.f("pk_rung")),
    )
    op.create_index(
        "ix_rung_due",
        "rung",
        ["change_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("fired_at is null and dropped = false"),
        postgresql_where=sa.text("fired_at is null and dropped = false"),
    )


def _step_line() -> None:
    op.create_table(
        "step_line",
        sa.Column("step_id", sa.String(), nullable=False),
        sa.Column("adjustment_id", sa.String(), nullable=False),
        sa.Column("ord", sa.Integer(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjustment_id"], ["adjustment.id"], name=op.f("fk_step_line_adjustment_id_adjustment")
        ),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_step_line_step_id_step")),
        sa.PrimaryKeyConstraint("step_id", "adjustment_id", name=op.f("pk_step_line")),
    )


def _decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("step_id", sa.String(), nullable=False),
        sa.Column("assignment_id", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("acting_for_id", sa.String(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("proof", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignment.id"], name=op.f("fk_decision_assignment_id_assignment")
        ),
        sa.ForeignKeyConstraint(["change_id"], ["change.id"], name=op.f("fk_decision_change_id_change")),
        sa.ForeignKeyConstraint(["step_id"], ["step.id"], name=op.f("fk_decision_step_id_step")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("request_id", "assignment_id", name=op.f("uq_decision_request_id_assignment_id")),
    )
    op.create_index(op.f("ix_decision_change_id"), "decision", ["change_id"], unique=False)
    op.create_index(op.f("ix_decision_step_id"), "decision", ["step_id"], unique=False)
    op.create_index(
        "uq_decision_assignment",
        "decision",
        ["assignment_id"],
        unique=True,
        sqlite_where=sa.text("undone_at is null"),
        postgresql_where=sa.text("undone_at is null"),
    )


def _decision_line() -> None:
    op.create_table(
        "decision_line",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("adjustment_id", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adjustment_id"], ["adjustment.id"], name=op.f("fk_decision_line_adjustment_id_adjustment")
        ),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_decision_line_decision_id_decision")),
        sa.PrimaryKeyConstraint("decision_id", "adjustment_id", name=op.f("pk_decision_line")),
    )
