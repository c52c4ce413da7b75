"""A leg: one execution of the flow takes up everything that came, moves every sheet that can move, and waits again.

A pass reads how far the log has come, moves each sheet concerned in a transaction of its own, and marks what it
consumed. Moves read the tables, never the log; calling a pass again with nothing new changes nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, and_, select, update

from models.actions.leaving import hand_back
from models.actions.moving import close_step, move_sheet, new_sheet, tell_taken_out
from models.actions.notices import Writer, at_text, day_text
from models.actions.opening import Room, open_scope
from models.actions.publishing import publish_due
from models.actions.starting import find_reach
from models.domain.deadlines import SHANGHAI
from models.domain.errors import Conflict, Gone, Refusal
from models.domain.reach import ReachRow, grouped
from models.domain.requests import read_request
from models.reference.procedures import procedure_for, short_road
from models.store.change import (
    ADJUSTMENT,
    CHANGE,
    SHEET,
    STEP,
    Case,
    Row,
    add_proposals,
    add_rows,
    adjustments,
    adjustments_of_step,
    ask_of_pass,
    assignments,
    decisions,
    due_lines,
    due_rungs,
    fire_rung,
    fired_rungs,
    is_due,
    moving_sheets,
    rows,
    set_adjustments,
    set_sheet,
    sheets,
    sheets_by_id,
    standing,
    steps,
)
from models.store.database import Database
from models.store.office import ask_of_notices
from models.store.outbox import Enqueued, HandOver, enqueue
from models.store.touched import add_touched
from models.tables import new_id

_log = logging.getLogger("shixiang.legs")
#: Working days to confirm the scope of a change (our default: no source gives one).
SCOPE_DAYS = 3
#: Sheets moved in one transaction: many share what is read and written, and a decision waits for them only a moment.
SHEETS_TOGETHER = 10
TERMINAL = frozenset({"published", "declined", "rejected", "removed"})
#: When a sheet that raised is tried again, in minutes; afterwards hourly.
RETRY_MINUTES = (1, 5, 30, 60)


@dataclass(frozen=True)
class Moved:
    """A stage of a department's sheet that was passed or opened, with its number of adjustments."""

    stage: str
    department: str
    count: int


@dataclass(frozen=True)
class PassResult:
    """What a pass did and what the change waits for now; `said` counts what people said among what was consumed."""

    consumed: int
    said: int
    moved: tuple[Moved, ...]
    opened: tuple[Moved, ...]
    notices: int
    waiting: int
    phase: str
    state: str
    ended: bool
    next_due: datetime | None
    stuck: tuple[str, ...] = ()


@dataclass
class Tally:
    """Counts while a pass runs."""

    moved: list[Moved] = field(default_factory=list)
    opened: list[Moved] = field(default_factory=list)
    notices: int = 0
    stuck: list[str] = field(default_factory=list)

    def add(self, done: Tally, notices: int) -> None:
        """Count in what one transaction did."""
        self.moved += done.moved
        self.opened += done.opened
        self.stuck += done.stuck
        self.notices += notices


def begin_leg(db: Database, *, change_id: str, attempt: int, flow_run_id: str, engine_id: str, now: datetime) -> int:
    """The number of the new leg. Raises `Gone change_closed` for an ended change, `Conflict run_stale` for an old attempt."""

    def verb(connection: Connection) -> int:
        case = Case(connection, change_id, now)
        _still_ours(case, attempt, None)
        leg = int(case.row["leg_no"]) + 1
        case.set(leg_no=leg, leg_engine=engine_id, parked_leg=None, flow_run_id=flow_run_id)
        case.flush()
        return leg

    return db.write(verb)


def _still_ours(case: Case, attempt: int, leg_no: int | None) -> None:
    if case.row["state"] != "open":
        raise Gone("change_closed", "变更已办结或者已撤回，本次运行结束。")
    if case.row["attempt"] != attempt or (leg_no is not None and case.row["leg_no"] != leg_no):
        raise Conflict("run_stale", "该次运行已由新的运行接替，未作任何改动；办理情况请看门户，不必重试。")


