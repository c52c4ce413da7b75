"""What the engine asks of the office: who needs waking, which legs are orphans, when an attempt is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    union,
    update,
)

from models.domain.deadlines import shanghai_day
from models.store import office
from models.store.change import (
    CHANGE,
    ENGINE,
    Case,
    Wake,
    assignments_of_leavers,
    changes_of_leavers,
    next_moment,
    rows,
    wake_of,
    wrong_moments,
)
from models.store.database import Database
from models.store.outbox import end_leases
from models.store.sql import among, written

#: Work not taken up after this many seconds is woken by the pulse.
PATIENCE = timedelta(seconds=5)
_OPEN = CHANGE.c.state == written("open")
#: The fact that tells when watch was last done.
WATCHED = "watched_at"
#: The fact that tells when the last backup was made.
BACKED_UP = "backed_up_at"
#: An engine not seen for so long is dead.
ALIVE = timedelta(seconds=10)
#: A moment this far ahead of the clock was written before the clock was set back.
AHEAD = timedelta(minutes=1)


def engine_seen(db: Database, *, engine_id: str, pid: int, host: str, now: datetime) -> None:
    """The heartbeat of an engine process."""

    def verb(connection: Connection) -> None:
        touched = connection.execute(update(ENGINE).where(ENGINE.c.id == engine_id).values(seen_at=now)).rowcount
        if not touched:
            connection.execute(delete(ENGINE).where(ENGINE.c.seen_at < now - timedelta(days=1)))
            connection.execute(insert(ENGINE).values(id=engine_id, pid=pid, host=host, started_at=now, seen_at=now))

    db.write(verb)


def watched(db: Database, *, now: datetime) -> None:
    """Note that watch has looked after everything."""
    db.write(lambda connection: office.set_meta(connection, WATCHED, now.isoformat()))


def note_backup(connection: Connection, *, now: datetime) -> None:
    """Note that a backup was made."""
    office.set_meta(connection, BACKED_UP, now.isoformat())


def engines_alive(db: Database, *, now: datetime) -> list[tuple[int, str]]:
    """Process number and host of the engines seen lately; none where the data has no schema."""
    if db.is_empty():
        return []
    with db.reader() as connection:
        query = select(ENGINE.c.pid, ENGINE.c.host).where(_seen_lately(now))
        return [(int(pid), str(host)) for pid, host in connection.execute(query)]


def bury_engines(db: Database, *, host: str, gone: Callable[[int], bool]) -> int:
    """Forget the engines of this machine whose process is `gone`: their legs are taken up at once. Returns how many."""

    def verb(connection: Connection) -> int:
        here = rows(connection, select(ENGINE.c.id, ENGINE.c.pid).where(ENGINE.c.host == host))
        dead = [row["id"] for row in here if gone(row["pid"])]
        connection.execute(delete(ENGINE).where(ENGINE.c.id.in_(dead)))
        return len(dead)

    return db.write(verb)


def take_over_notices(db: Database, *, engine_id: str, now: datetime) -> int:
    """A new engine that is the only one alive waits for nobody's lease: what was being sent is due at once. How many.

    Call it after this engine was seen and before it sends anything: of two that start together neither takes over.
    """

    def verb(connection: Connection) -> int:
        return end_leases(connection, now=now) if _alone(connection, engine_id, now) else 0

    return db.write(verb)


def is_alone(db: Database, *, engine_id: str, now: datetime) -> bool:
    """Whether no other engine was seen lately."""
    with db.reader() as connection:
        return _alone(connection, engine_id, now)


def _alone(connection: Connection, engine_id: str, now: datetime) -> bool:
    others = select(ENGINE.c.id).where(_seen_lately(now), ENGINE.c.id != engine_id).limit(1)
    return connection.execute(others).first() is None


def _seen_lately(now: datetime) -> ColumnElement[bool]:
    return and_(ENGINE.c.seen_at > now - ALIVE, ENGINE.c.seen_at < now + AHEAD)


def engine_alive(db: Database, *, now: datetime, engine_id: str | None = None) -> bool:
    """Whether any engine, or this one, was seen lately."""
    with db.reader() as connection:
        query = select(ENGINE.c.id).where(_seen_lately(now)).limit(1)
        if engine_id is not None:
            query = query.where(ENGINE.c.id == engine_id)
        return connection.execute(query).first() is not None


def changes_to_wake(db: Database, *, now: datetime, limit: int = 200) -> list[Wake]:
    """Open changes with work nobody took up, with something due, or without a run: of each kind the `limit` oldest.

    Each of the three by an index of its own: asked every half second, however many changes wait.
    """
    moments = {"now": now, "old": now - PATIENCE, "ahead": now + AHEAD, "most": limit}
    with db.reader() as connection:
        return [wake_of(row) for row in rows(connection, _to_wake(), **moments)]


@cache
def _to_wake() -> Select[Any]:
    def old(moment: ColumnElement[datetime]) -> ColumnElement[bool]:
        return or_(moment <= bindparam("old"), moment > bindparam("ahead"))

    # In the order of its index, and no more than asked for: PostgreSQL, not knowing the moments, expects a third of
    # all changes to be due, and would read every one of them.
    def oldest(condition: ColumnElement[bool], moment: ColumnElement[Any]) -> Select[Any]:
        found = select(CHANGE.c.id).where(_OPEN, condition).order_by(CHANGE.c.state, moment).limit(bindparam("most"))
        return select(found.subquery().c.id)

    work, due, created = CHANGE.c.work_since, CHANGE.c.next_due, CHANGE.c.created_at
    wanted = union(
        oldest(and_(CHANGE.c.work_seq > CHANGE.c.consumed_seq, old(work)), work),
        oldest(and_(due.is_not(None), due <= bindparam("now")), due),
        oldest(and_(CHANGE.c.flow_run_id.is_(None), old(created)), created),
    ).subquery()
    return select(CHANGE).join(wanted, wanted.c.id == CHANGE.c.id)


def open_changes(db: Database, *, after: str, limit: int) -> list[Wake]:
    """The next open changes that have a run, by id, after this one."""
    with db.reader() as connection:
        query = (
            select(CHANGE)
            .where(and_(CHANGE.c.state == "open", CHANGE.c.flow_run_id.is_not(None), CHANGE.c.id > after))
            .order_by(CHANGE.c.id)
            .limit(limit)
        )
        return [wake_of(row) for row in rows(connection, query)]


def last_sweep(db: Database) -> datetime | None:
    """When office time was last kept; None before the first time."""
    with db.reader() as connection:
        found = office.get_meta(connection, WATCHED)
    return None if found is None else datetime.fromisoformat(found)


def hot_work(db: Database, change_ids: Sequence[str], *, now: datetime) -> set[str]:
    """Which of these changes have something to do now, or have ended."""
    if not change_ids:
        return set()
    with db.reader() as connection:
        query = select(CHANGE.c.id).where(
            and_(
                among(CHANGE.c.id, change_ids),
                or_(CHANGE.c.work_seq > CHANGE.c.consumed_seq, CHANGE.c.next_due <= now, CHANGE.c.state != "open"),
            )
        )
        return set(connection.execute(query).scalars())


def orphans(db: Database, *, now: datetime, engine_id: str, carried: Callable[[str], bool]) -> list[Wake]:
    """Open changes with a leg that is not parked and that nobody carries: its engine is dead, or it is ours
    and `carried` knows no such leg here.
    """
    alive = select(ENGINE.c.id).where(_seen_lately(now))
    with db.reader() as connection:
        query = select(CHANGE).where(
            and_(
                _OPEN,
                CHANGE.c.leg_no > literal_column("0"),
                # A new leg clears the mark of the one that parked: it is either empty or the newest leg's.
                CHANGE.c.parked_leg.is_(None),
                or_(CHANGE.c.leg_engine.is_(None), CHANGE.c.leg_engine == engine_id, CHANGE.c.leg_engine.not_in(alive)),
            )
        )
        found = [wake_of(row) for row in rows(connection, query)]
    return [wake for wake in found if wake.leg_engine != engine_id or not carried(wake.change_id)]


def new_attempt(db: Database, *, change_id: str, attempt: int, why: str, by: str | None = None, now: datetime) -> int:
    """Give a change a new attempt because its run is gone or over, or `by` somebody's wish; another's new attempt stands."""

    def verb(connection: Connection) -> int:
        case = Case(connection, change_id, now)
        if case.row["state"] != "open" or case.row["attempt"] != attempt:
            return int(case.row["attempt"])
        case.set(attempt=attempt + 1, flow_run_id=None, parked_leg=None, leg_engine=None)
        case.log("续办", who=by, about=str(attempt + 1), reason=why, work=True)
        case.flush()
        return attempt + 1

    return db.write(verb)


def wake_for(db: Database, *, change_id: str) -> Wake:
    """The wake of one change as it stands."""
    with db.reader() as connection:
        return wake_of(rows(connection, select(CHANGE).where(CHANGE.c.id == change_id))[0])


def wakes_for(db: Database, *, change_ids: Sequence[str]) -> list[Wake]:
    """The wakes of some changes as they stand, those that are open."""
    with db.reader() as connection:
        query = select(CHANGE).where(and_(among(CHANGE.c.id, change_ids), _OPEN))
        return [wake_of(row) for row in rows(connection, query)]


def wrongly_due(db: Database, *, now: datetime) -> list[str]:
    """The open changes whose `next_due` is not what stands in the tables, or in which somebody asked has left."""
    with db.reader() as connection:
        return sorted({*wrong_moments(connection), *changes_of_leavers(connection, shanghai_day(now))})


def open_after(db: Database, *, after: str, count: int) -> tuple[int, list[str]]:
    """How many changes are open, and the ids of the `count` that follow this id."""
    with db.reader() as connection:
        number = connection.execute(select(func.count()).select_from(CHANGE).where(_OPEN)).scalar()
        query = select(CHANGE.c.id).where(and_(_OPEN, CHANGE.c.id > after)).order_by(CHANGE.c.id).limit(count)
        return int(number or 0), [str(row[0]) for row in connection.execute(query)]


def recompute_due(db: Database, *, change_id: str, now: datetime) -> bool:
    """Set `next_due` of a change anew from what stands in the tables; whether it was wrong."""
    return db.write(lambda connection: _recompute(connection, change_id, now))


def _recompute(connection: Connection, change_id: str, now: datetime) -> bool:
    case = Case(connection, change_id, now)
    if case.row["state"] != "open":
        return False
    if assignments_of_leavers(connection, change_id, shanghai_day(now)):
        case.log("人员变动", about=case.row["number"], work=True)
        case.flush()
    moment = next_moment(connection, change_id)
    if case.row["next_due"] == moment:
        return False
    case.set(next_due=moment)
    case.flush()
    return True
