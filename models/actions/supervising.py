"""What others are late with, as it stands before whoever answers for them: the superior told at T+0, the coordinator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, select

from models.actions.people import Asked, People
from models.domain.deadlines import working_days_late
from models.domain.procedure import StageRule, one_is_enough
from models.domain.proof import asked_to_steer
from models.domain.supervision import Held, in_charge_of, is_late, takers
from models.domain.vocabulary import STAGE_NAMES
from models.store import office
from models.store.change import (
    SHEET,
    STEP,
    Row,
    assignments,
    last_urged,
    late_steps,
    procedure_of,
    rows,
    step_lines,
)

NOT_IN_CHARGE = "此项由统筹协调人，或者逾期后由办理人的上一级负责人办理，您没有该岗位的任职或者代理，未记录。"


@dataclass
class Work:
    """One step with its sheet and whoever was asked."""

    connection: Connection
    step: Row
    asked: list[Row]

    @property
    def open(self) -> list[Row]:
        """Who has not decided yet."""
        return [row for row in self.asked if row["state"] == "open"]

    @property
    def stage_name(self) -> str:
        """The stage as pages name it."""
        return STAGE_NAMES[self.step["stage"]]

    @cached_property
    def sheet(self) -> Row | None:
        """The sheet of the step; the scope step has none."""
        if self.step["sheet_id"] is None:
            return None
        return rows(self.connection, select(SHEET).where(SHEET.c.id == self.step["sheet_id"]))[0]

    @cached_property
    def line_ids(self) -> list[str]:
        """The adjustments the step puts before its people."""
        return [line["adjustment_id"] for line in step_lines(self.connection, [self.step["id"]])[self.step["id"]]]

    @cached_property
    def rule(self) -> StageRule | None:
        """The stage as its procedure has it; the scope step has none."""
        return None if self.sheet is None else procedure_of(self.connection, self.sheet).rule(self.step["stage"])

    @property
    def own_proof(self) -> str | None:
        """The proof the procedure asks for at this stage; None where it leaves that to the office."""
        return None if self.rule is None else self.rule.proof

    @property
    def settled(self) -> bool:
        """Whether one decision was enough and is there: what comes after it counts no more."""
        return one_is_enough(self.rule) and any(row["state"] == "decided" for row in self.asked)

    @property
    def empty_seats(self) -> list[str]:
        """Seats of the stage that nobody holds and nobody decided for."""
        held = {row["seat"] for row in self.asked if row["state"] in {"open", "decided"}}
        if self.rule is None or self.rule.rule == "any":
            return [] if held else ["coordinator" if self.rule is None else self.rule.role]
        return [seat for seat in self.rule.seats if seat not in held]


def read_work(people: People, step_id: str) -> Work:
    """One step by its id."""
    step = rows(people.connection, select(STEP).where(STEP.c.id == step_id))[0]
    return Work(people.connection, step, assignments(people.connection, [step_id])[step_id])


def in_charge(people: People, work: Work, person_id: str) -> list[Held]:
    """Of what lies open in the step, what this person may urge and hand on."""
    held = [_held(people, row) for row in work.open]
    late = is_late(work.step["due_on"], people.today)
    return in_charge_of(person_id, coordinator=person_id in people.coordinators, late=late, held=held)


def _held(people: People, row: Row) -> Held:
    return Held(row["id"], row["seat"], row["person_id"], people.superior(row["person_id"]))


def choices(people: People, work: Work, row: Row) -> list[Asked]:
    """Who may take over one open assignment of the step: whoever may hold its seat, else the superior."""
    stage = work.step["stage"]
    asked: list[Asked] = []
    if work.sheet is None:
        asked = [Asked("coordinator", person, None, None) for person in sorted(people.coordinators)]
    elif work.rule is not None:
        asked = people.asked(work.rule, work.sheet, work.line_ids)[0]
    seats: dict[str, list[str]] = {}
    for one in asked:
        seats.setdefault(one.seat, []).append(one.person_id)
    held = _held(people, row)
    found = takers(
        held,
        stage=stage,
        seats=seats,
        wrote=set().union(*people.wrote(work.line_ids).values()),
        asked={one["person_id"] for one in work.open},
    )
    by_person = {one.person_id: one for one in asked if one.seat == held.seat}
    return [by_person.get(person, Asked(held.seat, person, None, None)) for person in found]


ACTS = ("urge", "reassign")


def supervised(
    connection: Connection, change: Row, person_id: str, now: datetime, office_proof: str = "none"
) -> list[dict[str, Any]]:
    """What stands late before this person in a change, with the proof each act asks for; for a coordinator also what
    nobody holds.
    """
    people = People(connection, now)
    steps = late_steps(connection, change["id"], people.today)
    if not steps:
        return []
    held = assignments(connection, [step["id"] for step in steps])
    urged = last_urged(connection, change["id"], [step["id"] for step in steps])
    calendar = office.calendar(connection)
    shared = office.shares_address(connection, person_id)
    found = []
    for step in steps:
        work = Work(connection, step, held[step["id"]])
        if work.settled:
            continue
        charge = {one.id for one in in_charge(people, work, person_id)}
        mine = [row for row in work.open if row["id"] in charge and row["person_id"] != person_id]
        mine.sort(key=lambda row: str(row["person_id"]))
        if not mine and not (step["no_owner"] and person_id in people.coordinators):
            continue
        last = urged.get(step["id"])
        found.append(
            {
                "step": step["id"], "sheet": step["sheet_id"], "stage": step["stage"], "stage_name": work.stage_name,
                "round": step["round"], "department": step["department_name"] or "", "count": len(work.line_ids),
                "due": None if step["due_on"] is None else step["due_on"].isoformat(), "provisional": step["provisional"],
                "late": working_days_late(step["due_on"], people.today, calendar), "no_owner": step["no_owner"],
                "acts": list(ACTS) if mine else [],
                "proof": {
                    act: asked_to_steer(act, step["stage"], work.own_proof, office_proof, shared=shared) for act in ACTS
                },
                "assignments": [_open_json(people, work, row) for row in mine],
                "urged": None if last is None else {
                    "by": {"id": last["who"], "name": office.name_of(connection, last["who"])}, "at": last["at"].isoformat(),
                },
            }
        )  # fmt: skip
    return found


def _open_json(people: People, work: Work, row: Row) -> dict[str, Any]:
    connection, acting = people.connection, row["acting_for_id"]
    return {
        "id": row["id"],
        "person": {"id": row["person_id"], "name": row["name"]},
        "acting_for": None if acting is None else {"id": acting, "name": office.name_of(connection, acting)},
        "to": [
            {
                "id": one.person_id,
                "name": people.names.get(one.person_id) or office.name_of(connection, one.person_id),
                "acting_for": None
                if one.acting_for_id is None
                else {"id": one.acting_for_id, "name": office.name_of(connection, one.acting_for_id)},
            }
            for one in choices(people, work, row)
        ],
    }
