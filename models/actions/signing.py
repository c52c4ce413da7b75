"""Links and sign-in: a mailed link is shown by GET and spent by POST; a desk's link leads to one person's desk."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select, update

from models.actions.renewing import dead_link, end_of, genuine
from models.domain.deadlines import SHANGHAI, shanghai_day
from models.domain.errors import BadInput, Gone, Unknown
from models.store import office
from models.store.change import Row
from models.store.database import Database
from models.store.outbox import LINK, enqueue, link_and_person, link_row, new_link
from models.store.sealing import OfficeLog
from models.store.sql import table
from models.tables import Contact, Person, Session, new_id

SESSION, CONTACT, PERSON = table(Session), table(Contact), table(Person)
SIGN_IN_MINUTES = 10
SESSION_HOURS = 12


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def ask_sign_in(db: Database, *, address: str, key_id: str, now: datetime) -> None:
    """Mail a sign-in link to a registered address; an unknown one gets the same answer and nothing else."""

    def verb(connection: Connection) -> None:
        query = (
            select(CONTACT.c.person_id)
            .join(PERSON, PERSON.c.id == CONTACT.c.person_id)
            .where(and_(func.lower(CONTACT.c.address) == address.strip().lower(), PERSON.c.disabled_at.is_(None)))
            .order_by(CONTACT.c.person_id)
        )
        person_id = connection.execute(query).scalar()
        if person_id is None:
            return
        link = new_link(
            connection,
            person_id=person_id,
            purpose="sign_in",
            change_id=None,
            key_id=key_id,
            now=now,
            expires=now + timedelta(minutes=SIGN_IN_MINUTES),
        )
        name = office.person(connection, person_id).name
        payload = {
            "sample": office.is_sample(connection),
            "person": {"id": person_id, "name": name},
            "acting_for": None,
            "contact": {"id": None, "name": "事项管理部门", "phone": "", "email": ""},
            "can_reassign": False,
            "items": [],
            "more": 0,
        }
        notice = {
            "key": f"{link['id']}:{new_id('n')}",
            "person_id": person_id,
            "change_id": None,
            "step_id": None,
            "kind": "sign_in",
            "payload": payload,
            "link_id": link["id"],
        }
        enqueue(connection, notices=[notice], now=now, collect_minutes=0)

    db.write(verb)


def load_link(db: Database, *, link_id: str) -> Row:
    """The row behind a link; `Unknown bad_link`."""
    with db.reader() as connection:
        row = link_row(connection, link_id)
    if row is None:
        raise Unknown("bad_link", "链接不完整或者不正确，无法打开。请从通知邮件中完整复制，或者联系事项管理部门。")
    return row


def desk_of(db: Database, *, link_id: str, check: Callable[[Row], None], now: datetime) -> tuple[str, str]:
    """Whose desk in which change a link opens.

    `check` sees the link's row and refuses a wrong token. Raises `Unknown bad_link`, `Gone dead_link`.
    """
    with db.reader() as connection:
        row = link_and_person(connection, link_id, shanghai_day(now))
    row = genuine(row, check)
    ended = end_of(row, now)
    if ended is not None:
        raise dead_link(db, row=row, at=ended[0], reason=ended[1], now=now)
    return row["person_id"], row["change_id"]


def address_of(db: Database, *, person_id: str) -> str:
    """A person's registered address; `BadInput address_missing`."""
    with db.reader() as connection:
        address = office.person(connection, person_id).address
    if not address:
        raise BadInput("address_missing", "您没有登记的邮箱，不能核验身份。请联系事项管理部门登记。")
    return address


def sign_in_people(db: Database, *, link_id: str, now: datetime) -> list[office.PersonRow]:
    """Who may be signed in, more than one where the address is shared; nothing is spent."""
    row = load_link(db, link_id=link_id)
    if row["purpose"] != "sign_in" or row["spent_at"] is not None or row["expires_at"] <= now:
        raise Gone("signin_spent", "该登录链接已使用或者超过 10 分钟，请重新获取。")
    with db.reader() as connection:
        return [office.person(connection, person) for person in office.sharers(connection, row["person_id"])]


def spend_sign_in(
    db: Database, *, link_id: str, person_id: str | None = None, now: datetime
) -> tuple[str, office.PersonRow]:
    """Spend a sign-in link once; the session's token is shown to the browser and stored as a hash.

    Where the address is shared, `person_id` says which of its people signs in. Raises `BadInput person_missing`, which
    spends nothing, and `Gone signin_spent`.
    """
    token = secrets.token_urlsafe(32)

    def verb(connection: Connection) -> office.PersonRow:
        where = and_(
            LINK.c.id == link_id, LINK.c.purpose == "sign_in", LINK.c.spent_at.is_(None), LINK.c.expires_at > now
        )
        if connection.execute(update(LINK).where(where).values(spent_at=now)).rowcount != 1:
            raise Gone("signin_spent", "该登录链接已使用或者超过 10 分钟，请重新获取。")
        row = link_row(connection, link_id)
        assert row is not None
        people = office.sharers(connection, row["person_id"])
        chosen = people[0] if len(people) == 1 else person_id
        if chosen not in people:
            raise BadInput("person_missing", "该邮箱由多人共用，请选择您是哪一位。", field="person")
        connection.execute(
            insert(SESSION).values(
                hash=_hash(token),
                person_id=chosen,
                created_at=now,
                expires_at=now + timedelta(hours=SESSION_HOURS),
            )
        )
        shared = {"shared": True} if len(people) > 1 else {}
        OfficeLog(connection, now).line("登录", who=chosen, via="portal", about=link_id, **shared)
        return office.person(connection, chosen)

    return token, db.write(verb)


def session_person(db: Database, *, token: str, now: datetime) -> office.PersonRow | None:
    """Who is signed in with this token, or nobody."""
    with db.reader() as connection:
        query = (
            select(SESSION.c.person_id)
            .join(PERSON, PERSON.c.id == SESSION.c.person_id)
            .where(
                and_(
                    SESSION.c.hash == _hash(token),
                    SESSION.c.expires_at > now,
                    SESSION.c.ended_at.is_(None),
                    PERSON.c.disabled_at.is_(None),
                )
            )
        )
        person_id = connection.execute(query).scalar()
        return None if person_id is None else office.person(connection, person_id)


def sign_out(db: Database, *, token: str, now: datetime) -> None:
    """End a session."""

    def verb(connection: Connection) -> None:
        its_own = and_(SESSION.c.hash == _hash(token), SESSION.c.ended_at.is_(None))
        person_id = connection.execute(select(SESSION.c.person_id).where(its_own)).scalar()
        if person_id is not None:
            connection.execute(update(SESSION).where(its_own).values(ended_at=now))
            OfficeLog(connection, now).line("退出", who=person_id, via="portal")

    db.write(verb)


def is_coordinator(db: Database, *, person_id: str, now: datetime) -> bool:
    """Whether a person holds the coordinator's post today."""
    with db.reader() as connection:
        return any(
            holder.person_id == person_id for holder in office.coordinators(connection, now.astimezone(SHANGHAI).date())
        )