def run_pass(
    db: Database,
    *,
    change_id: str,
    leg_no: int,
    attempt: int,
    now: datetime,
    collect_minutes: float,
    hand_over: HandOver | None = None,
    committed: Callable[[Sequence[Any]], None] = lambda handed: None,
) -> PassResult:
    """Do everything that is due for one change. Raises `Conflict run_stale` when another leg has begun.

    `committed` is called after each transaction that put notices in the outbox: they need not wait for the rest.
    It gets those that were handed over.
    """
    tally = Tally()
    pass_ = _Pass()

    def step(verb: Callable[[Room, Tally], None]) -> None:
        def work(connection: Connection) -> tuple[Tally, Enqueued]:
            done = Tally()  # of this try alone: the database may ask for another
            queued = _in_room(
                connection, change_id, attempt, leg_no, now, lambda room: verb(room, done), collect_minutes, hand_over
            )
            return done, queued

        done, queued = db.write(work)
        tally.add(done, queued.count)
        if queued.count:
            committed(queued.handed)

    while pass_.goes_on():
        error = _fault(step, pass_.turn)
        if error is not None:  # a sheet that raises must not hold up the others
            if not pass_.moved:
                raise error
            if len(pass_.moved) > 1:
                pass_.one_by_one()
            else:
                _stick_apart(step, pass_.moved[0], error)
    upto, before, finished = pass_.upto, pass_.before, pass_.finished
    if not finished:
        with db.reader() as connection:
            due = is_due(connection, change_id, now)
        if due:
            _publish_apart(step)
            step(_rungs)
        step(lambda room, _: _finish(room, upto))
    return _result(db, change_id, before, tally, now)


Verb = Callable[[Room, Tally], None]
Step = Callable[[Verb], None]


def _fault(step: Step, verb: Verb) -> Exception | None:
    """What a step raised, its transaction undone; that another leg or the end came first is raised on."""
    try:
        step(verb)
    except (Conflict, Gone) as refusal:
        if refusal.code in {"run_stale", "change_closed"}:
            raise
        return refusal
    except Exception as error:
        return error
    return None


def _stick_apart(step: Step, sheet_id: str, error: Exception) -> None:
    """Mark a sheet that raised, in a transaction of its own; a fault nobody foresaw gets a number and a line in the log."""
    reference = ""
    if not isinstance(error, Refusal):
        reference = secrets.token_hex(4)
        _log.error("fault %s at sheet %s", reference, sheet_id, exc_info=error)
    step(lambda room, done: _stick(room, sheet_id, error, reference, done))


class _Undone(Exception):
    """A trial is over: nothing of it stays."""


def _publish_apart(step: Step) -> None:
    """Publish what is due at one moment. Where that raises, the sheets that raise by themselves wait, and the rest is
    published without them.
    """
    error = _fault(step, lambda room, _: publish_due(room))
    if error is None:
        return
    due: list[str] = []
    step(lambda room, _: due.extend(_sheets_due(room)))
    faults = {sheet_id: found for sheet_id in dict.fromkeys(due) if (found := _trial(step, sheet_id)) is not None}
    for sheet_id, found in (faults or dict.fromkeys(due, error)).items():
        _stick_apart(step, sheet_id, found)
    error = _fault(step, lambda room, _: publish_due(room))
    if error is not None:
        for sheet_id in dict.fromkeys(due):
            if sheet_id not in faults:
                _stick_apart(step, sheet_id, error)


def _sheets_due(room: Room) -> list[str]:
    return [str(row["sheet_id"]) for row in due_lines(room.connection, room.case.id, room.case.now)]


def _trial(step: Step, sheet_id: str) -> Exception | None:
    """What publishing one sheet alone raises; nothing is kept of it."""

    def verb(room: Room, _: Tally) -> None:
        publish_due(room, only=sheet_id)
        raise _Undone

    error = _fault(step, verb)
    return None if isinstance(error, _Undone) else error


