"""One change under lock: its row, its log, its sheets, steps and assignments as sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Date,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    union,
    union_all,
    update,
)
from sqlalchemy import Engine as Engine_

from models.domain.audit import AUDITED, BECAME, plain
from models.domain.errors import Unknown
from models.domain.procedure import ProcedureVersion
from models.domain.seals import line_hash
from models.store.pipeline import ALONG, answered, ask_ahead
from models.store.sealing import Kept
from models.store.sql import among, among_named, insert_all, table, update_by_id, written
from models.store.turns import take_turn
from models.tables import (
    Adjustment,
    Assignment,
    Change,
    ChangeLog,
    Contact,
    Decision,
    DecisionLine,
    Engine,
    Item,
    Person,
    Post,
    Procedure,
    Proposal,
    Rung,
    Sheet,
    Step,
    StepLine,
)

CHANGE, LOG, ADJUSTMENT, PROPOSAL = table(Change), table(ChangeLog), table(Adjustment), table(Proposal)
SHEET, STEP, LINE, RUNG = table(Sheet), table(Step), table(StepLine), table(Rung)
ASSIGNMENT, DECISION, DECISION_LINE = table(Assignment), table(Decision), table(DecisionLine)
PROCEDURE, ENGINE, PERSON, POST = table(Procedure), table(Engine), table(Person), table(Post)
ITEM, CONTACT = table(Item), table(Contact)
_EARLIER = PROPOSAL.alias()
#: Written as the partial indexes have them, or SQLite reads all there ever was.
_STEP_OPEN, _NOT_DROPPED = STEP.c.state == written("open"), RUNG.c.dropped == literal_column("false")

Row = dict[str, Any]
_EDITIONS: WeakKeyDictionary[Engine_, dict[tuple[str, int], ProcedureVersion]] = WeakKeyDictionary()


def rows(connection: Connection, query: Any, **values: Any) -> list[Row]:
    """The rows of a query as plain dicts; `values` for the names left open in it."""
    ahead = answered(connection, query, values)
    if ahead is not None:
        return ahead
    result = connection.execute(query, values)
    names = list(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]


def chunks(values: Sequence[str], size: int = 20_000) -> Iterable[Sequence[str]]:
    """The values in portions one statement takes."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


@dataclass(frozen=True)
class Wake:
    """What it needs to wake a change: its run, and whether it sleeps."""

    change_id: str
    attempt: int
    flow_run_id: str | None
    parked: bool
    leg_engine: str | None
    trigger: str = ""


def wake_of(row: Mapping[str, Any]) -> Wake:
    """The wake of a change row."""
    return Wake(
        change_id=row["id"],
        attempt=row["attempt"],
        flow_run_id=row["flow_run_id"],
        parked=row["parked_leg"] is not None and row["parked_leg"] == row["leg_no"],
        leg_engine=row["leg_engine"],
        trigger=row["trigger"],
    )


def change_row(connection: Connection, change_id: str) -> Row:
    """The row of a change by id or number; `Unknown change_unknown`."""
    found = rows(connection, select(CHANGE).where((CHANGE.c.id == change_id) | (CHANGE.c.number == change_id)))
    if not found:
        raise Unknown("change_unknown", f"没有编号为 {change_id} 的变更。")
    return found[0]


def _locked() -> Any:
    last = select(LOG.c.hash).where(and_(LOG.c.change_id == CHANGE.c.id, LOG.c.seq == CHANGE.c.log_seq))
    query = select(CHANGE, last.scalar_subquery().label("last_hash")).where(CHANGE.c.id == bindparam("change_id"))
    return query.with_for_update(of=CHANGE)


def _last_hash(connection: Connection, row: Row) -> str:
    """The hash of the newest log line. PostgreSQL gives the row another has just let go of as it stands now, but lines
    he wrote only to a question asked after the lock.
    """
    where = and_(LOG.c.change_id == row["id"], LOG.c.seq == row["log_seq"])
    return str(connection.execute(select(LOG.c.hash).where(where)).scalar() or "") if row["log_seq"] else ""


# The questions of every pass are written once: building them anew took as long as asking them.
_LOCKED = _locked()


