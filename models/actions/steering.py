"""The coordinator's acts, each with a reason: take out a row, reassign, urge, withdraw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, select

from models.actions.moving import withdraw_steps
from models.actions.notices import Writer
from models.actions.opening import Asked, Room, put_before
from models.domain.errors import BadInput, Conflict, Forbidden
from models.store import office
from models.store.change import (
    ADJUSTMENT,
    ASSIGNMENT,
    SHEET,
    STEP,
    Case,
    Row,
    Wake,
    add_rows,
    adjustments,
    assignments,
    close_assignments,
    drafters,
    drop_rungs,
    rows,
    set_adjustments,
    set_assignments,
    set_sheet,
    set_step,
    sheets,
    step_lines,
    steps,
    wake_of,
)
from models.store.database import Database
from models.store.outbox import cancel, enqueue
from models.tables import new_id

TERMINAL = frozenset({"published", "declined", "rejected", "removed"})
#: What becomes of a sheet whose change is withdrawn.
SHEET_ENDS = {"open": "dissolved", "waiting": "done"}


def _steer(
    db: Database,
    change_id: str,
    by: str,
    reason: str,
    now: datetime,
    collect_minutes: float,
    verb: Callable[[Room, str], None],
) -> Wake:
    """One act of a coordinator in one transaction; the change is woken afterwards."""
    if not reason.strip():
        raise BadInput("comment_required", "须写明理由，理由记入变更档案并告知有关人员。")

    def work(connection: Connection) -> Wake:
        case = Case(connection, change_id, now)
        if case.row["state"] != "open":
            raise Conflict("change_closed", "本次变更已办结或者已撤回，不再办理。")
        person = office.person(connection, by)
        room = Room(
            connection,
            case,
            Writer(connection, case),
        )
        if person.id not in {holder.person_id for holder in room.holders("coordinator")}:
            raise Forbidden("not_your_seat", "此项由统筹协调人办理，您没有该岗位的任职或者代理，未记录。")
        verb(room, person.id)
        room.flush()
        enqueue(connection, notices=room.writer.notices, now=now, collect_minutes=collect_minutes)
        return wake_of(case.row)

    return db.write(work)


def _change_of(db: Database, table: object, row_id: str) -> str:
    with db.reader() as connection:
        found = rows(connection, select(table).where(table.c.id == row_id))  # type: ignore[call-overload, attr-defined]
    if not found:
        raise BadInput("nothing_to_decide", "没有找到所选的对象，未作任何改动。请刷新页面。")
    return str(found[0]["change_id"])


def take_out(
    db: Database, *, adjustment_id: str, by: str, reason: str, now: datetime, collect_minutes: float = 20
) -> Wake:
    """Take one adjustment out of its change; what is published stays."""

    def verb(room: Room, person_id: str) -> None:
        row = rows(room.connection, select(ADJUSTMENT).where(ADJUSTMENT.c.id == adjustment_id))[0]
        if row["state"] in TERMINAL:
            raise Conflict("superseded", "该事项已有最终结果，不能移出。")
        set_adjustments(room.case, [adjustment_id], state="removed", reason=reason)
        room.case.log(
            "移出", who=person_id, via="portal", about=adjustment_id, work=True, name=row["name"], reason=reason
        )

    return _steer(db, _change_of(db, ADJUSTMENT, adjustment_id), by, reason, now, collect_minutes, verb)


def withdraw(
    db: Database,
    *,
    change_id: str,
    by: str,
    reason: str,
    via: str = "portal",
    now: datetime,
    collect_minutes: float = 20,
) -> Wake:
    """End a change of which nothing is published; whoever had a task is told."""

    def verb(room: Room, person_id: str) -> None:
        case = room.case
        lines = adjustments(room.connection, change_id=case.id)
        if any(line["state"] == "published" for line in lines):
            raise Conflict("superseded", "已有事项发布，不能撤回整个变更；请逐项移出尚未发布的事项。")
        told: set[str] = set()
        for step in steps(room.connection, case.id, states=["open"]):
            for person in assignments(room.connection, [step["id"]])[step["id"]]:
                if person["state"] == "open":
                    told.add(person["person_id"])
            if step["sheet_id"] is not None:
                withdraw_steps(room, step["sheet_id"], "withdrawn")
            else:
                _close_scope(room, step)
        for sheet in sheets(room.connection, case.id):
            if sheet["state"] in SHEET_ENDS:
                set_sheet(case, sheet["id"], state=SHEET_ENDS[sheet["state"]])
        set_adjustments(
            room.case,
            [line["id"] for line in lines if line["state"] not in TERMINAL],
            state="removed",
            reason=reason,
        )
        for waiting in sorted(told):
            room.writer.add(
                "withdrawn", waiting, f"{case.id}:withdrawn:{waiting}", by=room.writer.person(person_id), reason=reason
            )
        case.log("撤回", who=person_id, via=via, about=case.row["number"], reason=reason, work=True)
        case.set(phase="withdrawn", state="withdrawn", closed_at=case.now, subject=None, next_due=None)

    return _steer(db, change_id, by, reason, now, collect_minutes, verb)


def _close_scope(room: Room, step: Row) -> None:
    close_assignments(room.case, assignments(room.connection, [step["id"]])[step["id"]], "withdrawn")
    set_step(room.case, step["id"], state="withdrawn", closed_at=room.case.now)
    drop_rungs(room.connection, [step["id"]])
    cancel(room.connection, step_ids=[step["id"]])


def reassign(
    db: Database,
    *,
    step_id: str,
    to: str,
    by: str,
    reason: str,
    assignment_id: str | None = None,
    now: datetime,
    collect_minutes: float = 20,
) -> Wake:
    """Give a step (or one assignment of it) to another person; the clock goes on. Nobody gets what he drafted."""

    def verb(room: Room, person_id: str) -> None:
        step = rows(room.connection, select(STEP).where(STEP.c.id == step_id))[0]
        if step["state"] != "open":
            raise Conflict("superseded", "该环节已经结束，不能转交。请刷新页面。")
        taker = office.person(room.connection, to)
        sheet = (
            rows(room.connection, select(SHEET).where(SHEET.c.id == step["sheet_id"]))[0] if step["sheet_id"] else None
        )
        ids = [line["adjustment_id"] for line in step_lines(room.connection, [step_id])[step_id]]
        if step["stage"] not in {"draft", "scope"} and any(
            taker.id in who for who in drafters(room.connection, ids).values()
        ):
            raise Forbidden("four_eyes", f"该内容由{taker.name}起草，按照起草与审核分离的要求，不能转交其办理。")
        held = [row for row in assignments(room.connection, [step_id])[step_id] if row["state"] == "open"]
        leaving = [row for row in held if assignment_id in (None, row["id"])]
        if any(row["person_id"] == taker.id for row in held):
            raise Conflict("superseded", f"{taker.name}已经是该环节的办理人。")
        lines = [row for row in adjustments(room.connection, change_id=room.case.id) if row["id"] in set(ids)]
        _hand_over(room, step, sheet, lines, leaving, taker, person_id, reason)

    return _steer(db, _change_of(db, STEP, step_id), by, reason, now, collect_minutes, verb)


def _hand_over(
    room: Room,
    step: Row,
    sheet: Row | None,
    lines: list[Row],
    leaving: list[Row],
    taker: office.PersonRow,
    by: str,
    reason: str,
) -> None:
    now = room.case.now
    seat = leaving[0]["seat"] if leaving else step["stage"]
    for row in leaving:
        set_assignments(room.case, [row["id"]], state="moved", closed_at=now)
        room.writer.add(
            "reassigned_from",
            row["person_id"],
            f"{row['id']}:moved",
            step=step,
            sheet=sheet,
            lines=lines,
            to={"id": taker.id, "name": taker.name},
            by=room.writer.person(by),
            reason=reason,
        )
    if leaving:
        taken = {
            "id": new_id("asg"),
            "change_id": room.case.id,
            "step_id": step["id"],
            "seat": seat,
            "person_id": taker.id,
            "state": "open",
            "from_id": leaving[0]["id"],
            "opened_at": now,
        }
        add_rows(room.case, ASSIGNMENT, [taken])
        room.writer.add(
            "reassigned_to",
            taker.id,
            f"{leaving[0]['id']}:to:{taker.id}",
            step=step,
            sheet=sheet,
            lines=lines,
            **{"from": room.writer.person(leaving[0]["person_id"])},
            by=room.writer.person(by),
            reason=reason,
        )
    else:
        put_before(room, step, sheet, lines, [Asked(seat, taker.id, None, None)])
    set_step(room.case, step["id"], no_owner=None)
    room.case.log("转交", who=by, via="portal", about=step["id"], to=taker.id, reason=reason)


def urge(db: Database, *, step_id: str, by: str, reason: str, now: datetime, collect_minutes: float = 20) -> Wake:
    """Remind those a step waits for."""

    def verb(room: Room, person_id: str) -> None:
        step = rows(room.connection, select(STEP).where(STEP.c.id == step_id))[0]
        sheet = (
            rows(room.connection, select(SHEET).where(SHEET.c.id == step["sheet_id"]))[0] if step["sheet_id"] else None
        )
        ids = {line["adjustment_id"] for line in step_lines(room.connection, [step_id])[step_id]}
        lines = [row for row in adjustments(room.connection, change_id=room.case.id) if row["id"] in ids]
        number = room.case.log("催办", who=person_id, via="portal", about=step_id, reason=reason)
        for row in assignments(room.connection, [step_id])[step_id]:
            if row["state"] == "open":
                room.writer.add(
                    "urged",
                    row["person_id"],
                    f"{step_id}:urged:{number}:{row['person_id']}",
                    step=step,
                    sheet=sheet,
                    lines=lines,
                    by=room.writer.person(person_id),
                    comment=reason,
                )

    return _steer(db, _change_of(db, STEP, step_id), by, reason, now, collect_minutes, verb)