class _Pass:
    """How far a pass has come: assessing, the scope, and every few sheets to which something came are a turn each, one
    transaction. Where one of several sheets raises, each is a turn of its own. A turn that is tried again begins anew.
    """

    def __init__(self) -> None:
        self.upto, self.before = 0, 0
        self.sheets: list[str] | None = None
        self.moved: list[str] = []
        self.finished = False
        self._alone: set[str] = set()
        self._turns = 0
        self._over = False
        self._was_open = True

    def goes_on(self) -> bool:
        """Whether there is another turn; called once before each."""
        if not self._was_open:
            return False
        self._turns += 1
        self._was_open = False
        if self.sheets is not None:
            self.sheets = [sheet_id for sheet_id in self.sheets if sheet_id not in self.moved]
        self.moved = []
        return not self._over and self.sheets != []

    def one_by_one(self) -> None:
        """The sheets of the last turn were not moved after all: each is moved by itself."""
        self._alone.update(self.moved)
        self.moved = []

    def turn(self, room: Room, done: Tally) -> None:
        """The next turn in its transaction; not called for a change that has ended."""
        self._was_open, self._over = True, False
        row = room.case.row
        if self._turns == 1:
            self.upto, self.before = int(row["work_seq"]), int(row["consumed_seq"])
            if row["phase"] not in {"registered", "assessing", "scoping"}:
                ask_of_pass(room.connection, room.case.id, room.today)
                ask_of_notices(room.connection, on=room.today, contact_id=row["coordinator_id"])
            hand_back(room)
        if row["phase"] in {"registered", "assessing"}:
            _assess(room)
        elif row["phase"] == "scoping":
            _scope(room)
            self._over = room.case.get("phase") == "scoping"
        else:
            self._next_sheets(room, done)

    def _next_sheets(self, room: Room, done: Tally) -> None:
        self.finished = False
        if self.sheets is None:
            found = moving_sheets(room.connection, room.case.id)
            self._alone |= {sheet["id"] for sheet in found if sheet["stuck"]}
            left = [sheet["id"] for sheet in found]
            turn = self._together(left)
            found = [sheet for sheet in found if sheet["id"] in turn]
        else:
            left = self.sheets
            turn = self._together(left)
            found = sheets_by_id(room.connection, turn)
        self.sheets = left
        if not found:
            return
        self.moved = turn
        waits = _move(room, found, done)
        if len(left) == len(turn) and (room.next_due is None or room.next_due > room.case.now):
            _finish(room, self.upto, waits)
            self.finished = True

    def _together(self, left: Sequence[str]) -> list[str]:
        """The sheets of the next turn."""
        free = list(takewhile(lambda sheet_id: sheet_id not in self._alone, left[:SHEETS_TOGETHER]))
        return free or list(left[:1])


def _in_room(
    connection: Connection,
    change_id: str,
    attempt: int,
    leg_no: int,
    now: datetime,
    verb: Callable[[Room], None],
    collect_minutes: float,
    hand_over: HandOver | None,
) -> Enqueued:
    """One transaction of a pass: the change locked, the leg checked first, notices and log written last."""
    case = Case(connection, change_id, now)
    if case.row["state"] != "open":
        return Enqueued(0, ())
    _still_ours(case, attempt, leg_no)
    writer = Writer(connection, case)
    room = Room(connection, case, writer)
    verb(room)
    if case.get("state") == "open":
        case.set(next_due=room.next_due)
    room.flush()
    return enqueue(connection, notices=writer.notices, now=now, collect_minutes=collect_minutes, hand_over=hand_over)


# --- assessing -----------------------------------------------------------------------------------------------------


def _assess(room: Room) -> None:
    """Find the items concerned and propose an adjustment for each; without any the change closes with the reason."""
    case = room.case
    case.set(phase="assessing")
    params = {name: value for name, value in case.row["params"].items() if not name.startswith("_")}
    try:
        reach = find_reach(room.connection, read_request(case.row["trigger"], params), case.now)
    except Refusal as refusal:
        _close(case, "closed", refusal.message)
        return
    if not reach.every:
        _close(case, "closed", "没有找到涉及的事项")
        return
    _propose(room, reach.every)
    case.set(phase="scoping")
    told: dict[str, Any] = {
        "left": len(reach.left),
        "hidden": {one.rule: one.rows for one in reach.hidden},
        "not_found": list(reach.not_found),
    }
    told = {name: value for name, value in told.items() if value}
    case.log("梳理", about=case.row["number"], count=len(reach.rows), work=True, **told)


