"""What pages and reports read: whole changes, the board, the catalogue. Sets of rows, a fixed number of queries each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select

from models.store.catalogue import STANDING, VERSION
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    CHANGE,
    DECISION,
    LINE,
    LOG,
    PROPOSAL,
    SHEET,
    STEP,
    Row,
    chunks,
    rows,
)
from models.store.shapes import Files, people_of
from models.store.sql import among, table, written
from models.tables import (
    Basis,
    Contact,
    Department,
    Item,
    Law,
    ListSnapshot,
    Notice,
    Person,
    Publication,
    PublicationLine,
    Request,
)

PERSON, CONTACT, NOTICE = table(Person), table(Contact), table(Notice)
ITEM, BASIS = table(Item), table(Basis)
REQUEST = table(Request)
PUBLICATION, PUBLICATION_LINE, SNAPSHOT = table(Publication), table(PublicationLine), table(ListSnapshot)
PAGE_SIZE = 50


def _selected(
    connection: Connection, target: Any, column: Any, ids: Sequence[str], *extra: Any, order: Sequence[Any]
) -> list[Row]:
    found: list[Row] = []
    for part in chunks(ids):
        found.extend(rows(connection, select(target).where(and_(among(column, part), *extra)).order_by(*order)))
    return found


def person_names(connection: Connection, ids: Collection[str | None]) -> dict[str, str]:
    """The names of persons by id."""
    found: dict[str, str] = {}
    for part in chunks(sorted({value for value in ids if value})):
        found.update(
            {
                row[0]: row[1]
                for row in connection.execute(select(PERSON.c.id, PERSON.c.name).where(among(PERSON.c.id, part)))
            }
        )
    return found


def change_rows(connection: Connection, state: str | None) -> list[Row]:
    """Changes of a state (or all), the newest number last."""
    query = select(CHANGE).order_by(CHANGE.c.number)
    return rows(connection, query.where(CHANGE.c.state == state) if state else query)


def files(connection: Connection, changes: list[Row], *, open_only: bool) -> Files:
    """Sheets, steps, assignments and counts of some changes; `open_only` leaves out steps that are closed."""
    found = Files(changes)
    ids = [change["id"] for change in changes]
    for row in _selected(connection, SHEET, SHEET.c.change_id, ids, order=(SHEET.c.ord, SHEET.c.id)):
        found.sheets.setdefault(row["change_id"], []).append(row)
    extra = [STEP.c.state == "open"] if open_only else []
    step_ids = []
    for row in _selected(connection, STEP, STEP.c.change_id, ids, *extra, order=(STEP.c.opened_at, STEP.c.id)):
        found.steps.setdefault(row["change_id"], []).append(row)
        step_ids.append(row["id"])
    order = (ASSIGNMENT.c.opened_at, ASSIGNMENT.c.person_id, ASSIGNMENT.c.id)
    for row in _selected(connection, ASSIGNMENT, ASSIGNMENT.c.step_id, step_ids, order=order):
        found.assignments.setdefault(row["step_id"], []).append(row)
    for part in chunks(ids):
        query = (
            select(ADJUSTMENT.c.change_id, ADJUSTMENT.c.state, func.count())
            .where(among(ADJUSTMENT.c.change_id, part))
            .group_by(ADJUSTMENT.c.change_id, ADJUSTMENT.c.state)
        )
        for change_id, state, count in connection.execute(query):
            found.counts.setdefault(change_id, {})[state] = int(count)
    found.names = person_names(connection, people_of(found))
    return found


# --- the board -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which open changes the board is to show; what is None does not matter. `days`: a step is due from … to …."""

    trigger: str | None = None
    department: str | None = None
    person: str | None = None
    stage: str | None = None
    text: str | None = None
    ownerless: bool = False
    late_on: date | None = None
    days: tuple[date, date] | None = None


_STEP_OPEN = STEP.c.state == written("open")
_ASKED_NOW = ASSIGNMENT.c.state == written("open")