class Case:
    """One change in one writer transaction: its row is locked first; log lines and columns go out at `flush`."""

    def __init__(self, connection: Connection, change_id: str, now: datetime) -> None:
        self.connection = connection
        self.now = now
        found = rows(connection, _LOCKED, change_id=change_id)
        if not found:
            raise Unknown("change_unknown", f"没有编号为 {change_id} 的变更。")
        self._prev: str = found[0].pop("last_hash") or _last_hash(connection, found[0])
        self.row: Row = found[0]
        self.id = change_id
        self._entries: list[Row] = []
        self._became: list[Any] = []
        self._values: Row = {}
        self._gathered: dict[Table, dict[str, Row]] | None = None
        self._made: dict[tuple[Table, tuple[str, ...]], list[Mapping[str, Any]]] = {}
        self._kept = Kept(connection)
        self._seq = int(self.row["log_seq"])

    def log(
        self,
        verb: str,
        *,
        who: str | None = None,
        acting_for: str | None = None,
        via: str = "engine",
        about: str = "",
        work: bool = False,
        **data: Any,
    ) -> int:
        """Add one line to the audit log; `work` tells the engine there is something to do. The line's number."""
        self._seq += 1
        entry: Row = {
            "change_id": self.id,
            "seq": self._seq,
            "at": self.now,
            "who": who,
            "acting_for": acting_for,
            "via": via,
            "verb": verb,
            "object": about,
            "data": data,
            "sealed": self._kept.take(),
        }
        self._tell(entry)
        self._entries.append(entry)
        if work:
            self.set(work_seq=self._seq)
            if self.row["work_seq"] <= self.row["consumed_seq"] or self.row["work_since"] is None:
                self.set(work_since=self.now)
        return self._seq

    def insert(self, target: Table, values: Iterable[Mapping[str, Any]]) -> None:
        """Insert rows; for those that decide the next line of the log vouches."""
        if target is PROPOSAL:
            values = [{**row, "log_seq": self._seq + 1} for row in values]
        kept = self._kept.keeping(target, values)
        if self._gathered is None:
            insert_all(self.connection, target, kept)
            return
        for row in kept:
            self._made.setdefault((target, tuple(row)), []).append(row)

    def vouch(self, target: Table, values: Iterable[Mapping[str, Any]]) -> None:
        """Have the next line vouch for rows that were inserted already."""
        self._kept.keep(target, values)

    def set(self, **values: Any) -> None:
        """Columns of the change row to write at `flush`."""
        self._values.update(values)
        self.became("change", [self.id], **values)

    def write(self, target: Table, ids: Sequence[str], values: Row) -> None:
        """Give rows of this change the same values: at once, or with the others while writes are gathered."""
        if self._gathered is None:
            self._update(target, ids, values)
            return
        rows_of = self._gathered.setdefault(target, {})
        for row_id in ids:
            rows_of.setdefault(row_id, {}).update(values)

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Until the block ends, new rows and what rows become are gathered: one statement for all of a kind, and for all
        that become the same. Who asks the database for them meanwhile calls `write_gathered` first.
        """
        self._gathered = {}
        try:
            yield
            self.write_gathered()
        finally:
            self._gathered = None

    def write_gathered(self) -> None:
        """Write what was gathered so far."""
        for (target, _), made in self._made.items():
            insert_all(self.connection, target, made)
        self._made.clear()
        for target, rows_of in (self._gathered or {}).items():
            alike: dict[tuple[Any, ...], list[str]] = {}
            for row_id, values in rows_of.items():
                alike.setdefault(tuple(values.items()), []).append(row_id)
            for became, ids in alike.items():
                self._update(target, ids, dict(became))
            rows_of.clear()

    def _update(self, target: Table, ids: Sequence[str], values: Row) -> None:
        for part in chunks(ids):
            update_by_id(self.connection, target, part, values)

    def became(self, kind: str, ids: Collection[str], /, **values: Any) -> None:
        """What these rows of a table became: the next line of the log tells it, so that the log can be replayed."""
        told = {name: plain(value) for name, value in values.items() if name in AUDITED[kind]}
        if told and ids:
            self._became.append([kind, told, list(ids)])

    def made(self, kind: str, made: Sequence[Row]) -> None:
        """New rows of a table, each with its `id`: what is the same in all of them is told once."""
        names = [name for name in AUDITED[kind] if made and name in made[0]]
        same = {name: made[0][name] for name in names if all(row[name] == made[0][name] for row in made)}
        self.became(kind, [row["id"] for row in made], **same)
        own = [name for name in names if name not in same]
        if own:
            self._became += [[kind, {name: plain(row[name]) for name in own}, [row["id"]]] for row in made]

    def _tell(self, entry: Row) -> None:
        if self._became:
            entry["data"] = {**entry["data"], BECAME: [*entry["data"].get(BECAME, []), *self._became]}
            self._became = []

    def get(self, name: str) -> Any:
        """A column as it will stand after `flush`."""
        return self._values.get(name, self.row[name])

    def flush(self) -> None:
        """Write the log lines and the columns; what the last line did not tell yet, it tells."""
        assert self._kept.empty, "rows that decide were written without a line of the log"
        self.write_gathered()
        if self._became and not self._entries:
            self.log("更新", about=self.row["number"])
        if self._entries:
            self._tell(self._entries[-1])
            for entry in self._entries:
                entry["prev_hash"] = self._prev
                entry["hash"] = self._prev = line_hash(entry)
            insert_all(self.connection, LOG, self._entries)
            self._values["log_seq"] = self._seq
            self._entries = []
        if self._values:
            update_by_id(self.connection, CHANGE, [self.id], self._values)
            self.row.update(self._values)
            self._values = {}


def next_number(connection: Connection, year: int) -> str:
    """The next change number of the year, `2026-0015`; called inside the writer transaction that uses it."""
    last = connection.execute(select(func.max(CHANGE.c.number)).where(CHANGE.c.number.like(f"{year}-%"))).scalar()
    return f"{year}-{(int(str(last).split('-')[1]) + 1) if last else 1:04d}"


def adjustments(connection: Connection, *, change_id: str | None = None, sheet_id: str | None = None) -> list[Row]:
    """Adjustments of a change or of a sheet, in order; removed ones are left out for a sheet."""
    query = select(ADJUSTMENT).order_by(ADJUSTMENT.c.ord, ADJUSTMENT.c.id)
    if change_id is not None:
        query = query.where(ADJUSTMENT.c.change_id == change_id)
    if sheet_id is not None:
        query = query.where(and_(ADJUSTMENT.c.sheet_id == sheet_id, ADJUSTMENT.c.state != "removed"))
    return rows(connection, query)


def due_lines(connection: Connection, change_id: str, now: datetime) -> list[Row]:
    """The adjustments of a change whose moment has come, in order; not those of a sheet that is tried again later."""
    query = select(ADJUSTMENT).where(_line_is_due()).order_by(ADJUSTMENT.c.ord, ADJUSTMENT.c.id)
    return rows(connection, query, change_id=change_id, now=now)


def _line_is_due() -> ColumnElement[bool]:
    held = select(SHEET.c.id).where(
        SHEET.c.change_id == bindparam("change_id"), SHEET.c.stuck.is_not(None), SHEET.c.retry_at > bindparam("now")
    )
    return and_(
        ADJUSTMENT.c.change_id == bindparam("change_id"),
        ADJUSTMENT.c.state == "scheduled",
        ADJUSTMENT.c.effective_at <= bindparam("now"),
        ADJUSTMENT.c.sheet_id.not_in(held),
    )


def freed_sheets(connection: Connection, change_id: str, now: datetime) -> list[str]:
    """Sheets past their last step that are still marked as stuck though nothing of them is left to publish."""
    query = select(SHEET.c.id).where(_sheet_is_free())
    return list(connection.execute(query, {"change_id": change_id, "now": now}).scalars())


def _sheet_is_free() -> ColumnElement[bool]:
    left = select(ADJUSTMENT.c.id).where(ADJUSTMENT.c.sheet_id == SHEET.c.id, ADJUSTMENT.c.state == "scheduled")
    return and_(
        SHEET.c.change_id == bindparam("change_id"),
        SHEET.c.state != "open",
        SHEET.c.stuck.is_not(None),
        SHEET.c.retry_at <= bindparam("now"),
        ~left.exists(),
    )


def is_due(connection: Connection, change_id: str, now: datetime) -> bool:
    """Whether something of a change is to be published, a rung to fire, or a mark to be taken off."""
    return any(connection.execute(_due(), {"change_id": change_id, "now": now}).one())


@cache
def _due() -> Select[Any]:
    line = select(ADJUSTMENT.c.id).where(_line_is_due())
    rung = select(RUNG.c.step_id).join(STEP, STEP.c.id == RUNG.c.step_id).where(_rung_is_due())
    sheet = select(SHEET.c.id).where(_sheet_is_free())
    return select(line.exists(), rung.exists(), sheet.exists())


def settled_sheets(connection: Connection, change_id: str, terminal: Collection[str]) -> list[str]:
    """Sheets that wait for publication though all their lines have a final state."""
    open_line = select(ADJUSTMENT.c.id).where(ADJUSTMENT.c.sheet_id == SHEET.c.id, ADJUSTMENT.c.state.not_in(terminal))
    query = select(SHEET.c.id).where(SHEET.c.change_id == change_id, SHEET.c.state == "waiting", ~open_line.exists())
    return list(connection.execute(query).scalars())


def adjustments_of_step(connection: Connection, step_id: str) -> list[Row]:
    """The adjustments a step puts before its people, in their order there; removed ones are left out."""
    return adjustments_of_steps(connection, [step_id])[step_id]


def adjustments_of_steps(connection: Connection, step_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The same of several steps, by step id."""
    shown = lines_of_steps(connection, step_ids)
    return {step_id: [row for row in lines if row["state"] != "removed"] for step_id, lines in shown.items()}


