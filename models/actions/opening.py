"""Opening a stage: who is asked, by when, which notices leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from models.actions.notices import OPENED_KIND, Writer
from models.actions.people import Asked, People
from models.domain.audit import AUDITED
from models.domain.calendar import WorkCalendar
from models.domain.deadlines import due, rungs
from models.domain.errors import BadInput
from models.domain.procedure import StageRule
from models.domain.review import scope_preset
from models.domain.vocabulary import ROLE_NAMES, STAGE_NAMES
from models.store import office
from models.store.change import (
    ASSIGNMENT,
    LINE,
    RUNG,
    STEP,
    Case,
    Row,
    SheetRound,
    drop_rungs,
    insert_rows,
    next_moment,
    sheet_rounds,
)
from models.store.outbox import cancel
from models.tables import new_id


class Room(People):
    """What a pass needs at hand: the change, its people, the calendar. One per transaction."""

    def __init__(self, connection: Connection, case: Case, writer: Writer) -> None:
        super().__init__(connection, case.now, writer.people)
        self.case = case
        self.writer = writer
        self._opened: dict[Any, list[Row]] = {STEP: [], LINE: [], RUNG: [], ASSIGNMENT: []}
        self._closed: list[str] = []
        self._rounds: dict[str, SheetRound] = {}

    def put(self, target: Any, values: Sequence[Row]) -> None:
        """Rows of what is being opened; written together at `flush`."""
        self._opened[target].extend(values)
        if target.name in AUDITED:
            self.case.made(target.name, values)

    def drop(self, step_ids: Sequence[str]) -> None:
        """Of steps that were closed no rung fires and nothing that still waits is sent; written together at `flush`."""
        self._closed.extend(step_ids)

    def read_ahead(self, sheets: Sequence[Row]) -> None:
        """Read the rounds of several sheets, and who drafted their lines, before they are moved."""
        self._rounds = sheet_rounds(self.connection, sheets)
        self.wrote([line["id"] for held in self._rounds.values() for line in held.lines])

    def round_of(self, sheet: Row) -> SheetRound:
        """The present round of a sheet: as it was read ahead, once, or as it stands."""
        return self._rounds.pop(sheet["id"], None) or sheet_rounds(self.connection, [sheet])[sheet["id"]]

    def flush(self) -> None:
        """Write what was opened and closed, then the log lines and columns of the change."""
        self._write_steps()
        self.case.flush()

    def _write_steps(self) -> None:
        self.case.write_gathered()
        for target, values in self._opened.items():
            insert_rows(self.connection, target, values)
            values.clear()
        if self._closed:
            drop_rungs(self.connection, self._closed)
            cancel(self.connection, change_id=self.case.id, step_ids=self._closed)
            self._closed = []

    @cached_property
    def next_due(self) -> datetime | None:
        """When the engine has something to do next of itself; asked at the end, what was opened is written first."""
        self._write_steps()
        return next_moment(self.connection, self.case.id)

    @cached_property
    def calendar(self) -> WorkCalendar:
        """The work calendar, read where a deadline is reckoned."""
        return office.calendar(self.connection, self.writer.facts)


def open_stage(room: Room, sheet: Row, rule: StageRule, lines: Sequence[Row], *, days: int | None = None) -> str:
    """Open one stage of a sheet: the step, its assignments, its rungs and its notices. The step's id."""
    step = _open_step(room, sheet, rule.code, lines, days or rule.days)
    asked, empty = room.asked(rule, sheet, [line["id"] for line in lines])
    if empty and rule.role not in ROLE_NAMES:
        key = sheet["procedure_key"]
        raise BadInput("role_missing", f"流程“{key}”缺少岗位“{rule.role}”：请补任职后在统筹台点“重试”。")
    put_before(room, step, sheet, lines, asked)
    if empty:
        tell_no_owner(room, step, sheet, rule, lines)
    room.case.log(
        "打开",
        about=step["id"],
        stage=rule.code,
        sheet=sheet["id"],
        round=sheet["round"],
        due=step["due_on"].isoformat(),
        waits_for=[person.person_id for person in asked],
    )
    return str(step["id"])