def _open_steps(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a change has an open step like this."""
    return exists().where(and_(STEP.c.change_id == CHANGE.c.id, _STEP_OPEN, *conditions))


def _asked(person_id: str) -> ColumnElement[bool]:
    """Whether a person is asked in an open step of a change."""
    return CHANGE.c.id.in_(select(ASSIGNMENT.c.change_id).where(ASSIGNMENT.c.person_id == person_id, _ASKED_NOW))


def _due(days: tuple[date, date]) -> ColumnElement[bool]:
    return _open_steps(STEP.c.due_on >= days[0], STEP.c.due_on <= days[1])


def _fitting(wanted: Wanted) -> ColumnElement[bool]:
    parts = [CHANGE.c.state == "open"]
    if wanted.trigger:
        parts.append(CHANGE.c.trigger == wanted.trigger)
    if wanted.department:
        of_department = and_(SHEET.c.change_id == CHANGE.c.id, SHEET.c.department_id == wanted.department)
        parts.append(exists().where(of_department))
    if wanted.person:
        parts.append(_asked(wanted.person))
    if wanted.stage:
        parts.append(_open_steps(STEP.c.stage == wanted.stage))
    if wanted.ownerless:
        parts.append(_open_steps(STEP.c.no_owner.is_not(None)))
    if wanted.late_on:
        parts.append(_open_steps(STEP.c.due_on < wanted.late_on))
    if wanted.days:
        parts.append(_due(wanted.days))
    if wanted.text:
        parts.append((CHANGE.c.number + " " + CHANGE.c.title).contains(wanted.text, autoescape=True))
    return and_(*parts)


def board_page(connection: Connection, wanted: Wanted, page: int) -> tuple[list[Row], int]:
    """One page of the open changes that fit, the earliest due first, and how many fit."""
    earliest = (
        select(STEP.c.change_id, func.min(STEP.c.due_on).label("due_on"))
        .where(_STEP_OPEN)
        .group_by(STEP.c.change_id)
        .subquery()
    )
    fitting = _fitting(wanted)
    query = (
        select(CHANGE)
        .join(earliest, earliest.c.change_id == CHANGE.c.id, isouter=True)
        .where(fitting)
        .order_by(earliest.c.due_on.is_(None), earliest.c.due_on, CHANGE.c.number)
        .offset((page - 1) * PAGE_SIZE)
        .limit(PAGE_SIZE)
    )
    count = connection.execute(select(func.count()).select_from(CHANGE).where(fitting)).scalar()
    return rows(connection, query), int(count or 0)


def board_counts(connection: Connection, person_id: str, *, today: date, week: tuple[date, date]) -> dict[str, int]:
    """How many changes are open (`all`), `late`, due `today` or in the `week`, have nobody (`none`) or wait for `me`.

    The open steps are read once, in the order of their index; only open changes have such.
    """
    due = STEP.c.due_on
    wishes = {
        "late": due < today,
        "today": due == today,
        "week": due.between(*week),
        "none": STEP.c.no_owner.is_not(None),
    }
    of_change = (
        select(*(func.max(case((wish, 1), else_=0)).label(name) for name, wish in wishes.items()))
        .where(_STEP_OPEN)
        .group_by(STEP.c.change_id)
        .subquery()
    )
    summed = select(*(func.sum(of_change.c[name]).label(name) for name in wishes))
    counts = rows(connection, summed)[0]  # each None where no step is open
    asked = select(func.count(ASSIGNMENT.c.change_id.distinct())).where(ASSIGNMENT.c.person_id == person_id, _ASKED_NOW)
    is_open = select(func.count()).select_from(CHANGE).where(CHANGE.c.state == "open")
    found = {**counts, "me": connection.execute(asked).scalar(), "all": connection.execute(is_open).scalar()}
    return {name: int(count or 0) for name, count in found.items()}


def board_choices(connection: Connection) -> tuple[dict[str, str], dict[str, str]]:
    """Who is asked and which departments have sheets in open changes, name by id."""
    asked = select(ASSIGNMENT.c.person_id).where(_ASKED_NOW)
    people = connection.execute(select(PERSON.c.id, PERSON.c.name).where(PERSON.c.id.in_(asked)))
    sheets = (
        select(SHEET.c.department_id, SHEET.c.department_name)
        .join(CHANGE, CHANGE.c.id == SHEET.c.change_id)
        .where(and_(CHANGE.c.state == "open", SHEET.c.department_name != ""))
        .distinct()
    )
    return {row[0]: row[1] for row in people}, {row[0] or "": row[1] for row in connection.execute(sheets)}


def line_counts(connection: Connection, step_ids: Sequence[str]) -> dict[str, int]:
    """How many adjustments each step puts before its people (removed ones not counted)."""
    found: dict[str, int] = {}
    for part in chunks(step_ids):
        query = (
            select(LINE.c.step_id, func.count())
            .join(ADJUSTMENT, ADJUSTMENT.c.id == LINE.c.adjustment_id)
            .where(and_(among(LINE.c.step_id, part), ADJUSTMENT.c.state != "removed"))
            .group_by(LINE.c.step_id)
        )
        found.update({step_id: int(count) for step_id, count in connection.execute(query)})
    return found


def change_decisions(connection: Connection, change_id: str) -> list[Row]:
    """All standing decisions of a change in their order, with stage and sheet."""
    query = (
        select(DECISION, STEP.c.stage, STEP.c.round, STEP.c.sheet_id)
        .join(STEP, STEP.c.id == DECISION.c.step_id)
        .where(and_(DECISION.c.change_id == change_id, DECISION.c.undone_at.is_(None)))
        .order_by(DECISION.c.at, DECISION.c.id)
    )
    return rows(connection, query)


def log_rows(
    connection: Connection, change_id: str, *, after: int = 0, limit: int | None = None, newest: bool = False
) -> list[Row]:
    """Lines of a change's log after a number, oldest first; `newest` takes the last `limit` ones."""
    query = select(LOG).where(and_(LOG.c.change_id == change_id, LOG.c.seq > after))
    query = query.order_by(LOG.c.seq.desc() if newest else LOG.c.seq)
    found = rows(connection, query.limit(limit) if limit else query)
    return found[::-1] if newest else found


def assignment_lines(
    connection: Connection, assignment_ids: Sequence[str], person_id: str
) -> dict[str, tuple[str, list[str]]]:
    """Stage and adjustment ids behind assignments of a person: what a form's fields belong to, even when it is over."""
    found: dict[str, tuple[str, list[str]]] = {}
    for part in chunks(assignment_ids):
        query = (
            select(ASSIGNMENT.c.id, STEP.c.stage, LINE.c.adjustment_id)
            .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
            .outerjoin(LINE, LINE.c.step_id == STEP.c.id)
            .where(and_(among(ASSIGNMENT.c.id, part), ASSIGNMENT.c.person_id == person_id))
            .order_by(LINE.c.ord)
        )
        for assignment_id, stage, adjustment_id in connection.execute(query):
            members = found.setdefault(assignment_id, (stage, []))[1]
            if adjustment_id is not None:
                members.append(adjustment_id)
    return found


def sorts_of(connection: Connection, assignment_id: str) -> dict[str, str]:
    """The list of the reach (its hint's `list`) of each adjustment that an assignment puts before its person."""
    query = (
        select(ADJUSTMENT.c.id, ADJUSTMENT.c.hint["list"].as_string())
        .join(LINE, LINE.c.adjustment_id == ADJUSTMENT.c.id)
        .join(ASSIGNMENT, ASSIGNMENT.c.step_id == LINE.c.step_id)
        .where(ASSIGNMENT.c.id == assignment_id, ADJUSTMENT.c.state != "removed")
    )
    return {str(key): str(sort or "rows") for key, sort in connection.execute(query)}


def proposal_of(connection: Connection, adjustment_id: str, revision: str) -> Row | None:
    """The edition of a proposal that a page showed."""
    query = select(PROPOSAL).where(and_(PROPOSAL.c.adjustment_id == adjustment_id, PROPOSAL.c.revision == revision))
    found = rows(connection, query.order_by(PROPOSAL.c.no.desc()).limit(1))
    return found[0] if found else None


def publications(connection: Connection, change_id: str) -> list[Row]:
    """The publications of a change with the deltas of its lists under `lists`."""
    found = rows(
        connection, select(PUBLICATION).where(PUBLICATION.c.change_id == change_id).order_by(PUBLICATION.c.published_at)
    )
    deltas = _selected(
        connection, SNAPSHOT, SNAPSHOT.c.publication_id, [row["id"] for row in found], order=(SNAPSHOT.c.list,)
    )
    for row in found:
        row["lists"] = [delta for delta in deltas if delta["publication_id"] == row["id"]]
    return found


def request_answer(connection: Connection, person_id: str, request_id: str) -> Row | None:
    """The answer of one submission of a person."""
    where = and_(REQUEST.c.id == request_id, REQUEST.c.person_id == person_id)
    answer = connection.execute(select(REQUEST.c.answer).where(where)).scalar()
    return None if answer is None else dict(answer)


# --- the catalogue -------------------------------------------------------------------------------------------------


def version_on(connection: Connection, code: str, moment: datetime | None) -> Row | None:
    """The version of a code valid at a moment (None: the standing one, else the last), with item and publication."""
    query = (
        select(VERSION, ITEM.c.kind, PUBLICATION.c.number.label("publication"))
        .join(ITEM, ITEM.c.id == VERSION.c.item_id)
        .outerjoin(PUBLICATION, PUBLICATION.c.id == VERSION.c.publication_id)
        .where(and_(VERSION.c.code == code, VERSION.c.superseded_at.is_(None)))
        .order_by(VERSION.c.valid_to.is_(None).desc(), VERSION.c.valid_from.desc())
        .limit(1)
    )
    if moment is not None:
        query = query.where(
            and_(VERSION.c.valid_from <= moment, or_(VERSION.c.valid_to.is_(None), VERSION.c.valid_to > moment))
        )
    found = rows(connection, query)
    return found[0] if found else None


def versions_of(connection: Connection, item_id: str) -> list[Row]:
    """All versions of an item, the newest first, each with its publication's number and change."""
    query = (
        select(
            VERSION,
            PUBLICATION.c.number.label("publication"),
            PUBLICATION.c.title.label("publication_title"),
            CHANGE.c.number.label("change_number"),
        )
        .outerjoin(PUBLICATION, PUBLICATION.c.id == VERSION.c.publication_id)
        .outerjoin(CHANGE, CHANGE.c.id == PUBLICATION.c.change_id)
        .where(and_(VERSION.c.item_id == item_id, VERSION.c.superseded_at.is_(None)))
        .order_by(VERSION.c.no.desc())
    )
    return rows(connection, query)


def pending_changes(connection: Connection, item_id: str) -> list[Row]:
    """Open changes an item stands in, with the state of its adjustment."""
    query = (
        select(
            CHANGE.c.id,
            CHANGE.c.number,
            CHANGE.c.title,
            CHANGE.c.effective_on,
            ADJUSTMENT.c.outcomes,
            ADJUSTMENT.c.state,
        )
        .join(ADJUSTMENT, ADJUSTMENT.c.change_id == CHANGE.c.id)
        .where(
            and_(
                ADJUSTMENT.c.item_id == item_id,
                CHANGE.c.state == "open",
                ADJUSTMENT.c.state.not_in(("removed", "declined", "rejected", "published")),
            )
        )
    )
    return rows(connection, query)


def catalogue_page(
    connection: Connection, *, q: str, department: str | None, item_type: str | None, page: int
) -> tuple[list[Row], int]:
    """One page of standing versions and how many there are in all."""
    conditions: list[ColumnElement[bool]] = [STANDING]
    if q:
        like = f"%{q.replace('%', '').replace('_', '')}%"
        conditions.append(or_(VERSION.c.name.like(like), VERSION.c.code.like(like)))
    if department:
        conditions.append(VERSION.c.department_id == department)
    if item_type:
        conditions.append(VERSION.c.type == item_type)
    where = and_(*conditions)
    total = int(connection.execute(select(func.count()).select_from(VERSION).where(where)).scalar() or 0)
    columns = (
        VERSION.c.name,
        VERSION.c.code,
        VERSION.c.type,
        VERSION.c.state,
        VERSION.c.department_id,
        VERSION.c.department_text,
    )
    query = select(*columns, VERSION.c.valid_from, ITEM.c.kind).join(ITEM, ITEM.c.id == VERSION.c.item_id).where(where)
    query = query.order_by(VERSION.c.code, VERSION.c.name, VERSION.c.id).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)
    return rows(connection, query), total


