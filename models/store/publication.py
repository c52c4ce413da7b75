"""Publications: the batches by which versions come into force."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, insert, select, update

from models.store.sealing import Insert
from models.store.sql import insert_all, table
from models.store.turns import take_turn
from models.tables import Document, Publication, PublicationLine, new_id

PUBLICATION = table(Publication)
LINE = table(PublicationLine)
DOCUMENT = table(Document)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def new_publication(
    connection: Connection,
    *,
    change_id: str | None,
    title: str,
    effective_at: datetime,
    now: datetime,
    put: Insert | None = None,
) -> tuple[str, str]:
    """A publication with the next number of its year (`F2026-0007`): (id, number).

    To be called in the writer transaction that also writes its versions; `put` inserts so that a log vouches for it.
    Raises IntegrityError where the change was
    published for that moment before.
    """
    number = _next_number(connection, now.astimezone(SHANGHAI).year)
    publication_id = new_id("pub")
    row = {
        "id": publication_id,
        "number": number,
        "change_id": change_id,
        "title": title,
        "effective_at": effective_at,
        "published_at": now,
        "state": "published",
    }
    (put or partial(insert_all, connection))(PUBLICATION, [row])
    return publication_id, number


def free_moment(connection: Connection, change_id: str, wanted: datetime, now: datetime) -> datetime:
    """The moment wanted, or the first from now on for which this change was not published yet."""
    query = select(PUBLICATION.c.effective_at).where(PUBLICATION.c.change_id == change_id)
    taken = set(connection.execute(query).scalars())
    moment = wanted if wanted not in taken else now
    while moment in taken:
        moment += timedelta(microseconds=1)
    return moment


def _next_number(connection: Connection, year: int) -> str:
    """One more than the highest serial of the year; longer numbers sort after shorter ones."""
    prefix = f"F{year}-"
    take_turn(connection, "publication")  # two publications would otherwise read the same maximum
    last = connection.execute(
        select(PUBLICATION.c.number)
        .where(PUBLICATION.c.number.startswith(prefix))
        .order_by(func.length(PUBLICATION.c.number).desc(), PUBLICATION.c.number.desc())
        .limit(1)
    ).scalar()
    serial = 1 if last is None else int(last.removeprefix(prefix)) + 1
    return f"{prefix}{serial:04d}"


def attach_document(
    connection: Connection, *, publication_id: str, sha256: str, title: str, issuer: str = "", now: datetime
) -> str:
    """The document a publication rests on; the first one attached stands on the publication itself. Returns its id."""
    document_id = new_id("doc")
    connection.execute(
        insert(DOCUMENT).values(
            id=document_id,
            sha256=sha256,
            title=title,
            number="",
            issuer=issuer,
            owner_kind="publication",
            owner_id=publication_id,
            at=now,
        )
    )
    connection.execute(
        update(PUBLICATION)
        .where(PUBLICATION.c.id == publication_id, PUBLICATION.c.document_id.is_(None))
        .values(document_id=document_id)
    )
    return document_id


def publication_row(connection: Connection, publication_id: str) -> dict[str, Any] | None:
    """One publication by its id or number."""
    found = (
        connection.execute(
            select(PUBLICATION).where((PUBLICATION.c.id == publication_id) | (PUBLICATION.c.number == publication_id))
        )
        .mappings()
        .first()
    )
    return None if found is None else dict(found)
