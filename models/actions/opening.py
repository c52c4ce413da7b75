"""Opening a stage: who is asked, by when, which notices leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from models.actions.notices import OPENED_KIND, Writer
from models.domain.calendar import WorkCalendar
from models.domain.deadlines import SHANGHAI, due, rungs
from models.domain.procedure import StageRule
from models.domain.vocabulary import ROLE_NAMES, STAGE_NAMES
from models.store import office
from models.store.change import ASSIGNMENT, Case, Row, drafters, insert_rows, open_step, set_step
from models.tables import new_id


@dataclass(frozen=True)
class Asked:
    """One person asked for one seat, himself or standing in for somebody."""

    seat: str
    person_id: str
    acting_for_id: str | None
    superior_id: str | None


class Room:
    """What a pass needs at hand: the change, its people, the calendar. One per transaction."""

    def __init__(self, connection: Connection, case: Case, writer: Writer) -> None:
        self.connection = connection
        self.case = case
        self.writer = writer
        self.today = case.now.astimezone(SHANGHAI).date()
        self._holders: dict[tuple[str, str | None, str | None], list[Any]] = {}

    @cached_property
    def calendar(self) -> WorkCalendar:
        """The work calendar, read where a deadline is reckoned."""
        return office.calendar(self.connection)

    @cached_property
    def substitutes(self) -> dict[str, str]:
        """Who stands in today, by the person stood in for."""
        return office.substitutes_on(self.connection, self.today)

    def holders(self, role: str, *, department_id: str | None = None, in_office: str | None = None) -> list[Any]:
        """Who holds a role today, read once."""
        key = (role, department_id, in_office)
        if key not in self._holders:
            self._holders[key] = list(
                office.eligible(
                    self.connection, role=role, on=self.today, department_id=department_id, office=in_office
                )
            )
            self.writer.people.update({holder.person_id: holder.name for holder in self._holders[key]})
        return self._holders[key]

    def seats(self, rule: StageRule, sheet: Row) -> list[tuple[str, list[Any]]]:
        """The seats of a stage for a sheet, each with those who may take it."""
        if rule.code == "naming":
            return [
                ("naming:list", self.holders("naming_reviewer", in_office="list")),
                ("naming:service", self.holders("naming_reviewer", in_office="service")),
            ]
        if rule.role == "coordinator":
            return [("coordinator", self.holders("coordinator"))]
        if rule.scope == "department":
            holders = (
                [] if sheet["department_id"] is None else self.holders(rule.role, department_id=sheet["department_id"])
            )
            return [(rule.role, holders)]
        if rule.scope == "government":
            return [(rule.role, self.holders(rule.role, in_office="government"))]
        return [(rule.role, self.holders(rule.role))]

    def asked(self, rule: StageRule, sheet: Row, adjustment_ids: Sequence[str]) -> tuple[list[Asked], list[str]]:
        """Whom a stage asks, and the seats nobody can take. Nobody reviews what he drafted (four-eyes)."""
        wrote: set[str] = set()
        if rule.code != "draft":
            wrote = set().union(*drafters(self.connection, adjustment_ids).values())
        found: list[Asked] = []
        empty: list[str] = []
        for seat, holders in self.seats(rule, sheet):
            taken = self._take(seat, holders, wrote)
            found.extend(taken)
            if not taken:
                empty.append(seat)
        return found, empty

    def _take(self, seat: str, holders: Sequence[Any], wrote: set[str]) -> list[Asked]:
        taken: dict[str, Asked] = {}
        for holder in holders:
            substitute = self.substitutes.get(holder.person_id)
            person, acting = (substitute, holder.person_id) if substitute else (holder.person_id, None)
            if person not in wrote and holder.person_id not in wrote:
                taken.setdefault(person, Asked(seat, person, acting, holder.superior_person_id))
        if taken or not holders:
            return list(taken.values())
        superiors = {
            h.superior_person_id for h in holders if h.superior_person_id and h.superior_person_id not in wrote
        }
        return [Asked(seat, person, None, None) for person in sorted(superiors)]


def open_stage(room: Room, sheet: Row, rule: StageRule, lines: Sequence[Row], *, days: int | None = None) -> str:
    """Open one stage of a sheet: the step, its assignments, its rungs and its notices. The step's id."""
    case = room.case
    limit = due(case.now, days or rule.days, room.calendar)
    plan = [(item.rung, item.at) for item in rungs(room.today, limit.due_on, room.calendar)]
    step_id = open_step(
        room.connection,
        change_id=case.id,
        sheet_id=sheet["id"],
        stage=rule.code,
        round_no=sheet["round"],
        days=days or rule.days,
        due_on=limit.due_on,
        provisional=limit.provisional,
        lines=[(line["id"], line["revision"]) for line in lines],
        rungs=plan,
        now=case.now,
    )
    step: Row = {"id": step_id, "stage": rule.code, "due_on": limit.due_on, "provisional": limit.provisional}
    asked, empty = room.asked(rule, sheet, [line["id"] for line in lines])
    put_before(room, step, sheet, lines, asked)
    if empty:
        no_owner(room, step, sheet, rule, lines)
    case.log(
        "打开",
        about=step_id,
        stage=rule.code,
        sheet=sheet["id"],
        round=sheet["round"],
        due=limit.due_on.isoformat(),
        waits_for=[person.person_id for person in asked],
    )
    return step_id