def _propose(room: Room, found: Sequence[ReachRow]) -> None:
    values, proposals = [], []
    for number, row in enumerate(found):
        adjustment_id = new_id("adj")
        values.append(
            {
                "id": adjustment_id,
                "change_id": room.case.id,
                "ord": number,
                "kind": row.kind,
                "item_id": row.item_id,
                "base_version_id": row.base_version_id,
                "outcomes": "+".join(row.outcomes),
                "department_id": row.department_id,
                "state": "proposed",
                "name": row.name,
                "code": row.code,
                "revision": row.revision,
                "declined": False,
                "reason": row.reason,
                "uncertain": not row.certain,
                "road": row.road,
                "hint": {
                    **row.hint,
                    "department_text": row.department_text,
                    "article": row.article,
                    "change": row.change,
                },
            }
        )
        proposals.append(
            {
                "adjustment_id": adjustment_id,
                "no": 1,
                "revision": row.revision,
                "round": 0,
                "kind": "content",
                "content": row.content,
                "remark": "",
                "by_person_id": None,
                "at": room.case.now,
                "submitted": False,
            }
        )
    add_rows(room.case, ADJUSTMENT, values)
    add_proposals(room.case, proposals)
    add_touched(room.connection, values)


def _close(case: Case, phase: str, reason: str) -> None:
    case.set(phase=phase, state="closed", closed_at=case.now, subject=None, consumed_seq=case.get("work_seq"))
    case.log("办结", about=case.row["number"], reason=reason)


# --- scope ---------------------------------------------------------------------------------------------------------


def _scope(room: Room) -> None:
    """Open the scope step, or take up its decision: what is confirmed goes into sheets."""
    case = room.case
    if case.row["phase"] != "scoping" and case.get("phase") != "scoping":
        return
    lines = [row for row in adjustments(room.connection, change_id=case.id) if row["state"] == "proposed"]
    open_ones = [row for row in steps(room.connection, case.id, states=["open"]) if row["sheet_id"] is None]
    if not open_ones:
        if _confirms_itself(room):
            _confirmed(room, lines, lines)
        else:
            open_scope(room, lines, SCOPE_DAYS)
        return
    step = open_ones[0]
    asked = assignments(room.connection, [step["id"]])[step["id"]]
    decided = decisions(room.connection, [step["id"]])[step["id"]]
    if not lines:
        tell_taken_out(room, step, None, close_step(room, step, asked, "withdrawn"))
        _close(case, "closed", "全部事项已移出")
        return
    if not decided:
        return
    ended = _end_by_scope(room, decided[0], {line["id"] for line in lines})
    on = [line for line in lines if line["id"] not in ended]
    for line in on:
        if line["road"] == "none":  # taken in though it was pre-selected as "no adjustment needed"
            line["road"] = line["hint"].get("when_taken_in")
            set_adjustments(room.case, [line["id"]], road=line["road"])
    close_step(room, step, asked, "passed", "released")
    _confirmed(room, on, lines)


#: What a verdict of the scope step makes of a row that does not go on.
_SCOPE_ENDS = {"take_out": "removed", "no_adjustment": "declined"}


def _end_by_scope(room: Room, decision: Row, open_ones: Container[str]) -> set[str]:
    """The rows that were taken out or need no adjustment, each with the reason that was given for it.

    What somebody took out between the decision and this pass has ended by that.
    """
    ended: dict[tuple[str, str], list[str]] = {}
    for adjustment_id, line in decision["lines"].items():
        if line["verdict"] in _SCOPE_ENDS and adjustment_id in open_ones:
            reason = line["remark"] or decision["comment"]
            ended.setdefault((_SCOPE_ENDS[line["verdict"]], reason), []).append(adjustment_id)
    for (state, reason), ids in ended.items():
        set_adjustments(room.case, ids, state=state, reason=reason)
    return {adjustment_id for ids in ended.values() for adjustment_id in ids}


