"""Showing who one is: a code of six digits to the registered address, bound to the browser that asked for it.

The code stands in no table: it is computed from its row and a secret outside the database, as links are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select, update

from models.actions.notices import contact_of
from models.domain.errors import BadInput, ProofNeeded, TooMany, Unknown
from models.domain.proof import Shown
from models.domain.vocabulary import STAGE_NAMES
from models.store import office
from models.store.change import Row, change_row, rows
from models.store.database import Database
from models.store.outbox import enqueue
from models.store.sql import table
from models.tables import Person, ProofCode, Session, new_id

CODE, SESSION, PERSON = table(ProofCode), table(Session), table(Person)
CODE_MINUTES = 10
TRIES = 5
PROOF_HOURS = 12
#: Codes a person is sent: with five tries each, guessing a day long finds one with a chance of one in ten thousand.
MOST = ((timedelta(hours=1), 6), (timedelta(days=1), 20))


def browser_hash(browser: str) -> str:
    """How a browser's cookie is stored."""
    return hashlib.sha256(browser.encode()).hexdigest()


def send_code(
    db: Database, *, person_id: str, change_id: str, stage: str, browser: str, key_id: str, now: datetime
) -> str:
    """Mail a code to a person's registered address; the address as it may be shown. Earlier codes of the browser end.

    Raises `TooMany`, `BadInput address_missing`, `ProofNeeded shared_address` (a shared address proves nobody).
    """

    def verb(connection: Connection) -> str:
        # One at a time: two requests at once would each find room for the last code.
        connection.execute(select(PERSON.c.id).where(PERSON.c.id == person_id).with_for_update())
        person = office.person(connection, person_id)
        if not person.address:
            raise BadInput("address_missing", "您没有登记的邮箱，不能核验身份。请联系事项管理部门登记。")
        if office.shares_address(connection, person_id):
            raise ProofNeeded("shared_address", "该邮箱由多人共用，验证码不能说明是谁。请登录，并选择您是哪一位。")
        _check_room(connection, person_id, now)
        its_own = and_(CODE.c.person_id == person_id, CODE.c.browser == browser_hash(browser))
        unspent = and_(its_own, CODE.c.proved_at.is_(None), CODE.c.expires_at > now)
        connection.execute(update(CODE).where(unspent).values(expires_at=now))
        code_id = new_id("prf")
        connection.execute(
            insert(CODE).values(
                id=code_id,
                person_id=person_id,
                key_id=key_id,
                nonce=new_id("n")[2:],
                browser=browser_hash(browser),
                created_at=now,
                expires_at=now + timedelta(minutes=CODE_MINUTES),
                tries=0,
            )
        )
        notice = _code_notice(connection, code_id, person, change_row(connection, change_id), stage)
        enqueue(connection, notices=[notice], now=now, collect_minutes=0)
        return masked(person.address)

    return db.write(verb)


def _code_notice(connection: Connection, code_id: str, person: office.PersonRow, change: Row, stage: str) -> Row:
    """The mail that carries a code; the code itself is made when it is sent."""
    payload = {
        "sample": office.is_sample(connection),
        "person": {"id": person.id, "name": person.name},
        "acting_for": None,
        "change": {"id": change["id"], "number": change["number"], "title": change["title"]},
        "stage": {"code": stage, "name": STAGE_NAMES.get(stage, "办理")},
        "contact": contact_of(connection, change["coordinator_id"]),
        "can_reassign": False,
    }
    return {
        "key": code_id,
        "person_id": person.id,
        "change_id": change["id"],
        "kind": "code",
        "payload": payload,
        "link_id": code_id,
        "unheard": True,
    }


def _check_room(connection: Connection, person_id: str, now: datetime) -> None:
    """Raises `TooMany` where a person was sent enough codes."""
    for span, most in MOST:
        query = select(CODE.c.created_at).where(and_(CODE.c.person_id == person_id, CODE.c.created_at > now - span))
        sent = sorted(connection.execute(query).scalars())
        if len(sent) >= most:
            raise TooMany(max(1, int((sent[-most] + span - now).total_seconds()) + 1))


def masked(address: str) -> str:
    """`l***@shili.example`: enough for its owner to know which."""
    name, _, host = address.partition("@")
    return f"{name[:1]}***@{host}"


def code_row(db: Database, *, code_id: str) -> Row:
    """The row a code is computed from; `Unknown code_unknown`."""
    with db.reader() as connection:
        found = rows(connection, select(CODE).where(CODE.c.id == code_id))
    if not found:
        raise Unknown("code_unknown", "验证码已失效，请重新获取。")
    return found[0]


def prove(db: Database, *, person_id: str, browser: str, check: Callable[[Row], bool], now: datetime) -> Shown:
    """Spend the code last sent to this browser; `check` compares it with what was typed. Each try counts.

    Raises `ProofNeeded` code_wrong (with `left`) or code_expired.
    """
    waiting = and_(
        CODE.c.person_id == person_id,
        CODE.c.browser == browser_hash(browser),
        CODE.c.proved_at.is_(None),
        CODE.c.expires_at > now,
    )

    def verb(connection: Connection) -> Shown | int:
        found = rows(connection, select(CODE).where(waiting).order_by(CODE.c.created_at.desc()).limit(1))
        if not found:
            return 0
        row = found[0]
        counted = update(CODE).where(and_(CODE.c.id == row["id"], CODE.c.tries < TRIES))
        if connection.execute(counted.values(tries=CODE.c.tries + 1)).rowcount != 1:
            return 0
        if not check(row):
            tries = connection.execute(select(CODE.c.tries).where(CODE.c.id == row["id"])).scalar() or 0
            return max(0, TRIES - int(tries))
        until = now + timedelta(hours=PROOF_HOURS)
        connection.execute(update(CODE).where(CODE.c.id == row["id"]).values(proved_at=now, valid_until=until))
        return Shown("code", until)

    # A wrong try is committed before it is refused.
    shown = db.write(verb)
    if isinstance(shown, Shown):
        return shown
    if shown:
        raise ProofNeeded("code_wrong", f"验证码不正确，还可试 {shown} 次。", left=shown)
    raise ProofNeeded("code_expired", "验证码已失效，请重新获取。")


def shown(db: Database, *, person_id: str, session: str, browser: str, now: datetime) -> Shown | None:
    """What a browser has shown of a person: its session, else its code; None for nothing, and for somebody else."""
    if not session and not browser:
        return None
    with db.reader() as connection:
        if session:
            query = select(SESSION.c.expires_at).where(
                and_(
                    SESSION.c.hash == browser_hash(session),
                    SESSION.c.person_id == person_id,
                    SESSION.c.expires_at > now,
                    SESSION.c.ended_at.is_(None),
                )
            )
            until = connection.execute(query).scalar()
            if until is not None:
                return Shown("session", until)
        query = select(func.max(CODE.c.valid_until)).where(
            and_(
                CODE.c.person_id == person_id,
                CODE.c.browser == browser_hash(browser),
                CODE.c.valid_until > now,
            )
        )
        until = connection.execute(query).scalar()
    return None if until is None else Shown("code", until)
