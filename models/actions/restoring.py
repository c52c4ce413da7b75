"""What a restored copy needs before it is used: new attempts, nobody signed in, notices that may be repeats, people told.

Between the backup and the loss people decided and mails were sent that this copy knows nothing of. So every open change
gets a new attempt, what waited in the outbox goes out marked as a possible repeat, and whoever has something open is told
once that the office stands as it did then. What was ended since is the exception: where the data that are replaced can
still be read, no person who was disabled, no token and no link comes back to life.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, and_, bindparam, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError

from models.actions.notices import Writer, at_text
from models.actions.tokens import PERSON, TOKEN, is_valid
from models.store.change import ASSIGNMENT, CHANGE, ENGINE, SHEET, STEP, Case, Row, rows
from models.store.database import Database
from models.store.outbox import LINK, NOTICE, enqueue
from models.store.sealing import OfficeLog
from models.store.sql import table
from models.tables import Session

SESSION = table(Session)


@dataclass(frozen=True)
class Revoked:
    """What was ended in the data that are replaced, and when: tokens (of people who were disabled too), links, people."""

    tokens: Mapping[str, datetime]
    links: Mapping[str, datetime]
    people: Mapping[str, datetime]


@dataclass(frozen=True)
class Kept:
    """What of it the copy did not know yet: tokens by id, how many links, and people by id."""

    tokens: tuple[str, ...]
    links: int
    people: tuple[str, ...]


@dataclass(frozen=True)
class Resumed:
    """Open changes with a new attempt, people told, notices that may be repeats, links that no longer open.

    `kept` is None where no former data could be read; `valid_tokens` is how many tokens work now.
    """

    changes: int
    told: int
    repeats: int
    links: int
    kept: Kept | None
    valid_tokens: int


def revoked_in(former: Database) -> Revoked | None:
    """What was revoked in the data that are to be replaced; None where they cannot be read."""
    ended = func.coalesce(TOKEN.c.revoked_at, PERSON.c.disabled_at, type_=TOKEN.c.revoked_at.type)
    tokens = select(TOKEN.c.id, ended).join(PERSON, PERSON.c.id == TOKEN.c.person_id).where(ended.is_not(None))
    links = select(LINK.c.id, LINK.c.revoked_at).where(LINK.c.revoked_at.is_not(None))
    people = select(PERSON.c.id, PERSON.c.disabled_at).where(PERSON.c.disabled_at.is_not(None))
    try:
        with former.reader() as connection:
            ended_since = (tokens, links, people)
            return Revoked(*({row[0]: row[1] for row in connection.execute(query)} for query in ended_since))
    except SQLAlchemyError:
        return None


def resume(
    db: Database,
    *,
    taken_at: datetime,
    archive: str,
    good_keys: Collection[str],
    revoked: Revoked | None = None,
    now: datetime,
) -> Resumed:
    """Make a restored copy ready; links made with a key that is not among `good_keys` are revoked."""
    kept = None if revoked is None else db.write(lambda connection: _keep_revoked(connection, revoked))

    def office(connection: Connection) -> tuple[int, int]:
        connection.execute(delete(ENGINE))
        connection.execute(update(SESSION).where(SESSION.c.ended_at.is_(None)).values(ended_at=now))
        dead = and_(LINK.c.revoked_at.is_(None), LINK.c.key_id.not_in(list(good_keys)))
        links = connection.execute(update(LINK).where(dead).values(revoked_at=now)).rowcount
        sign_in = and_(LINK.c.purpose == "sign_in", LINK.c.revoked_at.is_(None))
        connection.execute(update(LINK).where(sign_in).values(revoked_at=now))
        return links, _doubt(connection, now)

    links, repeats = db.write(office)
    with db.reader() as connection:
        found = list(connection.execute(select(CHANGE.c.id).where(CHANGE.c.state == "open")).scalars())
    told = sum(db.write(lambda connection, key=key: _renew(connection, key, taken_at, now)) for key in found)  # type: ignore[misc]
    db.write(
        lambda connection: OfficeLog(connection, now).line(
            "还原", via="cli", about=archive, taken_at=taken_at.isoformat(), changes=len(found), repeats=repeats,
            revoked=[] if kept is None else list(kept.tokens), disabled=[] if kept is None else list(kept.people),
        )
    )  # fmt: skip
    with db.reader() as connection:
        counted = select(func.count()).select_from(TOKEN.join(PERSON, PERSON.c.id == TOKEN.c.person_id))
        valid = int(connection.execute(counted.where(is_valid(now))).scalar_one())
    return Resumed(len(found), told, repeats, links, kept, valid)


def _keep_revoked(connection: Connection, revoked: Revoked) -> Kept:
    """End in the copy what was ended since the backup."""

    def end(key: Column[str], column: Column[datetime], known: Mapping[str, datetime]) -> list[str]:
        alive = connection.execute(select(key).where(column.is_(None))).scalars()
        found = sorted(one for one in alive if one in known)
        if found:
            at = {column.name: bindparam("at", type_=column.type)}
            connection.execute(
                update(column.table).where(key == bindparam("of")).values(**at),
                [{"of": one, "at": known[one]} for one in found],
            )
        return found

    tokens = end(TOKEN.c.id, TOKEN.c.revoked_at, revoked.tokens)
    links = end(LINK.c.id, LINK.c.revoked_at, revoked.links)
    return Kept(tuple(tokens), len(links), tuple(end(PERSON.c.id, PERSON.c.disabled_at, revoked.people)))


def _doubt(connection: Connection, now: datetime) -> int:
    """What had not been sent when the backup was made may have been since: it goes out once more, marked as a repeat."""
    fleeting = and_(NOTICE.c.kind == "sign_in", NOTICE.c.state.in_(["queued", "held", "retrying", "sending"]))
    connection.execute(update(NOTICE).where(fleeting).values(state="cancelled"))
    waiting = NOTICE.c.state.in_(["queued", "held", "retrying"])
    doubtful = connection.execute(update(NOTICE).where(waiting).values(repeat=NOTICE.c.repeat + 1)).rowcount
    # Whoever claims a lapsed one counts the repeat himself.
    lapsed = connection.execute(update(NOTICE).where(NOTICE.c.state == "sending").values(lease_until=now)).rowcount
    # A link of a dead key is made anew with the mail.
    gone = select(LINK.c.id).where(LINK.c.revoked_at.is_not(None))
    connection.execute(
        update(NOTICE)
        .where(and_(NOTICE.c.link_id.in_(gone), waiting | (NOTICE.c.state == "sending")))
        .values(link_id=None)
    )
    return int(doubtful + lapsed)


def _renew(connection: Connection, change_id: str, taken_at: datetime, now: datetime) -> int:
    """A new attempt for one change, and a word to everybody it waits for; how many."""
    case = Case(connection, change_id, now)
    attempt = int(case.row["attempt"]) + 1
    case.set(attempt=attempt, flow_run_id=None, parked_leg=None, leg_engine=None)
    case.log("续办", via="cli", about=str(attempt), reason=f"由 {at_text(taken_at, now)} 的备份还原", work=True)
    writer = Writer(connection, case)
    for person_id, (step, sheet, open_) in _waited_for(connection, change_id).items():
        writer.add(
            "restored",
            person_id,
            f"{change_id}:restored:{attempt}:{person_id}",
            step=step,
            sheet=sheet,
            at=at_text(taken_at, now),
            n=open_,
        )
    case.flush()
    enqueue(connection, notices=writer.notices, now=now, collect_minutes=0)
    return len(writer.notices)


def _waited_for(connection: Connection, change_id: str) -> dict[str, tuple[Row, Row | None, int]]:
    """By person: his step that is due first, its sheet, and how much lies open for him."""
    open_ = and_(STEP.c.change_id == change_id, STEP.c.state == "open", ASSIGNMENT.c.state == "open")
    query = (
        select(STEP, ASSIGNMENT.c.person_id)
        .join(ASSIGNMENT, ASSIGNMENT.c.step_id == STEP.c.id)
        .where(open_)
        .order_by(STEP.c.due_on, STEP.c.id)
    )
    steps = rows(connection, query)
    sheets = {row["id"]: row for row in rows(connection, select(SHEET).where(SHEET.c.change_id == change_id))}
    found: dict[str, tuple[Row, Row | None, int]] = {}
    for step in steps:
        person_id = step.pop("person_id")
        first, sheet, count = found.get(person_id, (step, sheets.get(step["sheet_id"]), 0))
        found[person_id] = (first, sheet, count + 1)
    return found
