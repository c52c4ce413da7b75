"""A change and all that follows: adjustments, sheets, steps, assignments, decisions, its log.

What may happen once is a unique key here, not an `if` in the code.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.tables.base import UtcDateTime


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Procedure(SQLModel, table=True):
    """One frozen edition of a procedure; a running change keeps the edition it began with."""

    __tablename__ = "procedure"
    key: str = Field(primary_key=True)
    no: int = Field(primary_key=True)
    hash: str = Field(index=True)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class Change(SQLModel, table=True):
    __tablename__ = "change"
    __table_args__ = (
        # The state comes first: SQLite keeps no figures of its tables and would rather read every open change.
        Index("ix_change_work", "state", "work_since", **_where("state = 'open' and work_seq > consumed_seq")),
        Index("ix_change_next_due", "state", "next_due", **_where("state = 'open' and next_due is not null")),
        Index(
            "ix_change_awake",
            "state",
            "leg_no",
            **_where("state = 'open' and leg_no > 0 and parked_leg is null"),
        ),
        Index("ix_change_without_run", "state", "created_at", **_where("state = 'open' and flow_run_id is null")),
        Index("uq_change_open_subject", "subject", unique=True, **_where("state = 'open' and subject is not null")),
        CheckConstraint("consumed_seq <= work_seq", name="consumed"),
    )
    id: str = Field(primary_key=True)
    number: str = Field(unique=True)
    idempotency_key: str = Field(unique=True)
    subject: str | None = Field(
        default=None, description="trigger, law and versions: one open change each unless told again"
    )
    trigger: str
    title: str
    reason: str = ""
    params: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    phase: str = "registered"
    state: str = Field(default="open", index=True)
    starter_id: str | None = Field(default=None, foreign_key="person.id")
    coordinator_id: str | None = Field(default=None, foreign_key="person.id")
    via: str = "cli"
    effective_on: date | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    log_seq: int = 0
    headed_seq: int = Field(default=0, description="the last line of the log that a daily head fixes")
    work_seq: int = 0
    consumed_seq: int = 0
    work_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_due: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempt: int = 1
    leg_no: int = 0
    leg_engine: str | None = None
    parked_leg: int | None = None
    flow_run_id: str | None = None
    stuck: str | None = None


class Engine(SQLModel, table=True):
    """An engine process; one not seen for ten seconds is dead."""

    __tablename__ = "engine"
    id: str = Field(primary_key=True)
    pid: int
    host: str
    started_at: datetime = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime)


class ChangeLog(SQLModel, table=True):
    """The audit log: append-only, one chain of hashes a change."""

    __tablename__ = "change_log"
    change_id: str = Field(foreign_key="change.id", primary_key=True)
    seq: int = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    who: str | None = None
    acting_for: str | None = None
    via: str
    verb: str
    object: str = ""
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    sealed: dict[str, Any] | None = Field(
        default=None,
        sa_column=Column(JSON(none_as_null=True), nullable=True),
        description="the rows this line wrote, by table",
    )
    prev_hash: str
    hash: str


class OfficeLog(SQLModel, table=True):
    """The log of what concerns no change, and the daily heads over all changes: one chain of hashes."""

    __tablename__ = "office_log"
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime)
    who: str | None = None
    via: str
    verb: str = Field(index=True)
    object: str = ""
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    sealed: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    prev_hash: str
    hash: str


class Adjustment(SQLModel, table=True):
    __tablename__ = "adjustment"
    __table_args__ = (
        Index(
            "uq_adjustment_target",
            "change_id",
            "item_id",
            unique=True,
            **_where("state <> 'removed' and item_id is not null"),
        ),
    )
    id: str = Field(primary_key=True)
    change_id: str = Field(foreign_key="change.id", index=True)
    ord: int = 0
    kind: str = "item"
    item_id: str | None = Field(default=None, foreign_key="item.id", index=True)
    base_version_id: str | None = Field(default=None, foreign_key="item_version.id")
    outcomes: str = Field(description="codes joined by +, sorted")
    department_id: str | None = Field(default=None, foreign_key="department.id")
    sheet_id: str | None = Field(default=None, index=True)
    group_id: str | None = None
    state: str = "proposed"
    name: str
    code: str | None = None
    revision: str = Field(description="hash of the standing proposal")
    approved_hash: str | None = None
    declined: bool = Field(default=False, description="the standing proposal is: no adjustment")
    effective_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reason: str = Field(default="", description="why it was proposed, removed or blocked")
    uncertain: bool = False
    hint: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    road: str | None = Field(
        default=None,
        description="short: one confirmation; none: proposed is no adjustment; null: the outcomes' procedure",
    )


class TouchedArticle(SQLModel, table=True):
    """A citation of the law of a change that an adjustment rests on: where it led, and the rule that found it."""

    __tablename__ = "touched_article"
    __table_args__ = (
        Index("ix_touched_article", "canonical", "article", "sub"),
        Index("ix_touched_article_new", "canonical", "new_article", "new_sub"),
    )
    adjustment_id: str = Field(foreign_key="adjustment.id", primary_key=True)
    no: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    canonical: str
    article: int | None = None
    sub: int = 0
    new_article: int | None = None
    new_sub: int = 0
    change: str | None = None
    kind: str | None = None
    rule: str


class Proposal(SQLModel, table=True):
    """One edition of an adjustment's content; never edited."""

    __tablename__ = "proposal"
    __table_args__ = (Index("ix_proposal_writer", "adjustment_id", "by_person_id"),)
    adjustment_id: str = Field(foreign_key="adjustment.id", primary_key=True)
    no: int = Field(primary_key=True)
    revision: str
    round: int
    kind: str = Field(default="content", description="content or decline")
    content: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    remark: str = ""
    by_person_id: str | None = None
    at: datetime = Field(sa_type=UtcDateTime)
    submitted: bool = False
    log_seq: int | None = Field(default=None, description="the line of the log that vouches for it")