def _confirms_itself(room: Room) -> bool:
    """A coordinator who starts an agency request with given targets has confirmed its scope by starting it."""
    row = room.case.row
    return (
        row["trigger"] == "agency_request" and row["starter_id"] is not None and row["starter_id"] in room.coordinators
    )


def _confirmed(room: Room, lines: Sequence[Row], shown: Sequence[Row]) -> None:
    """Sheets by drafting department and procedure for what goes on of what the scope step showed."""
    case = room.case
    if not lines:
        left = any(line["road"] == "none" for line in shown)
        _close(case, "closed", "全部事项不作调整" if left else "全部事项已移出")
        return
    values = []
    for number, (key, members) in enumerate(grouped(lines)):
        procedure = short_road() if key.short else procedure_for(frozenset(key.outcomes.split("+")))
        sheet = new_sheet(room, key.department_id, members, procedure, number)
        values.append(sheet)
        state = "drafting" if procedure.drafted else "in_review"
        set_adjustments(room.case, [member["id"] for member in members], sheet_id=sheet["id"], state=state)
    add_rows(room.case, SHEET, values)
    case.set(phase="running")
    case.log("分单", about=case.row["number"], sheets=len(values), count=len(lines), work=True)


# --- sheets --------------------------------------------------------------------------------------------------------


def _move(room: Room, found: Sequence[Row], tally: Tally) -> bool:
    """Move these sheets; whether one waits for people afterwards."""
    if len(found) > 1:
        room.read_ahead(found)
    with room.case.gathering():
        waiting = [_move_one(room, sheet, tally) for sheet in found]
    return any(waiting)


def _move_one(room: Room, sheet: Row, tally: Tally) -> bool:
    if sheet["stuck"] and sheet["retry_at"] is not None and sheet["retry_at"] > room.case.now:
        return True
    report = move_sheet(room, sheet)
    tally.moved.extend(Moved(stage, department, count) for stage, department, count in report.moved)
    tally.opened.extend(Moved(stage, department, count) for stage, department, count in report.opened)
    if sheet["stuck"]:
        set_sheet(room.case, sheet["id"], stuck=None, retry_at=None, stuck_tries=0)
    return bool(sheet["state"] == "open")


def _stick(room: Room, sheet_id: str, error: Exception, reference: str, tally: Tally) -> None:
    """Mark a sheet that raised; the others go on. Told once, when it begins."""
    sheet = rows(room.connection, select(SHEET).where(SHEET.c.id == sheet_id))[0]
    reason = f"系统处理时出现故障（编号 {reference}），请将编号告知运维人员；也可以移出有问题的事项后点“重试”。"
    if isinstance(error, Refusal):
        reason = error.message
    tries = int(sheet["stuck_tries"])
    again = room.case.now + timedelta(minutes=RETRY_MINUTES[min(tries, len(RETRY_MINUTES) - 1)])
    set_sheet(room.case, sheet_id, stuck=reason, stuck_tries=tries + 1, retry_at=again)
    tally.stuck.append(f"{sheet_id}: {type(error).__name__}: {error}")
    number = room.case.log("处理异常", about=sheet_id, reason=reason, error=type(error).__name__)
    coordinator = room.case.row["coordinator_id"]
    if tries == 0 and coordinator is not None:
        room.writer.add(
            "sheet_stuck",
            coordinator,
            f"{sheet_id}:stuck:{number}",
            sheet=sheet,
            reason=reason.rstrip("。"),
            next_at=f"{again.astimezone(SHANGHAI):%H:%M}",
        )


# --- deadlines -----------------------------------------------------------------------------------------------------


def _rungs(room: Room, _: Tally) -> None:
    """Fire the rungs whose moment has come, every one once, never after a decision."""
    for rung in due_rungs(room.connection, room.case.id, room.case.now):
        if fire_rung(room.connection, rung["step_id"], rung["rung"], room.case.now):
            _tell(room, rung)


