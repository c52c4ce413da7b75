"""Steering a change: take out a row, reassign, urge, withdraw. The coordinator may do all of it; whose people are late may
urge them and hand on what they hold. Whatever ends or moves something needs a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from models.actions.moving import close_step
from models.actions.notices import Writer, at_text
from models.actions.opening import Room, put_before
from models.actions.people import Asked
from models.actions.publishing import settle_sheets
from models.actions.supervising import NOT_IN_CHARGE, Work, choices, in_charge, read_work
from models.domain.deadlines import shanghai_day
from models.domain.errors import BadInput, Conflict, Forbidden
from models.domain.four_eyes import barred
from models.domain.proof import asked_to_steer, check_shown
from models.store import office, outbox
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
    last_urged,
    rows,
    set_adjustments,
    set_assignments,
    set_sheet,
    set_step,
    sheets,
    steps,
    wake_of,
)
from models.store.database import Database
from models.store.outbox import enqueue
from models.tables import new_id

TERMINAL = frozenset({"published", "declined", "rejected", "removed"})
#: What becomes of a sheet whose change is withdrawn.
SHEET_ENDS = {"open": "dissolved", "waiting": "done"}


def _steer(
    db: Database,
    change_id: str,
    by: str,
    now: datetime,
    collect_minutes: float,
    verb: Callable[[Room, str], None],
    *,
    others: bool = False,
) -> Wake:
    """One act in one transaction; the change is woken afterwards. `others`: the verb itself sees who may do it."""

    def work(connection: Connection) -> Wake:
        case = Case(connection, change_id, now)
        if case.row["state"] != "open":
            raise Conflict("change_closed", "本次变更已办结或者已撤回，不再办理。")
        person = office.person(connection, by)
        room = Room(connection, case, Writer(connection, case))
        if not others and person.id not in room.coordinators:
            raise Forbidden("not_your_seat", "此项由统筹协调人办理，您没有该岗位的任职或者代理，未记录。")
        verb(room, person.id)
        room.flush()
        enqueue(connection, notices=room.writer.notices, now=now, collect_minutes=collect_minutes)
        return wake_of(case.row)

    return db.write(work)


def _check_proof(room: Room, person_id: str, work: Work, act: str, via: str, proof: str, office_proof: str) -> None:
    """Whoever acts by a link has shown who he is, as for a decision of that stage; a signed-in session has."""
    if via != "link":
        return
    shared = office.shares_address(room.connection, person_id)
    stage = work.step["stage"]
    asked = asked_to_steer(act, stage, work.own_proof, office_proof, shared=shared)
    check_shown("转交" if act == "reassign" else "催办", stage=stage, asked=asked, shown=proof, shared=shared)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise BadInput("comment_required", "须写明理由，理由记入变更档案并告知有关人员。")


def _change_of(db: Database, table: object, row_id: str, change_id: str | None = None) -> str:
    with db.reader() as connection:
        found = rows(connection, select(table).where(table.c.id == row_id))  # type: ignore[call-overload, attr-defined]
    if not found or change_id not in (None, found[0]["change_id"]):
        raise BadInput("nothing_to_decide", "没有找到所选的对象，未作任何改动。请刷新页面。")
    return str(found[0]["change_id"])


def take_out(
    db: Database, *, adjustment_id: str, by: str, reason: str, now: datetime, collect_minutes: float = 20
) -> Wake:
    """Take one adjustment out of its change; what is published stays."""
    _check_reason(reason)

    def verb(room: Room, person_id: str) -> None:
        row = rows(room.connection, select(ADJUSTMENT).where(ADJUSTMENT.c.id == adjustment_id))[0]
        if row["state"] in TERMINAL:
            raise Conflict("superseded", "该事项已有最终结果，不能移出。")
        set_adjustments(room.case, [adjustment_id], state="removed", reason=reason)
        _try_again(room, row["sheet_id"])
        settle_sheets(room)
        room.case.log(
            "移出", who=person_id, via="portal", about=adjustment_id, work=True, name=row["name"], reason=reason
        )

    return _steer(db, _change_of(db, ADJUSTMENT, adjustment_id), by, now, collect_minutes, verb)


def _try_again(room: Room, sheet_id: str | None) -> bool:
    """A sheet that is stuck is tried again at once; whether it was."""
    found = rows(room.connection, select(SHEET).where(SHEET.c.id == sheet_id))
    if not found or found[0]["stuck"] is None:
        return False
    set_sheet(room.case, found[0]["id"], retry_at=room.case.now)
    return True


def retry(db: Database, *, sheet_id: str, by: str, now: datetime) -> Wake:
    """Try a sheet that is stuck again now. Raises `Conflict superseded` where it is not stuck any more."""

    def verb(room: Room, person_id: str) -> None:
        if not _try_again(room, sheet_id):
            raise Conflict("superseded", "该调整单已恢复正常，不必重试。请刷新页面。")
        room.case.log("重试", who=person_id, via="portal", about=sheet_id, work=True)

    return _steer(db, _change_of(db, SHEET, sheet_id), by, now, 0, verb)


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
    _check_reason(reason)

    def verb(room: Room, person_id: str) -> None:
        case = room.case
        lines = adjustments(room.connection, change_id=case.id)
        if any(line["state"] == "published" for line in lines):
            raise Conflict("superseded", "已有事项发布，不能撤回整个变更；请逐项移出尚未发布的事项。")
        open_steps = steps(room.connection, case.id, states=["open"])
        asked = assignments(room.connection, [step["id"] for step in open_steps])
        told = {person for step in open_steps for person in close_step(room, step, asked[step["id"]], "withdrawn")}
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

    return _steer(db, change_id, by, now, collect_minutes, verb)


def reassign(
    db: Database,
    *,
    step_id: str,
    to: str,
    by: str,
    reason: str,
    assignment_id: str | None = None,
    change_id: str | None = None,
    via: str = "portal",
    proof: str = "none",
    office_proof: str = "none",
    now: datetime,
    collect_minutes: float = 20,
) -> Wake:
    """Give a step (or one assignment of it) to another person; the clock goes on. Nobody gets what he drafted.

    A signed-in coordinator chooses freely. By a link, and by a superior of whoever is late, it goes only to somebody who
    may hold the seat; there `proof` is what he has shown. Raises `Forbidden` (not_your_seat, four_eyes),
    `ProofNeeded proof_needed`, `Conflict` (already_decided, superseded), `BadInput comment_required`.
    """
    _check_reason(reason)

    def verb(room: Room, person_id: str) -> None:
        work = read_work(room, step_id)
        if work.step["state"] != "open":
            raise Conflict("superseded", "该环节已经结束，不能转交。请刷新页面。")
        taker = office.person(room.connection, to)
        if barred(work.step["stage"], room.wrote(work.line_ids), taker.id):
            raise Forbidden("four_eyes", f"该内容由{taker.name}起草，按照起草与审核分离的要求，不能转交其办理。")
        if not office.is_here(room.connection, taker.id, room.today):
            raise Forbidden("not_your_seat", f"{taker.name}已离任或者停用，不能转交其办理。请选择其他人员。")
        leaving = _leaving(room, work, person_id, assignment_id)
        _check_proof(room, person_id, work, "reassign", via, proof, office_proof)
        if assignment_id is None and work.empty_seats and person_id in room.coordinators:
            leaving = []  # seats nobody holds are filled before others change hands
        if work.settled or not (leaving or work.empty_seats):
            raise _too_late(work.asked)
        if any(row["person_id"] == taker.id for row in work.open):
            raise Conflict("superseded", f"{taker.name}已经是该环节的办理人。")
        acting: dict[str, str | None] = {}
        if via == "link" or person_id not in room.coordinators:
            acting = _acting(room, work, leaving, taker)
        lines = [row for row in adjustments(room.connection, change_id=room.case.id) if row["id"] in work.line_ids]
        _hand_over(room, work, lines, leaving, taker, acting, by=person_id, reason=reason, via=via)

    return _steer(db, _change_of(db, STEP, step_id, change_id), by, now, collect_minutes, verb, others=True)


def _leaving(room: Room, work: Work, person_id: str, assignment_id: str | None) -> list[Row]:
    """The assignments that are handed on; `Forbidden not_your_seat`, `Conflict superseded` for one that is over."""
    charge = {one.id for one in in_charge(room, work, person_id)}
    if person_id not in room.coordinators and not charge:
        raise Forbidden("not_your_seat", NOT_IN_CHARGE)
    leaving = [row for row in work.open if row["id"] in charge and assignment_id in (None, row["id"])]
    if assignment_id is None or leaving:
        return leaving
    if assignment_id in {row["id"] for row in work.open}:
        raise Forbidden("not_your_seat", NOT_IN_CHARGE)
    raise _too_late([row for row in work.asked if row["id"] == assignment_id])


def _acting(room: Room, work: Work, leaving: list[Row], taker: office.PersonRow) -> dict[str, str | None]:
    """For whom the taker acts in each seat; `Forbidden not_your_seat` for one who may not hold it."""
    found: dict[str, str | None] = {}
    for row in leaving:
        chosen = [asked for asked in choices(room, work, row) if asked.person_id == taker.id]
        if not chosen:
            raise Forbidden(
                "not_your_seat", f"{taker.name}没有{work.stage_name}的任职或者代理，未转交。请从列出的人员中选择。"
            )
        found[row["seat"]] = chosen[0].acting_for_id
    if not leaving:
        raise Forbidden("not_your_seat", "该环节目前无人办理，请登录统筹工作台指定办理人。")
    return found


def _too_late(asked: Sequence[Row], act: str = "转交") -> Conflict:
    """Somebody was faster than whoever wants to hand on or to urge."""
    decided = [row for row in asked if row["state"] == "decided"]
    if decided:
        return Conflict("already_decided", f"{decided[-1]['name']}已经办理，不能再{act}。请刷新页面。")
    return Conflict("superseded", f"该件已转交他人或者不必再办，不能再{act}。请刷新页面。")


def _hand_over(
    room: Room,
    work: Work,
    lines: list[Row],
    leaving: list[Row],
    taker: office.PersonRow,
    acting: dict[str, str | None],
    *,
    by: str,
    reason: str,
    via: str,
) -> None:
    now, step, sheet = room.case.now, work.step, work.sheet
    told: dict[str, Any] = {
        "step": step,
        "sheet": sheet,
        "lines": lines,
        "by": room.writer.person(by),
        "reason": reason,
    }
    for row in leaving:
        set_assignments(room.case, [row["id"]], state="moved", closed_at=now)
        to = {"id": taker.id, "name": taker.name}
        room.writer.add("reassigned_from", row["person_id"], f"{row['id']}:moved", to=to, **told)
    # Each seat stays: whoever takes over two of them decides twice.
    seats = {row["seat"]: row for row in reversed(leaving)}
    for seat, row in seats.items():
        assignment = {
            "id": new_id("asg"), "change_id": room.case.id, "step_id": step["id"], "seat": seat, "person_id": taker.id,
            "acting_for_id": acting.get(seat), "state": "open", "from_id": row["id"], "opened_at": now,
        }  # fmt: skip
        add_rows(room.case, ASSIGNMENT, [assignment])
    if leaving:
        key = f"{leaving[0]['id']}:to:{taker.id}"
        told["from"] = room.writer.person(leaving[0]["person_id"])
        room.writer.add("reassigned_to", taker.id, key, **told)
    else:
        put_before(room, step, sheet, lines, [Asked(seat, taker.id, None, None) for seat in work.empty_seats])
        set_step(room.case, step["id"], no_owner=None)
    room.case.log("转交", who=by, via=via, about=step["id"], to=taker.id, reason=reason)


def urge(
    db: Database,
    *,
    step_id: str,
    by: str,
    reason: str = "",
    change_id: str | None = None,
    via: str = "portal",
    proof: str = "none",
    office_proof: str = "none",
    now: datetime,
    collect_minutes: float = 20,
) -> Wake:
    """Remind those a step waits for, at most once a day; a superior reminds his own people once they are late.

    Raises `Conflict` (urged_today, already_decided, superseded), `Forbidden not_your_seat`, `ProofNeeded proof_needed`.
    """

    def verb(room: Room, person_id: str) -> None:
        work = read_work(room, step_id)
        if work.step["state"] != "open":
            raise Conflict("superseded", "该环节已经结束，不必催办。请刷新页面。")
        charge = {one.id for one in in_charge(room, work, person_id)}
        if not charge and work.asked and not work.open:
            raise _too_late(work.asked, "催办")
        if not charge:
            raise Forbidden("not_your_seat", NOT_IN_CHARGE)
        if work.settled:
            raise _too_late(work.asked, "催办")
        _check_proof(room, person_id, work, "urge", via, proof, office_proof)
        earlier = last_urged(room.connection, room.case.id, [step_id]).get(step_id)
        if earlier is not None and shanghai_day(earlier["at"]) == room.today:
            name = room.writer.person(earlier["who"])["name"]
            raise Conflict(
                "urged_today",
                f"{name}已于{at_text(earlier['at'], now)}催办，同一环节一天只催办一次，未重复发送。",
                by=room.writer.person(earlier["who"]),
                at=earlier["at"].isoformat(),
            )
        lines = [row for row in adjustments(room.connection, change_id=room.case.id) if row["id"] in work.line_ids]
        number = room.case.log("催办", who=person_id, via=via, about=step_id, reason=reason)
        told: dict[str, Any] = {
            "step": work.step,
            "sheet": work.sheet,
            "lines": lines,
            "by": room.writer.person(person_id),
        }
        for row in work.open:
            if row["id"] in charge:
                key = f"{step_id}:urged:{number}:{row['person_id']}"
                room.writer.add("urged", row["person_id"], key, comment=reason, **told)

    return _steer(db, _change_of(db, STEP, step_id, change_id), by, now, collect_minutes, verb, others=True)


def resend(db: Database, *, notice_id: str, by: str, now: datetime) -> None:
    """Send a notice again that could not be delivered, after its person's address was put right.

    Raises `Conflict superseded`, `Forbidden not_your_seat`, `BadInput nothing_to_decide`.
    """

    def verb(room: Room, person_id: str) -> None:
        notice = outbox.resend(room.connection, notice_id, now)
        about = room.writer.person(notice["person_id"])
        room.case.log("重新发送", who=person_id, via="portal", about=notice_id, to=about["id"], kind=notice["kind"])

    _steer(db, _change_of(db, outbox.NOTICE, notice_id), by, now, 0, verb)
