"""Who has left the office gives back what lay open before him: to whoever may take the seat today, else nobody holds it
and the coordinator is told.
"""

from __future__ import annotations

from models.actions.opening import Room, tell_no_owner
from models.actions.people import Asked
from models.actions.supervising import Work, read_work
from models.store.change import (
    ASSIGNMENT,
    Row,
    add_rows,
    adjustments_of_step,
    assignments_of_leavers,
    set_assignments,
    set_step,
)
from models.tables import new_id


def hand_back(room: Room) -> None:
    """Everything open before people who have left, step by step; the clock of a step goes on."""
    leaving: dict[str, list[Row]] = {}
    for row in assignments_of_leavers(room.connection, room.case.id, room.today):
        leaving.setdefault(row["step_id"], []).append(row)
    people = {row["person_id"] for gone in leaving.values() for row in gone}
    for step_id, gone in leaving.items():
        set_assignments(room.case, [row["id"] for row in gone], state="moved", closed_at=room.case.now)
        work = read_work(room, step_id)
        seats = {row["seat"]: row for row in reversed(gone)}
        empty = [] if work.settled else [seat for seat in work.empty_seats if seat in seats]
        taken = sorted({one.person_id for seat in empty for one in _ask_again(room, work, seats[seat], people)})
        left = sorted({row["person_id"] for row in gone})
        room.case.log("离任转交", about=step_id, stage=work.step["stage"], left=left, taken=taken)


def _ask_again(room: Room, work: Work, gone: Row, left: set[str]) -> list[Asked]:
    """Put the seat of one who is gone before whoever may take it today."""
    lines = adjustments_of_step(room.connection, work.step["id"])
    if work.rule is None or work.sheet is None:
        found = [Asked("coordinator", person, None, None) for person in sorted(room.coordinators)]
    else:
        asked, _ = room.asked(work.rule, work.sheet, [line["id"] for line in lines])
        found = [one for one in asked if one.seat == gone["seat"]]
    found = [one for one in found if one.person_id not in left]
    for one in found:
        taken = {
            "id": new_id("asg"), "change_id": room.case.id, "step_id": work.step["id"], "seat": one.seat,
            "person_id": one.person_id, "acting_for_id": one.acting_for_id, "state": "open", "from_id": gone["id"],
            "opened_at": room.case.now,
        }  # fmt: skip
        add_rows(room.case, ASSIGNMENT, [taken])
        room.writer.add(
            "reassigned_to",
            one.person_id,
            f"{gone['id']}:to:{one.person_id}",
            step=work.step,
            sheet=work.sheet,
            lines=lines,
            acting_for=None if one.acting_for_id is None else room.writer.person(one.acting_for_id),
            reason="原办理人已离任或者停用",
            **{"from": room.writer.person(gone["person_id"])},
        )
    if not found:
        tell_no_owner(room, work.step, work.sheet, work.rule, lines)
        set_step(room.case, work.step["id"], no_owner=work.step["no_owner"])
    return found
