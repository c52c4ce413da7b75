"""What an operator sees and may do: how the engine stands, and safe acts that change no case."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from models.actions.engine import last_sweep, new_attempt, wake_for
from models.domain.errors import Conflict, Unusable
from models.store import office
from models.store.change import CHANGE, ENGINE, LOG, STEP, Case, Wake, rows
from models.store.database import Database
from models.store.outbox import NOTICE
from models.store.views import person_names

STARTS_PAUSED = "starts_paused"
#: States of a notice that are not over.
WAITING = ("queued", "held", "sending", "retrying", "undeliverable")
#: Changes shown on one page, the longest open first.
SHOWN = 200


def overview(db: Database, *, now: datetime, today: date) -> dict[str, Any]:
    """Open changes by age and lateness with their attempts, the outbox, the engines, the last sweep."""
    with db.reader() as connection:
        late = (
            select(STEP.c.change_id, func.count().label("late"))
            .where(and_(STEP.c.state == "open", STEP.c.due_on < today))
            .group_by(STEP.c.change_id)
            .subquery()
        )
        query = (
            select(CHANGE, func.coalesce(late.c.late, 0).label("late"))
            .outerjoin(late, late.c.change_id == CHANGE.c.id)
            .where(CHANGE.c.state == "open")
            .order_by(CHANGE.c.created_at)
            .limit(SHOWN)
        )
        changes = rows(connection, query)
        attempts = _attempts(connection, [row["id"] for row in changes if row["attempt"] > 1])
        count = select(func.count()).select_from(CHANGE).where(CHANGE.c.state == "open")
        total = int(connection.execute(count).scalar() or 0)
        outbox = _outbox(connection)
        engines = rows(connection, select(ENGINE).order_by(ENGINE.c.seen_at.desc()).limit(10))
        paused = office.get_meta(connection, STARTS_PAUSED)
    return {
        "changes": [
            {
                "id": row["id"],
                "number": row["number"],
                "title": row["title"],
                "phase": row["phase"],
                "days": (now - row["created_at"]).days,
                "late": int(row["late"]),
                "attempt": row["attempt"],
                "leg": row["leg_no"],
                "work": row["work_seq"] > row["consumed_seq"],
                "run": row["flow_run_id"],
                "history": attempts.get(row["id"], []),
            }
            for row in changes
        ],
        "total": total,
        "outbox": outbox,
        "engines": [
            {"id": row["id"], "host": row["host"], "pid": row["pid"], "seconds": int((now - row["seen_at"]).total_seconds())}
            for row in engines
        ],
        "last_sweep": last_sweep(db),
        "starts_paused": paused or "",
    }  # fmt: skip


def _attempts(connection: Connection, change_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Every new attempt of these changes with its reason, the oldest first."""
    query = (
        select(LOG.c.change_id, LOG.c.object, LOG.c.at, LOG.c.data)
        .where(and_(LOG.c.change_id.in_(change_ids), LOG.c.verb == "续办"))
        .order_by(LOG.c.change_id, LOG.c.seq)
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(connection, query):
        entry = {"attempt": row["object"], "at": row["at"], "reason": row["data"].get("reason", "")}
        found.setdefault(row["change_id"], []).append(entry)
    return found


def _outbox(connection: Connection) -> dict[str, Any]:
    counts = dict.fromkeys(WAITING, 0)
    grouped = (
        select(NOTICE.c.state, func.count(), func.min(NOTICE.c.created_at))
        .where(NOTICE.c.state.in_(WAITING))
        .group_by(NOTICE.c.state)
    )
    oldest: datetime | None = None
    for state, number, first in connection.execute(grouped):
        counts[state] = int(number)
        if state in {"queued", "sending", "retrying"} and (oldest is None or first < oldest):
            oldest = first
    query = (
        select(NOTICE.c.id, NOTICE.c.kind, NOTICE.c.person_id, NOTICE.c.state, NOTICE.c.tries, NOTICE.c.error, CHANGE.c.number)
        .outerjoin(CHANGE, CHANGE.c.id == NOTICE.c.change_id)
        .where(NOTICE.c.state.in_(["retrying", "undeliverable"]))
        .order_by(NOTICE.c.created_at)
        .limit(50)
    )  # fmt: skip
    failing = rows(connection, query)
    names = person_names(connection, {row["person_id"] for row in failing})
    return {
        "counts": counts,
        "oldest": oldest,
        "failing": [{**row, "person": names.get(row["person_id"], "")} for row in failing],
    }


# --- the five acts -------------------------------------------------------------------------------------------------


def wake(db: Database, *, change_id: str, by: str, now: datetime) -> Wake:
    """Have the engine look at a change now. It finds what is due, or nothing. Raises `Conflict change_closed`."""

    def verb(connection: Connection) -> None:
        case = _open(connection, change_id, now)
        case.log("唤醒", who=by, via="portal", about=case.row["number"], work=True)
        case.flush()

    db.write(verb)
    return wake_for(db, change_id=change_id)


def renew(db: Database, *, change_id: str, by: str, now: datetime) -> str | None:
    """Give a change a new run, whatever its old one does; the old run's id. Raises `Conflict change_closed`."""

    def verb(connection: Connection) -> tuple[int, str | None]:
        case = _open(connection, change_id, now)
        return int(case.row["attempt"]), case.row["flow_run_id"]

    attempt, run = db.write(verb)
    new_attempt(db, change_id=change_id, attempt=attempt, why="运维人员要求另开运行", by=by, now=now)
    return run


def send_again(db: Database, *, notice_id: str, now: datetime) -> None:
    """Send a notice that waits or was given up now, marked as a repeat. Raises `Conflict nothing_to_decide`."""
    waiting = and_(NOTICE.c.id == notice_id, NOTICE.c.state.in_(["held", "retrying", "undeliverable"]))
    values = {"state": "retrying", "next_at": now, "tries": 0, "repeat": NOTICE.c.repeat + 1, "error": ""}
    changed = db.write(lambda connection: connection.execute(update(NOTICE).where(waiting).values(**values)).rowcount)
    if not changed:
        raise Conflict("nothing_to_decide", "该通知已经送达或者已经取消，未重发。请刷新页面。")


def pause_starts(db: Database, *, reason: str) -> None:
    """Start no new change for this reason; with an empty one, start them again. Open changes go on."""
    db.write(lambda connection: office.set_meta(connection, STARTS_PAUSED, reason.strip()))


def refuse_where_paused(connection: Connection) -> None:
    """Raises `Unusable starts_paused` where an operator has paused new starts."""
    reason = office.get_meta(connection, STARTS_PAUSED)
    if reason:
        sentence = f"运维人员已停止发起新的变更（{reason}），未登记。在办的变更不受影响，请稍后再试。"
        raise Unusable("starts_paused", sentence)


def _open(connection: Connection, change_id: str, now: datetime) -> Case:
    case = Case(connection, change_id, now)
    if case.row["state"] != "open":
        raise Conflict("change_closed", "本次变更已办结或者已撤回，不再办理。")
    return case