class Sheet(SQLModel, table=True):
    __tablename__ = "sheet"
    id: str = Field(primary_key=True)
    change_id: str = Field(foreign_key="change.id", index=True)
    ord: int = 0
    department_id: str | None = Field(default=None, foreign_key="department.id")
    department_name: str = ""
    procedure_key: str
    procedure_no: int
    parent_id: str | None = None
    round: int = 1
    position: int = 0
    state: str = "open"
    stuck: str | None = None
    stuck_tries: int = 0
    retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Step(SQLModel, table=True):
    """A stage opened for one sheet in one round; the scope step has no sheet."""

    __tablename__ = "step"
    __table_args__ = (
        UniqueConstraint("sheet_id", "stage", "round"),
        Index("uq_step_scope", "change_id", unique=True, **_where("sheet_id is null and state = 'open'")),
        Index("ix_step_open", "change_id", "due_on", **_where("state = 'open'")),
    )
    id: str = Field(primary_key=True)
    change_id: str = Field(foreign_key="change.id", index=True)
    sheet_id: str | None = Field(default=None, foreign_key="sheet.id", index=True)
    stage: str
    round: int
    state: str = "open"
    opened_at: datetime = Field(sa_type=UtcDateTime)
    days: int
    due_on: date | None = None
    provisional: bool = False
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    no_owner: str | None = Field(default=None, description="why nobody holds it, if nobody does")


class StepLine(SQLModel, table=True):
    """Which adjustments a step puts before its people, and what became of each there."""

    __tablename__ = "step_line"
    step_id: str = Field(foreign_key="step.id", primary_key=True)
    adjustment_id: str = Field(foreign_key="adjustment.id", primary_key=True)
    ord: int = 0
    revision: str


class Rung(SQLModel, table=True):
    __tablename__ = "rung"
    __table_args__ = (Index("ix_rung_due", "change_id", "due_at", **_where("fired_at is null and dropped = false")),)
    step_id: str = Field(foreign_key="step.id", primary_key=True)
    rung: str = Field(primary_key=True)
    change_id: str
    due_at: datetime = Field(sa_type=UtcDateTime)
    fired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    dropped: bool = False


class Assignment(SQLModel, table=True):
    __tablename__ = "assignment"
    __table_args__ = (
        Index("uq_assignment_seat", "step_id", "seat", "person_id", unique=True, **_where("state = 'open'")),
        Index("ix_assignment_open", "person_id", "change_id", **_where("state = 'open'")),
        Index("ix_assignment_acting", "change_id", **_where("acting_for_id is not null")),
    )
    id: str = Field(primary_key=True)
    change_id: str = Field(foreign_key="change.id", index=True)
    step_id: str = Field(foreign_key="step.id", index=True)
    seat: str
    person_id: str = Field(foreign_key="person.id")
    acting_for_id: str | None = None
    state: str = "open"
    from_id: str | None = None
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Decision(SQLModel, table=True):
    """What a person decided on which revision; append-only."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("uq_decision_assignment", "assignment_id", unique=True, **_where("undone_at is null")),
        UniqueConstraint("request_id", "assignment_id"),
    )
    id: str = Field(primary_key=True)
    change_id: str = Field(foreign_key="change.id", index=True)
    step_id: str = Field(foreign_key="step.id", index=True)
    assignment_id: str = Field(foreign_key="assignment.id")
    request_id: str
    person_id: str
    acting_for_id: str | None = None
    verdict: str
    comment: str = ""
    revision: str
    via: str
    proof: str = "none"
    address: str = ""
    agent: str = ""
    at: datetime = Field(sa_type=UtcDateTime)
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DecisionLine(SQLModel, table=True):
    __tablename__ = "decision_line"
    __table_args__ = (Index("ix_decision_line_adjustment", "adjustment_id"),)
    decision_id: str = Field(foreign_key="decision.id", primary_key=True)
    adjustment_id: str = Field(foreign_key="adjustment.id", primary_key=True)
    verdict: str
    remark: str = ""
    revision: str


class Request(SQLModel, table=True):
    """A submission by its id: the same id gives the same answer, another body under it is refused."""

    __tablename__ = "request"
    id: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    body_hash: str
    answer: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    at: datetime = Field(sa_type=UtcDateTime)
