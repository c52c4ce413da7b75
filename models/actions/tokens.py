"""Keys for other systems: issued to a person, scoped, shown once; they never decide."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from models.domain.errors import BadInput, Unknown
from models.store import office
from models.store.database import Database
from models.store.sealing import OfficeLog
from models.store.sql import table
from models.tables import ApiToken, Person, new_id

TOKEN, PERSON = table(ApiToken), table(Person)
#: How exactly `last_used_at` is kept: a key that is used all the time writes once a minute.
USED_EVERY = timedelta(minutes=1)
SCOPES = ("read", "start", "receipt")


@dataclass(frozen=True)
class Holder:
    """Whom a token stands for and what it may do."""

    id: str
    person_id: str
    scopes: frozenset[str]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def issue(
    db: Database, *, person: str, scopes: Sequence[str], expires: datetime | None, now: datetime
) -> tuple[str, str]:
    """A new token for a person (id, address or name): its id and the token itself, shown this once.

    Raises `BadInput field_invalid` for an unknown scope, `Unknown person_unknown`.
    """
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        raise BadInput("field_invalid", f"“scope”应为 {'、'.join(SCOPES)} 之中的，例如 start,read。", field="scope")
    token, token_id = f"sx_{secrets.token_urlsafe(32)}", new_id("tok")
    with db.writer() as connection:
        person_id = office.person(connection, person).id
        OfficeLog(connection, now).line(
            "发凭证", via="cli", about=token_id, person=person_id, scopes=sorted(set(scopes))
        )
        connection.execute(
            insert(TOKEN).values(
                id=token_id,
                hash=_hash(token),
                person_id=person_id,
                scopes=",".join(sorted(set(scopes))),
                created_at=now,
                expires_at=expires,
            )
        )
    return token_id, token


def revoke(db: Database, *, token_id: str, now: datetime) -> None:
    """End a token by its id; `Unknown token_unknown`."""

    with db.writer() as connection:
        where = and_(TOKEN.c.id == token_id, TOKEN.c.revoked_at.is_(None))
        if connection.execute(update(TOKEN).where(where).values(revoked_at=now)).rowcount != 1:
            raise Unknown("token_unknown", f"没有编号为 {token_id} 的有效凭证。")
        OfficeLog(connection, now).line("停用凭证", via="cli", about=token_id)


def listed(db: Database) -> list[dict[str, Any]]:
    """Every token with whom it stands for, its scopes, its end and when it was last used; the newest first."""
    query = (
        select(TOKEN, PERSON.c.name).join(PERSON, PERSON.c.id == TOKEN.c.person_id).order_by(TOKEN.c.created_at.desc())
    )
    with db.reader() as connection:
        return [
            {
                "id": row["id"],
                "person": {"id": row["person_id"], "name": row["name"]},
                "scopes": row["scopes"].split(","),
                **{
                    name: None if row[name] is None else row[name].isoformat()
                    for name in ("created_at", "expires_at", "last_used_at", "revoked_at")
                },
            }
            for row in connection.execute(query).mappings()
        ]


def is_valid(now: datetime) -> ColumnElement[bool]:
    """Of a token beside its person: neither over nor revoked, and the person is still there."""
    lasting = or_(TOKEN.c.expires_at.is_(None), TOKEN.c.expires_at > now)
    return and_(TOKEN.c.revoked_at.is_(None), lasting, PERSON.c.disabled_at.is_(None))


def holder(db: Database, *, token: str, now: datetime) -> Holder | None:
    """Whom a token stands for; None where it is unknown, over or revoked, or its person has left."""
    query = (
        select(TOKEN.c.id, TOKEN.c.person_id, TOKEN.c.scopes, TOKEN.c.last_used_at)
        .join(PERSON, PERSON.c.id == TOKEN.c.person_id)
        .where(and_(TOKEN.c.hash == _hash(token), is_valid(now)))
    )
    with db.reader() as connection:
        row = connection.execute(query).first()
    if row is not None and (row[3] is None or row[3] < now - USED_EVERY):
        db.write(
            lambda connection: connection.execute(update(TOKEN).where(TOKEN.c.id == row[0]).values(last_used_at=now))
        )
    return None if row is None else Holder(str(row[0]), str(row[1]), frozenset(str(row[2]).split(",")))