def _open_step(room: Room, sheet: Row | None, stage: str, lines: Sequence[Row], days: int) -> Row:
    """A step with its lines and its rungs."""
    limit = due(room.case.now, days, room.calendar)
    step: Row = {
        "id": new_id("stp"),
        "change_id": room.case.id,
        "sheet_id": None if sheet is None else sheet["id"],
        "stage": stage,
        "round": 1 if sheet is None else sheet["round"],
        "state": "open",
        "opened_at": room.case.now,
        "days": days,
        "due_on": limit.due_on,
        "provisional": limit.provisional,
        "no_owner": None,
    }
    room.put(STEP, [step])
    room.writer.opened.add(step["id"])
    shown = [
        {"step_id": step["id"], "adjustment_id": line["id"], "ord": number, "revision": line["revision"]}
        for number, line in enumerate(lines)
    ]
    room.put(LINE, shown)
    plan = [
        {"step_id": step["id"], "rung": item.rung, "change_id": room.case.id, "due_at": item.at, "dropped": False}
        for item in rungs(room.today, limit.due_on, room.calendar)
    ]
    room.put(RUNG, plan)
    return step


def put_before(room: Room, step: Row, sheet: Row | None, lines: Sequence[Row], asked: Sequence[Asked]) -> None:
    """Assignments and notices of those asked."""
    for person in asked:
        assignment = {
            "id": new_id("asg"),
            "change_id": room.case.id,
            "step_id": step["id"],
            "seat": person.seat,
            "person_id": person.person_id,
            "acting_for_id": person.acting_for_id,
            "state": "open",
            "opened_at": room.case.now,
        }
        room.put(ASSIGNMENT, [assignment])
        acting = None if person.acting_for_id is None else room.writer.person(person.acting_for_id)
        room.writer.add(
            OPENED_KIND[step["stage"]],
            person.person_id,
            f"{step['id']}:opened:{person.seat}:{person.person_id}",
            step=step,
            sheet=sheet,
            lines=_to_adjust(lines) if step["stage"] == "scope" else lines,
            acting_for=acting,
            **opened_extra(room, step, sheet, lines),
        )


def opened_extra(room: Room, step: Row, sheet: Row | None, lines: Sequence[Row]) -> dict[str, Any]:
    """What the texts of an opened stage say besides."""
    extra: dict[str, Any] = {"opinions": "见页面", "delta": "见页面", "procedure": {"basis": ""}}
    if step["stage"] == "scope":
        wanted = _to_adjust(lines)
        extra["departments"] = len({line["department_id"] for line in wanted})
        extra["uncertain"] = sum(1 for line in wanted if line["uncertain"])
        extra["left"] = len(lines) - len(wanted)
    if sheet is not None and sheet.get("submitted_by"):
        extra["by"] = room.writer.person(sheet["submitted_by"])
    return extra


def _to_adjust(lines: Sequence[Row]) -> Sequence[Row]:
    """What the scope step proposes to adjust; where that is nothing, everything it shows."""
    found = [line for line in lines if scope_preset(line["road"], line["hint"], line["reason"])[0] == "confirm"]
    return found or lines


def tell_no_owner(room: Room, step: Row, sheet: Row | None, rule: StageRule | None, lines: Sequence[Row]) -> None:
    """Nobody can take a seat (the scope step has no rule): it stands on the coordinator's board, and he is told."""
    code = "coordinator" if rule is None else rule.role
    role = ROLE_NAMES[code][0]
    where = "本单位" if sheet is None else sheet["department_name"] or "未登记的部门"
    reason = f"{where}没有在任的{role}，或者须回避，也没有可接替的上一级负责人"
    step["no_owner"] = reason
    coordinator = room.case.row["coordinator_id"]
    if coordinator is not None:
        room.writer.add(
            "no_owner",
            coordinator,
            f"{step['id']}:no_owner",
            step=step,
            sheet=sheet,
            lines=lines,
            reason=reason,
            role={"code": code, "name": role},
        )


def open_scope(room: Room, lines: Sequence[Row], days: int) -> str:
    """The scope step of the change itself: the coordinator confirms what is concerned."""
    case = room.case
    step = _open_step(room, None, "scope", lines, days)
    holders = room.holders("coordinator")
    mine = [holder for holder in holders if holder.person_id == case.row["coordinator_id"]] or holders
    put_before(room, step, None, lines, [Asked("coordinator", h.person_id, None, h.superior_person_id) for h in mine])
    if not mine:
        tell_no_owner(room, step, None, None, lines)
    case.log("打开", about=step["id"], stage="scope", due=step["due_on"].isoformat(), name=STAGE_NAMES["scope"])
    return str(step["id"])