def _tell(room: Room, rung: Row) -> None:
    step = rows(room.connection, select(STEP).where(STEP.c.id == rung["step_id"]))[0]
    sheet = None
    if step["sheet_id"]:
        sheet = rows(room.connection, select(SHEET).where(SHEET.c.id == step["sheet_id"]))[0]
    lines = adjustments_of_step(room.connection, step["id"])
    waiting = [row for row in assignments(room.connection, [step["id"]])[step["id"]] if row["state"] == "open"]
    for person in waiting:
        _tell_one(room, rung, step, sheet, lines, person)
    room.case.log("到期提醒" if rung["rung"] == "T-2" else "逾期", about=step["id"], rung=rung["rung"])


def _tell_one(room: Room, rung: Row, step: Row, sheet: Row | None, lines: Sequence[Row], person: Row) -> None:
    superior = _superior(room, person["person_id"])
    assignee = room.writer.person(person["person_id"])
    key = f"{step['id']}:{rung['rung']}:{person['person_id']}"
    coordinator = room.case.row["coordinator_id"]
    name = {"id": superior, "name": room.writer.person(superior)["name"]}
    fired = {key: at_text(at, room.case.now) for key, at in fired_rungs(room.connection, step["id"]).items()}
    common: dict[str, Any] = {
        "assignee": assignee,
        "superior": name,
        "next_day": day_text(room.calendar.add_workdays(step["due_on"], 1)[0], room.case.now),
        "reminded_at": fired.get("T-2", ""),
        "told_at": fired.get("T+0", ""),
        "n": 1,
        "comment": "",
    }
    if rung["rung"] == "T+0":
        room.writer.add("overdue_superior", superior or coordinator, key, step=step, sheet=sheet, lines=lines, **common)
    elif rung["rung"] == "T+3":
        if coordinator is not None:
            room.writer.add("supervise", coordinator, key, step=step, sheet=sheet, lines=lines, **common)
    else:
        room.writer.add("reminder", person["person_id"], key, step=step, sheet=sheet, lines=lines, **common)


def _superior(room: Room, person_id: str) -> str | None:
    return room.superior(person_id) or room.case.row["coordinator_id"]


# --- the end of a pass ---------------------------------------------------------------------------------------------


def _finish(room: Room, upto: int, goes_on: bool = False) -> None:
    """Close what is done and mark what was consumed. A change of which something `goes_on` cannot be done."""
    case = room.case
    # What came since this pass began may have ended the lines of a sheet that is still open: the next pass ends it first.
    goes_on = goes_on or any(sheet["state"] == "open" for sheet in sheets(room.connection, case.id))
    all_lines = [] if goes_on else adjustments(room.connection, change_id=case.id)
    if case.row["phase"] in {"running", "closing"} and all_lines and all(row["state"] in TERMINAL for row in all_lines):
        published = sum(1 for row in all_lines if row["state"] == "published")
        if published:
            case.set(phase="closing")
        _close(case, "closed", f"发布 {published} 项，其余 {len(all_lines) - published} 项不作调整")
        return
    if case.row["consumed_seq"] < upto:
        case.set(consumed_seq=upto)


def _result(db: Database, change_id: str, before: int, tally: Tally, now: datetime) -> PassResult:
    with db.reader() as connection:
        row = standing(connection, change_id, before)
    return PassResult(
        consumed=int(row["consumed_seq"]) - before,
        said=row["said"],
        moved=tuple(tally.moved),
        opened=tuple(tally.opened),
        notices=tally.notices,
        waiting=row["waiting"],
        phase=row["phase"],
        state=row["state"],
        ended=row["state"] != "open",
        next_due=row["next_due"],
        stuck=tuple(tally.stuck),
    )


def park(db: Database, *, change_id: str, leg_no: int) -> bool:
    """Mark the change parked, only if no work came since and this leg is the newest. No decision falls between."""

    def verb(connection: Connection) -> bool:
        where = and_(
            CHANGE.c.id == change_id,
            CHANGE.c.leg_no == leg_no,
            CHANGE.c.work_seq == CHANGE.c.consumed_seq,
            CHANGE.c.state == "open",
        )
        return connection.execute(update(CHANGE).where(where).values(parked_leg=leg_no)).rowcount == 1

    return db.write(verb)