def put_before(room: Room, step: Row, sheet: Row | None, lines: Sequence[Row], asked: Sequence[Asked]) -> None:
    """Assignments and notices of those asked."""
    insert_rows(
        room.connection,
        ASSIGNMENT,
        [
            {
                "id": new_id("asg"),
                "change_id": room.case.id,
                "step_id": step["id"],
                "seat": person.seat,
                "person_id": person.person_id,
                "acting_for_id": person.acting_for_id,
                "state": "open",
                "opened_at": room.case.now,
            }
            for person in asked
        ],
    )
    for person in asked:
        acting = None if person.acting_for_id is None else room.writer.person(person.acting_for_id)
        room.writer.add(
            OPENED_KIND[step["stage"]],
            person.person_id,
            f"{step['id']}:opened:{person.seat}:{person.person_id}",
            step=step,
            sheet=sheet,
            lines=lines,
            acting_for=acting,
            **opened_extra(room, step, sheet, lines),
        )


def opened_extra(room: Room, step: Row, sheet: Row | None, lines: Sequence[Row]) -> dict[str, Any]:
    """What the texts of an opened stage say besides."""
    extra: dict[str, Any] = {"opinions": "见页面", "delta": "见页面", "procedure": {"basis": ""}}
    if step["stage"] == "scope":
        extra["departments"] = len({line["department_id"] for line in lines})
        extra["uncertain"] = sum(1 for line in lines if line["uncertain"])
    if sheet is not None and sheet.get("submitted_by"):
        extra["by"] = room.writer.person(sheet["submitted_by"])
    return extra


def no_owner(room: Room, step: Row, sheet: Row, rule: StageRule, lines: Sequence[Row]) -> None:
    """Nobody can take a seat: it stands on the coordinator's board, and he is told."""
    role = ROLE_NAMES[rule.role][0]
    reason = f"{sheet['department_name'] or '未登记的部门'}没有在任的{role}，或者须回避，也没有可接替的上一级负责人"
    set_step(room.connection, step["id"], no_owner=reason)
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
            role={"code": rule.role, "name": role},
        )


def open_scope(room: Room, lines: Sequence[Row], days: int, now: datetime) -> str:
    """The scope step of the change itself: the coordinator confirms what is concerned."""
    case = room.case
    limit = due(now, days, room.calendar)
    step_id = open_step(
        room.connection,
        change_id=case.id,
        sheet_id=None,
        stage="scope",
        round_no=1,
        days=days,
        due_on=limit.due_on,
        provisional=limit.provisional,
        lines=[(line["id"], line["revision"]) for line in lines],
        rungs=[(item.rung, item.at) for item in rungs(room.today, limit.due_on, room.calendar)],
        now=now,
    )
    step: Row = {"id": step_id, "stage": "scope", "due_on": limit.due_on, "provisional": limit.provisional}
    holders = room.holders("coordinator")
    mine = [holder for holder in holders if holder.person_id == case.row["coordinator_id"]] or holders
    put_before(room, step, None, lines, [Asked("coordinator", h.person_id, None, h.superior_person_id) for h in mine])
    case.log("打开", about=step_id, stage="scope", due=limit.due_on.isoformat(), name=STAGE_NAMES["scope"])
    return step_id