def lines_of_steps(connection: Connection, step_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The adjustments each step put before its people when it was opened, in their order there, by step id."""
    found: dict[str, list[Row]] = {step_id: [] for step_id in step_ids}
    for part in chunks(step_ids):
        for row in rows(connection, _lines_of_steps(), step_ids=part):
            found[row.pop("of_step")].append(row)
    return found


def ask_of_steps(connection: Connection, step_ids: Sequence[str]) -> None:
    """Ask ahead for `adjustments_of_steps`."""
    ask_ahead(connection, (_lines_of_steps(), {"step_ids": step_ids}))


@cache
def _lines_of_steps() -> Select[Any]:
    return (
        select(ADJUSTMENT, LINE.c.step_id.label("of_step"))
        .join(LINE, LINE.c.adjustment_id == ADJUSTMENT.c.id)
        .where(among_named(LINE.c.step_id, "step_ids"))
        .order_by(LINE.c.ord, ADJUSTMENT.c.ord)
    )


def ask_of_pass(connection: Connection, change_id: str, on: date) -> None:
    """Ask ahead what a pass that moves sheets asks first."""
    moving = {"change_id": change_id}
    ask_ahead(connection, (_LEAVERS, {**moving, "on": on}), (_MOVING, moving))


def moving_sheets(connection: Connection, change_id: str) -> list[Row]:
    """Open sheets to which something came, in order: no step is open, or one is decided, or a line was taken out,
    or the sheet is stuck (its move looks at the clock).
    """
    return rows(connection, _MOVING, change_id=change_id)


def _moving() -> Any:
    waiting = select(STEP.c.sheet_id).where(
        STEP.c.change_id == bindparam("change_id"), _STEP_OPEN, STEP.c.sheet_id.is_not(None)
    )
    decided = waiting.join(DECISION, DECISION.c.step_id == STEP.c.id).where(DECISION.c.undone_at.is_(None))
    taken = select(ADJUSTMENT.c.id).where(ADJUSTMENT.c.sheet_id == SHEET.c.id, ADJUSTMENT.c.state == "removed").exists()
    query = select(SHEET).where(
        SHEET.c.change_id == bindparam("change_id"),
        SHEET.c.state == "open",
        or_(SHEET.c.stuck.is_not(None), SHEET.c.id.not_in(waiting), SHEET.c.id.in_(decided), taken),
    )
    return query.order_by(SHEET.c.ord, SHEET.c.id)


_MOVING = _moving()


@dataclass
class SheetRound:
    """The present round of a sheet, read once: its lines, its steps in order, and by step who was asked (with his
    `name`), what was decided (as `decisions` gives it) and what was shown.
    """

    no: int
    lines: list[Row]
    steps: list[Row]
    asked: dict[str, list[Row]]
    made: dict[str, list[Row]]
    shown: dict[str, list[Row]]


def sheet_rounds(connection: Connection, found: Sequence[Row]) -> dict[str, SheetRound]:
    """Everything a move of these sheets looks at, by sheet; as many questions for many as for one."""
    sheet_ids = [sheet["id"] for sheet in found]
    held = {
        sheet["id"]: SheetRound(no=sheet["round"], lines=[], steps=[], asked={}, made={}, shown={}) for sheet in found
    }
    of_sheets = {"sheet_ids": sheet_ids}
    ask_ahead(connection, (_with_items(), of_sheets), (_steps_of_round(), of_sheets))
    for line in rows(connection, _with_items(), **of_sheets):
        held[line["sheet_id"]].lines.append(line)
    steps_of = rows(connection, _steps_of_round(), **of_sheets)
    ids = [step["id"] for step in steps_of]
    if ids:
        ask_ahead(connection, *((query, {"step_ids": ids}) for query in (_asked(), _shown(), _decided())))
    in_order = [line["id"] for its_own in held.values() for line in its_own.lines]
    ask_ahead(connection, (_drafting(), {"adjustment_ids": in_order}))
    asked, shown = assignments(connection, ids), step_lines(connection, ids)
    made = decisions(connection, ids) if ids else {}
    for step in steps_of:
        its_own, key = held[step["sheet_id"]], step["id"]
        its_own.steps.append(step)
        its_own.asked[key], its_own.made[key], its_own.shown[key] = asked[key], made[key], shown[key]
    return held


@cache
def _steps_of_round() -> Select[Any]:
    its_sheet = and_(SHEET.c.id == STEP.c.sheet_id, SHEET.c.round == STEP.c.round)
    where = among_named(STEP.c.sheet_id, "sheet_ids")
    return select(STEP).join(SHEET, its_sheet).where(where).order_by(STEP.c.opened_at, STEP.c.id)


@cache
def _with_items() -> Select[Any]:
    """As `adjustments` of sheets, each with `gone`: its item is no longer in the catalogue's tables."""
    return (
        select(ADJUSTMENT, and_(ADJUSTMENT.c.item_id.is_not(None), ITEM.c.id.is_(None)).label("gone"))
        .outerjoin(ITEM, ITEM.c.id == ADJUSTMENT.c.item_id)
        .where(among_named(ADJUSTMENT.c.sheet_id, "sheet_ids"), ADJUSTMENT.c.state != "removed")
        .order_by(ADJUSTMENT.c.ord, ADJUSTMENT.c.id)
    )


def sheets(connection: Connection, change_id: str) -> list[Row]:
    """All sheets of a change in order."""
    return rows(connection, select(SHEET).where(SHEET.c.change_id == change_id).order_by(SHEET.c.ord, SHEET.c.id))


def sheets_by_id(connection: Connection, sheet_ids: Sequence[str]) -> list[Row]:
    """These sheets, in the order of a change's sheets."""
    return rows(connection, _named_sheets(), sheet_ids=sheet_ids)


@cache
def _named_sheets() -> Select[Any]:
    return select(SHEET).where(among_named(SHEET.c.id, "sheet_ids")).order_by(SHEET.c.ord, SHEET.c.id)


def steps(connection: Connection, change_id: str, *, states: Sequence[str] | None = None) -> list[Row]:
    """Steps of a change in the order they were opened."""
    query = select(STEP).where(STEP.c.change_id == change_id).order_by(STEP.c.opened_at, STEP.c.id)
    return rows(connection, query.where(STEP.c.state.in_(states)) if states else query)


def step_lines(connection: Connection, step_ids: Sequence[str]) -> dict[str, list[Row]]:
    """What each step puts before its people, in order, by step id."""
    found: dict[str, list[Row]] = {step_id: [] for step_id in step_ids}
    for part in chunks(step_ids):
        for row in rows(connection, _shown(), step_ids=part):
            found[row["step_id"]].append(row)
    return found


@cache
def _shown() -> Select[Any]:
    return select(LINE).where(among_named(LINE.c.step_id, "step_ids")).order_by(LINE.c.ord)


def assignments(connection: Connection, step_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The assignments of each step, by step id, each with the `name` of its person."""
    found: dict[str, list[Row]] = {step_id: [] for step_id in step_ids}
    for part in chunks(step_ids):
        for row in rows(connection, _asked(), step_ids=part):
            found[row["step_id"]].append(row)
    return found


@cache
def _asked() -> Select[Any]:
    return (
        select(ASSIGNMENT, PERSON.c.name)
        .join(PERSON, PERSON.c.id == ASSIGNMENT.c.person_id)
        .where(among_named(ASSIGNMENT.c.step_id, "step_ids"))
        .order_by(ASSIGNMENT.c.opened_at, ASSIGNMENT.c.id)
    )


def assignments_of_leavers(connection: Connection, change_id: str, on: date) -> list[Row]:
    """What lies open in a change before people who were disabled, or who had posts and hold none on this day."""
    return rows(connection, _LEAVERS, change_id=change_id, on=on)


def changes_of_leavers(connection: Connection, on: date) -> list[str]:
    """The open changes in which something lies open before such people."""
    return list(connection.execute(_CHANGES_OF_LEAVERS, {"on": on}).scalars())


def _leavers() -> Any:
    posts = select(POST.c.id).where(POST.c.person_id == PERSON.c.id)
    held = posts.where(or_(POST.c.to_on.is_(None), POST.c.to_on >= bindparam("on", type_=Date())))
    return or_(PERSON.c.disabled_at.is_not(None), and_(posts.exists(), ~held.exists()))


_OPEN_BEFORE_LEAVERS = (
    select(ASSIGNMENT)
    .join(PERSON, PERSON.c.id == ASSIGNMENT.c.person_id)
    .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
    .where(ASSIGNMENT.c.state == "open", _STEP_OPEN, _leavers())
)
_LEAVERS = _OPEN_BEFORE_LEAVERS.where(STEP.c.change_id == bindparam("change_id")).order_by(
    ASSIGNMENT.c.step_id, ASSIGNMENT.c.id
)
_CHANGES_OF_LEAVERS = _OPEN_BEFORE_LEAVERS.with_only_columns(ASSIGNMENT.c.change_id).distinct()


def decisions(connection: Connection, step_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The standing decisions of each step with their lines under `lines` (adjustment id → line)."""
    found: dict[str, list[Row]] = {step_id: [] for step_id in step_ids}
    by_id: dict[str, Row] = {}
    of_line = ("adjustment_id", "line_verdict", "remark", "line_revision")
    for part in chunks(step_ids):
        for row in rows(connection, _decided(), step_ids=part):
            adjustment_id, verdict, remark, revision = (row.pop(name) for name in of_line)
            if row["id"] not in by_id:
                by_id[row["id"]] = {**row, "lines": {}}
                found[row["step_id"]].append(by_id[row["id"]])
            if adjustment_id is not None:
                by_id[row["id"]]["lines"][adjustment_id] = {
                    "decision_id": row["id"],
                    "adjustment_id": adjustment_id,
                    "verdict": verdict,
                    "remark": remark,
                    "revision": revision,
                }
    return found


@cache
def _decided() -> Select[Any]:
    return (
        select(
            DECISION,
            DECISION_LINE.c.adjustment_id,
            DECISION_LINE.c.verdict.label("line_verdict"),
            DECISION_LINE.c.remark,
            DECISION_LINE.c.revision.label("line_revision"),
        )
        .outerjoin(DECISION_LINE, DECISION_LINE.c.decision_id == DECISION.c.id)
        .where(and_(among_named(DECISION.c.step_id, "step_ids"), DECISION.c.undone_at.is_(None)))
        .order_by(DECISION.c.at, DECISION.c.id)
    )


def ask_of_proposals(connection: Connection, adjustment_ids: Sequence[str], *, drafters_of: Sequence[str]) -> None:
    """Ask ahead for `standing_proposals` of the first, and for `drafters` of the second."""
    ask_ahead(connection, (_newest_proposals(), {"adjustment_ids": adjustment_ids}))
    if drafters_of:
        ask_ahead(connection, (_drafting(), {"adjustment_ids": drafters_of}))


def standing_proposals(connection: Connection, adjustment_ids: Sequence[str], *names: str) -> dict[str, Row]:
    """The latest proposal of each adjustment: all of it, or the columns of these names."""
    found: dict[str, Row] = {}
    for part in chunks(adjustment_ids):
        for row in rows(connection, _newest_proposals(*names), adjustment_ids=part):
            found[row["adjustment_id"]] = row
    return found


@cache
def _newest_proposals(*names: str) -> Select[Any]:
    return _newest(names)


def _newest(names: Sequence[str], *which: ColumnElement[bool]) -> Select[Any]:
    """Of each adjustment the newest of such proposals: counted back from its last, however many there were before."""
    last = select(_EARLIER.c.no).where(_EARLIER.c.adjustment_id == ADJUSTMENT.c.id, *which)
    number = last.order_by(_EARLIER.c.no.desc()).limit(1).scalar_subquery()
    its_own = and_(PROPOSAL.c.adjustment_id == ADJUSTMENT.c.id, PROPOSAL.c.no == number)
    columns = [PROPOSAL.c.adjustment_id, *(PROPOSAL.c[name] for name in names)] if names else PROPOSAL.c
    named = among_named(ADJUSTMENT.c.id, "adjustment_ids")
    return select(*columns).select_from(ADJUSTMENT).join(PROPOSAL, its_own).where(named)


def approve_lines(case: Case, lines: Sequence[Row], effective_at: datetime) -> None:
    """Reviewed lines wait for their moment, each with the mark of exactly what was approved."""
    ids = [line["id"] for line in lines]
    case.write_gathered()
    for part in chunks(ids):
        where = and_(among(ADJUSTMENT.c.id, part), ADJUSTMENT.c.state == "in_review")
        values = {"state": "scheduled", "approved_hash": ADJUSTMENT.c.revision, "effective_at": effective_at}
        case.connection.execute(update(ADJUSTMENT).where(where).values(**values), execution_options=ALONG)
    case.became("adjustment", ids, state="approved")
    for line in lines:
        case.became("adjustment", [line["id"]], approved_hash=line["revision"])
    case.became("adjustment", ids, state="scheduled", effective_at=effective_at)


def proposals_before_round(connection: Connection, latest: Mapping[str, Row], round_no: int) -> dict[str, Row]:
    """The last submitted proposal of each adjustment from a round before this one: what was returned. `latest` are their
    standing proposals: before the drafter has begun anew they are what was returned.
    """
    found = {key: row for key, row in latest.items() if row["submitted"] and row["round"] < round_no}
    for part in chunks([key for key in latest if key not in found]):
        for row in rows(connection, _newest_before(), adjustment_ids=part, round=round_no):
            found[row["adjustment_id"]] = row
    return found


@cache
def _newest_before() -> Select[Any]:
    return _newest((), _EARLIER.c.round < bindparam("round"), _EARLIER.c.submitted.is_(True))


def drafters(connection: Connection, adjustment_ids: Sequence[str]) -> dict[str, set[str]]:
    """Who wrote a proposal of each adjustment, for whom he stood in, and who shares a mailbox with one of them: they do not
    review it.
    """
    found: dict[str, set[str]] = {}
    for part in chunks(adjustment_ids):
        for row in rows(connection, _drafting(), adjustment_ids=part):
            found.setdefault(row["adjustment_id"], set()).add(row["by_person_id"])
    return found


@cache
def _drafting() -> CompoundSelect[Any]:
    """(adjustment, person) of all three kinds, each pair once."""
    drafted = union(_writers(), _stood_in_for()).cte("drafted")
    adjustment_id, person_id = drafted.c
    mine, theirs = CONTACT.alias(), CONTACT.alias()
    same_mailbox = and_(func.lower(theirs.c.address) == func.lower(mine.c.address), theirs.c.shared)
    mates = (
        select(adjustment_id, theirs.c.person_id)
        .join(mine, and_(mine.c.person_id == person_id, mine.c.shared))
        .join(theirs, same_mailbox)
    )
    return union(select(drafted), mates)


def _writers() -> Select[Any]:
    wrote = and_(among_named(PROPOSAL.c.adjustment_id, "adjustment_ids"), PROPOSAL.c.by_person_id.is_not(None))
    return select(PROPOSAL.c.adjustment_id, PROPOSAL.c.by_person_id).where(wrote)


def _stood_in_for() -> Select[Any]:
    """Whoever wrote held the drafting of that round as a substitute; few assignments of a change are a substitute's."""
    named = among_named(ADJUSTMENT.c.id, "adjustment_ids")
    changes = select(ADJUSTMENT.c.change_id).where(named)
    return (
        select(PROPOSAL.c.adjustment_id, ASSIGNMENT.c.acting_for_id)
        .select_from(ASSIGNMENT)
        .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
        .join(LINE, LINE.c.step_id == STEP.c.id)
        .join(
            PROPOSAL,
            and_(
                PROPOSAL.c.adjustment_id == LINE.c.adjustment_id,
                PROPOSAL.c.by_person_id == ASSIGNMENT.c.person_id,
                PROPOSAL.c.round == STEP.c.round,
            ),
        )
        .where(
            and_(
                ASSIGNMENT.c.change_id.in_(changes),
                ASSIGNMENT.c.acting_for_id.is_not(None),
                STEP.c.stage == "draft",
                among_named(PROPOSAL.c.adjustment_id, "adjustment_ids"),
            )
        )
    )


def insert_rows(connection: Connection, target: Any, values: Sequence[Row]) -> None:
    """Insert a set in one go."""
    insert_all(connection, target, values)


def add_rows(case: Case, target: Table, values: Sequence[Row]) -> None:
    """Insert a set of rows with an `id` and tell the log of them."""
    case.insert(target, values)
    case.made(target.name, values)


def add_proposals(case: Case, values: Sequence[Row]) -> None:
    """Insert editions of proposals and tell the log who wrote them."""
    case.insert(PROPOSAL, values)
    case.made(PROPOSAL.name, [{**row, "id": f"{row['adjustment_id']}:{row['no']}"} for row in values])


def set_adjustments(case: Case, ids: Sequence[str], **values: Any) -> None:
    """The same columns for a set of adjustments."""
    _set(case, ADJUSTMENT, ids, **values)


def set_sheet(case: Case, sheet_id: str, **values: Any) -> None:
    _set(case, SHEET, [sheet_id], **values)


def set_sheets(case: Case, ids: Sequence[str], **values: Any) -> None:
    """The same columns for a set of sheets."""
    _set(case, SHEET, ids, **values)


def set_step(case: Case, step_id: str, **values: Any) -> None:
    _set(case, STEP, [step_id], **values)


def set_assignments(case: Case, ids: Sequence[str], **values: Any) -> None:
    """The same columns for a set of assignments."""
    _set(case, ASSIGNMENT, ids, **values)


def _set(case: Case, target: Table, ids: Sequence[str], **values: Any) -> None:
    case.write(target, ids, values)
    case.became(target.name, ids, **values)


def close_assignments(case: Case, asked: Sequence[Row], state: str) -> list[str]:
    """Close what is still open of a step; the persons whose assignment ended so."""
    left = [row for row in asked if row["state"] == "open"]
    set_assignments(case, [row["id"] for row in left], state=state, closed_at=case.now)
    return [row["person_id"] for row in left]


def drop_rungs(connection: Connection, step_ids: Sequence[str]) -> None:
    """No rung fires after a decision."""
    for part in chunks(step_ids):
        connection.execute(_dropping(), {"step_ids": part})


@cache
def _dropping() -> Update:
    where = and_(among_named(RUNG.c.step_id, "step_ids"), RUNG.c.fired_at.is_(None))
    return update(RUNG).where(where).values(dropped=True).execution_options(**ALONG)


def due_rungs(connection: Connection, change_id: str, now: datetime) -> list[Row]:
    """Rungs of open steps whose moment has come, oldest first."""
    query = select(RUNG).join(STEP, STEP.c.id == RUNG.c.step_id).where(_rung_is_due()).order_by(RUNG.c.due_at)
    return rows(connection, query, change_id=change_id, now=now)


def _rung_is_due() -> ColumnElement[bool]:
    return and_(
        RUNG.c.change_id == bindparam("change_id"),
        RUNG.c.fired_at.is_(None),
        _NOT_DROPPED,
        RUNG.c.due_at <= bindparam("now"),
        STEP.c.state == "open",
    )


def fired_rungs(connection: Connection, step_id: str) -> dict[str, datetime]:
    """When each rung of a step was fired."""
    query = select(RUNG.c.rung, RUNG.c.fired_at).where(and_(RUNG.c.step_id == step_id, RUNG.c.fired_at.is_not(None)))
    return {str(rung): at for rung, at in connection.execute(query)}


def fire_rung(connection: Connection, step_id: str, rung: str, now: datetime) -> bool:
    """Mark a rung as fired; False if it was already."""
    where = and_(RUNG.c.step_id == step_id, RUNG.c.rung == rung, RUNG.c.fired_at.is_(None))
    return connection.execute(update(RUNG).where(where).values(fired_at=now)).rowcount == 1


def standing(connection: Connection, change_id: str, after: int) -> Row:
    """Where a change stands: its row, `said` (lines people wrote in the log after `after` that were consumed) and
    `waiting` (people with something open).
    """
    return rows(connection, _STANDING, change_id=change_id, after=after)[0]


def _standing() -> Any:
    said = select(func.count()).where(
        LOG.c.change_id == CHANGE.c.id,
        LOG.c.seq > bindparam("after"),
        LOG.c.seq <= CHANGE.c.consumed_seq,
        LOG.c.who.is_not(None),
    )
    waiting = (
        select(func.count(ASSIGNMENT.c.person_id.distinct()))
        .join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
        .where(STEP.c.change_id == CHANGE.c.id, _STEP_OPEN, ASSIGNMENT.c.state == "open")
    )
    columns = (said.scalar_subquery().label("said"), waiting.scalar_subquery().label("waiting"))
    return select(CHANGE, *columns).where(CHANGE.c.id == bindparam("change_id"))


_STANDING = _standing()


def last_urged(connection: Connection, change_id: str, step_ids: Sequence[str]) -> dict[str, Row]:
    """The last log line about urging those a step waits for, by step."""
    where = and_(LOG.c.change_id == change_id, LOG.c.verb == "催办", among(LOG.c.object, step_ids))
    return {row["object"]: row for row in rows(connection, select(LOG).where(where).order_by(LOG.c.seq))}


def late_steps(connection: Connection, change_id: str, today: date) -> list[Row]:
    """Open steps of a change that are late or that nobody holds, the earliest due first, with their sheet's department."""
    query = (
        select(STEP, SHEET.c.department_name)
        .outerjoin(SHEET, SHEET.c.id == STEP.c.sheet_id)
        .where(
            STEP.c.change_id == change_id,
            STEP.c.state == "open",
            or_(STEP.c.due_on < today, STEP.c.no_owner.is_not(None)),
        )
        .order_by(STEP.c.due_on, STEP.c.opened_at, STEP.c.id)
    )
    return rows(connection, query)


def open_steps_of(connection: Connection, change_id: str, person_id: str, also: Sequence[str]) -> list[Row]:
    """Open steps of a change that wait for a person, and some others; the earliest due first, with their department."""
    waits = select(ASSIGNMENT.c.id).where(
        ASSIGNMENT.c.step_id == STEP.c.id, ASSIGNMENT.c.person_id == person_id, ASSIGNMENT.c.state == "open"
    )
    query = (
        select(STEP, SHEET.c.department_name)
        .outerjoin(SHEET, SHEET.c.id == STEP.c.sheet_id)
        .where(STEP.c.change_id == change_id, STEP.c.state == "open", or_(waits.exists(), among(STEP.c.id, also)))
        .order_by(STEP.c.due_on, STEP.c.opened_at, STEP.c.id)
    )
    return rows(connection, query)


def changes_with_provisional(connection: Connection) -> list[str]:
    """Open changes with an open step whose deadline is provisional."""
    query = (
        select(STEP.c.change_id)
        .join(CHANGE, CHANGE.c.id == STEP.c.change_id)
        .where(CHANGE.c.state == "open", STEP.c.state == "open", STEP.c.provisional.is_(True))
        .distinct()
        .order_by(STEP.c.change_id)
    )
    return list(connection.execute(query).scalars())


def provisional_steps(connection: Connection, change_id: str) -> list[Row]:
    """The open steps of a change whose deadline is provisional, in the order they were opened."""
    where = (STEP.c.change_id == change_id, STEP.c.state == "open", STEP.c.provisional.is_(True))
    return rows(connection, select(STEP).where(*where).order_by(STEP.c.opened_at, STEP.c.id))


def recomputed(connection: Connection, edition: str) -> list[Row]:
    """The open steps reckoned again under one edition of the calendar, a row for each person they wait for
    (`person_id`), with what the log says of it under `data`.
    """
    query = (
        select(STEP, ASSIGNMENT.c.person_id, LOG.c.data)
        .join(LOG, and_(LOG.c.change_id == STEP.c.change_id, LOG.c.object == STEP.c.id, LOG.c.verb == "重算时限"))
        .join(ASSIGNMENT, and_(ASSIGNMENT.c.step_id == STEP.c.id, ASSIGNMENT.c.state == "open"))
        .where(STEP.c.state == "open")
        .order_by(STEP.c.id)
    )
    return [row for row in rows(connection, query) if row["data"]["edition"] == edition]


def replan_rungs(connection: Connection, step: Row, plan: Mapping[str, datetime]) -> None:
    """The ladder of a step with a new due day; what has been fired stays fired."""
    fired = set(fired_rungs(connection, step["id"]))
    connection.execute(delete(RUNG).where(RUNG.c.step_id == step["id"], RUNG.c.fired_at.is_(None)))
    values = [
        {"step_id": step["id"], "rung": rung, "change_id": step["change_id"], "due_at": at, "dropped": False}
        for rung, at in plan.items()
        if rung not in fired
    ]
    insert_rows(connection, RUNG, values)


def next_moment(connection: Connection, change_id: str) -> datetime | None:
    """When the engine has something to do next of itself: a rung, a second try of a sheet, a publication."""
    moments = connection.execute(_NEXT_MOMENT, {"change": change_id}).one()
    return min((moment for moment in moments if moment is not None), default=None)


def wrong_moments(connection: Connection) -> list[str]:
    """The open changes whose `next_due` is not what stands in the tables; one question for all of them."""
    rung = select(RUNG.c.change_id, RUNG.c.due_at.label("at")).where(
        and_(RUNG.c.fired_at.is_(None), RUNG.c.dropped.is_(False))
    )
    retry = select(SHEET.c.change_id, SHEET.c.retry_at).where(
        and_(SHEET.c.stuck.is_not(None), SHEET.c.retry_at.is_not(None))
    )
    effective = select(ADJUSTMENT.c.change_id, ADJUSTMENT.c.effective_at).where(
        and_(ADJUSTMENT.c.state == "scheduled", ADJUSTMENT.c.effective_at.is_not(None))
    )
    moments = union_all(rung, retry, effective).subquery()
    first = select(moments.c.change_id, func.min(moments.c.at).label("at")).group_by(moments.c.change_id).subquery()
    query = (
        select(CHANGE.c.id)
        .join(first, first.c.change_id == CHANGE.c.id, isouter=True)
        .where(and_(CHANGE.c.state == "open", CHANGE.c.next_due.is_distinct_from(first.c.at)))
    )
    return [str(row[0]) for row in connection.execute(query)]


def _next_moment() -> Any:
    change_id: BindParameter[str] = bindparam("change")
    rung = select(func.min(RUNG.c.due_at)).where(
        and_(RUNG.c.change_id == change_id, RUNG.c.fired_at.is_(None), _NOT_DROPPED)
    )
    retry = select(func.min(SHEET.c.retry_at)).where(and_(SHEET.c.change_id == change_id, SHEET.c.stuck.is_not(None)))
    held = select(SHEET.c.id).where(SHEET.c.change_id == change_id, SHEET.c.stuck.is_not(None))
    effective = select(func.min(ADJUSTMENT.c.effective_at)).where(
        and_(ADJUSTMENT.c.change_id == change_id, ADJUSTMENT.c.state == "scheduled", ADJUSTMENT.c.sheet_id.not_in(held))
    )
    return select(*(query.scalar_subquery() for query in (rung, retry, effective)))


_NEXT_MOMENT = _next_moment()


def procedure_no(connection: Connection, key: str, body: Row) -> int:
    """The number of this edition of a procedure, stored if it is new."""
    digest = hashlib.sha256(json.dumps(body, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    editions = select(PROCEDURE.c.hash, PROCEDURE.c.no).where(PROCEDURE.c.key == key)
    known = {row["hash"]: int(row["no"]) for row in rows(connection, editions)}
    if digest not in known:
        take_turn(connection, "procedure")  # two changes may meet a new edition at the same moment
        known = {row["hash"]: int(row["no"]) for row in rows(connection, editions)}
    if digest in known:
        return known[digest]
    number = max(known.values(), default=0) + 1
    connection.execute(insert(PROCEDURE).values(key=key, no=number, hash=digest, body=body))
    return number


def procedure_edition(connection: Connection, key: str, number: int) -> ProcedureVersion:
    """A frozen edition of a procedure; it never changes, so it is read once a process. Raises `Unknown procedure_unknown`."""
    held = _EDITIONS.setdefault(connection.engine, {})
    if (key, number) not in held:
        query = select(PROCEDURE.c.body).where(and_(PROCEDURE.c.key == key, PROCEDURE.c.no == number))
        body = connection.execute(query).scalar()
        if body is None:
            raise Unknown("procedure_unknown", f"流程“{key}”第 {number} 版不存在。")
        held[(key, number)] = ProcedureVersion.model_validate(body)
    return held[(key, number)]


def procedure_of(connection: Connection, sheet: Row) -> ProcedureVersion:
    """The edition of the procedure this sheet began with."""
    return procedure_edition(connection, sheet["procedure_key"], sheet["procedure_no"])


def is_drafted(connection: Connection, sheet: Row | None) -> bool:
    """Whether a sheet's procedure begins with drafting; the short road does not, and the scope has no sheet."""
    return sheet is None or procedure_of(connection, sheet).drafted