# --- what the coordinator must see to ------------------------------------------------------------------------------


def ownerless(connection: Connection) -> list[Row]:
    """Open steps with a seat nobody holds, oldest due day first."""
    query = (
        select(STEP, CHANGE.c.number, CHANGE.c.title, SHEET.c.department_name)
        .join(CHANGE, CHANGE.c.id == STEP.c.change_id)
        .outerjoin(SHEET, SHEET.c.id == STEP.c.sheet_id)
        .where(and_(STEP.c.state == "open", STEP.c.no_owner.is_not(None), CHANGE.c.state == "open"))
        .order_by(STEP.c.due_on)
    )
    return rows(connection, query)


def undelivered(connection: Connection) -> list[Row]:
    """Notices that could not be delivered, the newest first."""
    query = (
        select(
            NOTICE.c.id,
            NOTICE.c.kind,
            NOTICE.c.error,
            NOTICE.c.tries,
            NOTICE.c.created_at,
            NOTICE.c.change_id,
            PERSON.c.id.label("person_id"),
            PERSON.c.name.label("person_name"),
            CHANGE.c.number,
            CHANGE.c.title,
        )
        .join(PERSON, PERSON.c.id == NOTICE.c.person_id)
        .outerjoin(CHANGE, CHANGE.c.id == NOTICE.c.change_id)
        .where(NOTICE.c.state == written("undeliverable"))
        .order_by(NOTICE.c.created_at.desc())
        .limit(200)
    )
    return rows(connection, query)


def count_closed_since(connection: Connection, since: datetime) -> int:
    """How many changes were closed since a moment."""
    query = (
        select(func.count()).select_from(CHANGE).where(and_(CHANGE.c.state == "closed", CHANGE.c.closed_at >= since))
    )
    return int(connection.execute(query).scalar() or 0)


def shared_or_address(connection: Connection, person_id: str) -> str | None:
    """The address of a person, for a page that says where a mail went."""
    query = select(CONTACT.c.address).where(and_(CONTACT.c.person_id == person_id, CONTACT.c.kind == "mail"))
    value = connection.execute(query).scalar()
    return None if value is None else str(value)


def is_vacant(connection: Connection) -> bool:
    """Whether nothing at all was loaded yet."""
    return all(
        connection.execute(select(t).limit(1)).first() is None for t in (table(Department), PERSON, ITEM, table(Law))
    )
