"""The outbox: notices from the transaction that caused them to the deliverer that sends them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update

from models.store.change import Row, rows
from models.store.database import Database
from models.store.sql import among, table
from models.tables import Change, Contact, Link, Notice, Person, new_id

NOTICE, LINK, CONTACT, PERSON, CHANGE = table(Notice), table(Link), table(Contact), table(Person), table(Change)

#: Kinds that never wait for the collecting time.
URGENT = frozenset({"returned", "reminder", "overdue_superior", "supervise", "sign_in", "code", "urged", "no_owner"})
#: A link to a desk dies so many days after the last notice that carried it, and in any case at the moment in its token.
LINK_DAYS = 90
LINK_YEARS = 3


@dataclass(frozen=True)
class HandOver:
    """An engine's deliverer takes what leaves at once with the transaction that caused it, `most` notices of one; nobody
    claims them again before the lease is over. `make` makes its value of a notice, `key_id` names the key of new links.
    """

    key_id: str
    lease_seconds: float
    most: int
    make: Callable[..., Any]


@dataclass(frozen=True)
class Enqueued:
    """How many notices are new, and those handed over."""

    count: int
    handed: Sequence[Any]


def enqueue(
    connection: Connection,
    *,
    notices: Sequence[Row],
    now: datetime,
    collect_minutes: float,
    hand_over: HandOver | None = None,
) -> Enqueued:
    """Put notices in the outbox; one key is one notice for ever.

    A notice row holds `key, person_id, change_id, step_id, kind, payload`; `unheard` where its key cannot have been
    used before.
    """
    keys = [str(notice["key"]) for notice in notices if not notice.get("unheard")]
    known: set[str] = set()
    for start in range(0, len(keys), 500):
        known |= set(
            connection.execute(select(NOTICE.c.key).where(NOTICE.c.key.in_(keys[start : start + 500]))).scalars()
        )
    fresh: dict[str, Row] = {}
    for notice in notices:
        if notice["key"] not in known:
            fresh.setdefault(str(notice["key"]), notice)
    if not fresh:
        return Enqueued(0, ())
    values = []
    told = _last_told(connection, list(fresh.values())) if collect_minutes > 0 else {}
    leaves: dict[tuple[str, str | None], datetime] = {}
    for notice in fresh.values():
        subject = (notice["person_id"], notice.get("change_id"))
        at = now
        if notice["kind"] not in URGENT and subject[1] is not None and collect_minutes > 0:
            at = leaves.get(subject) or _leaves_at(told.get(subject), now, collect_minutes)
        if notice["kind"] not in URGENT and at <= now:
            leaves[subject] = now + timedelta(minutes=collect_minutes)
        values.append(
            {
                "id": new_id("ntc"),
                "key": notice["key"],
                "person_id": notice["person_id"],
                "change_id": notice.get("change_id"),
                "step_id": notice.get("step_id"),
                "kind": notice["kind"],
                "payload": notice["payload"],
                "link_id": notice.get("link_id"),
                "state": "held" if at > now else "queued",
                "created_at": now,
                "next_at": at,
                "tries": 0,
                "repeat": 0,
                "error": "",
                "lease_until": None,
            }
        )
    handed = [] if hand_over is None else _handed(connection, values, now, hand_over)
    connection.execute(insert(NOTICE), values)
    return Enqueued(len(values), handed)


def _handed(connection: Connection, values: Sequence[Row], now: datetime, hand_over: HandOver) -> list[Any]:
    """What leaves at once about one change, marked as being sent; each with its link."""
    leaving = [row for row in values if row["state"] == "queued" and row["change_id"] is not None][: hand_over.most]
    found: list[Any] = []
    for change_id in dict.fromkeys(row["change_id"] for row in leaving):
        its_own = [row for row in leaving if row["change_id"] == change_id]
        ways = _ways(connection, {row["person_id"] for row in its_own}, change_id, hand_over.key_id, now)
        for row in its_own:
            way = ways[row["person_id"]]
            lease = now + timedelta(seconds=hand_over.lease_seconds)
            row.update(state="sending", tries=1, lease_until=lease, link_id=way["link"]["id"])
            kept = ("id", "kind", "payload", "person_id", "change_id", "tries", "created_at", "repeat", "link_id")
            made = {name: row[name] for name in kept}
            found.append(hand_over.make(**made, **way))
    return found


def _ways(
    connection: Connection, people: Collection[str], change_id: str, key_id: str, now: datetime
) -> dict[str, Row]:
    """How to reach people about a change: `address`, `reply_to` and `link`, by person."""
    reply = CONTACT.alias()
    its_link = and_(LINK.c.person_id == PERSON.c.id, LINK.c.change_id == change_id, _alive(now))
    query = (
        select(
            PERSON.c.id.label("person"), PERSON.c.disabled_at, CONTACT.c.address, reply.c.address.label("reply"), LINK
        )
        .outerjoin(CONTACT, and_(CONTACT.c.person_id == PERSON.c.id, CONTACT.c.kind == "mail"))
        .outerjoin(CHANGE, CHANGE.c.id == change_id)
        .outerjoin(reply, and_(reply.c.person_id == CHANGE.c.coordinator_id, reply.c.kind == "mail"))
        .outerjoin(LINK, its_link)
        .where(among(PERSON.c.id, sorted(people)))
    )
    ways: dict[str, Row] = {}
    for row in rows(connection, query):
        person, address, reply_to, disabled = (row.pop(name) for name in ("person", "address", "reply", "disabled_at"))
        link = row if row["id"] is not None else None
        if link is None:
            link = live_link(connection, person_id=person, change_id=change_id, key_id=key_id, now=now)
        ways[person] = {"address": address if disabled is None else None, "reply_to": reply_to, "link": link}
    return ways


def _last_told(connection: Connection, notices: Iterable[Row]) -> dict[tuple[str, str | None], datetime]:
    """When a person was last told, or will be, about a change, by (person, change)."""
    people = sorted({str(notice["person_id"]) for notice in notices})
    found: dict[tuple[str, str | None], datetime] = {}
    for change_id in sorted({str(notice["change_id"]) for notice in notices if notice.get("change_id")}):
        query = (
            select(NOTICE.c.person_id, func.max(func.coalesce(NOTICE.c.sent_at, NOTICE.c.next_at)))
            .where(
                and_(
                    among(NOTICE.c.person_id, people),
                    NOTICE.c.change_id == change_id,
                    NOTICE.c.state.not_in(["cancelled", "held", "undeliverable"]),
                )
            )
            .group_by(NOTICE.c.person_id)
        )
        found.update({(str(person), change_id): last for person, last in connection.execute(query)})
    return found


def _leaves_at(last: datetime | None, now: datetime, minutes: float) -> datetime:
    """At once, if nothing about the change went to the person within the collecting time; else when it is over."""
    if last is None:
        return now
    # The next try of one that could not be sent yet lies ahead: it holds back nothing longer than the collecting time.
    return max(min(last, now) + timedelta(minutes=minutes), now)


def cancel(connection: Connection, *, step_ids: Sequence[str]) -> None:
    """What waits to be sent about these steps is no longer needed."""
    for start in range(0, len(step_ids), 500):
        connection.execute(
            update(NOTICE)
            .where(and_(NOTICE.c.step_id.in_(step_ids[start : start + 500]), NOTICE.c.state.in_(["queued", "held"])))
            .values(state="cancelled")
        )


def live_link(connection: Connection, *, person_id: str, change_id: str, key_id: str, now: datetime) -> Row:
    """The one live link of a person to a change's desk; a new one only when the old one is dead."""
    its_own = and_(LINK.c.person_id == person_id, LINK.c.change_id == change_id)
    alive = select(LINK).where(its_own, _alive(now))
    found = rows(connection, alive)
    if not found:
        # Two deliverers may need a person's first link at the same moment: one makes it, the other finds it.
        connection.execute(select(PERSON.c.id).where(PERSON.c.id == person_id).with_for_update(key_share=True))
        found = rows(connection, alive)
    if found:
        return found[0]
    dead = and_(its_own, LINK.c.purpose == "desk", LINK.c.revoked_at.is_(None))
    connection.execute(update(LINK).where(dead).values(revoked_at=now))
    expires = now + timedelta(days=366 * LINK_YEARS)
    return new_link(
        connection, person_id=person_id, purpose="desk", change_id=change_id, key_id=key_id, now=now, expires=expires
    )


def _alive(now: datetime) -> ColumnElement[bool]:
    """A link to a desk that still opens it."""
    since = now - timedelta(days=LINK_DAYS)
    sent = NOTICE.alias()
    carried = select(sent.c.id).where(
        sent.c.person_id == LINK.c.person_id,
        sent.c.change_id == LINK.c.change_id,
        sent.c.link_id == LINK.c.id,
        sent.c.created_at > since,
    )
    return and_(
        LINK.c.purpose == "desk",
        LINK.c.revoked_at.is_(None),
        LINK.c.expires_at > now,
        or_(LINK.c.created_at > since, carried.exists()),
    )


def new_link(
    connection: Connection,
    *,
    person_id: str,
    purpose: str,
    change_id: str | None,
    key_id: str,
    now: datetime,
    expires: datetime,
) -> Row:
    """A new link row; its token is computed from it and a secret outside the database."""
    row: Row = {
        "id": new_id("lnk"),
        "person_id": person_id,
        "purpose": purpose,
        "change_id": change_id,
        "key_id": key_id,
        "nonce": new_id("n")[2:],
        "created_at": now,
        "expires_at": expires,
        "revoked_at": None,
        "spent_at": None,
    }
    connection.execute(insert(LINK).values(**row))
    return row


def link_row(connection: Connection, link_id: str) -> Row | None:
    """A link by its id."""
    found = rows(connection, select(LINK).where(LINK.c.id == link_id))
    return found[0] if found else None


def link_and_person(connection: Connection, link_id: str) -> Row | None:
    """A link by its id, with `disabled_at` of its person and `carried_at`: when the last notice with it was written."""
    carried = select(func.max(NOTICE.c.created_at)).where(
        NOTICE.c.person_id == LINK.c.person_id, NOTICE.c.change_id == LINK.c.change_id, NOTICE.c.link_id == LINK.c.id
    )
    columns = (LINK, PERSON.c.disabled_at, carried.scalar_subquery().label("carried_at"))
    query = select(*columns).join(PERSON, PERSON.c.id == LINK.c.person_id).where(LINK.c.id == link_id)
    found = rows(connection, query)
    return found[0] if found else None


class SqlOutbox:
    """The deliverer's side of the outbox, on the database."""

    def __init__(self, database: Database, key_id: str, claimed: Callable[..., Any]) -> None:
        """`claimed` makes the deliverer's value of a notice: the store does not know how mails are sent."""
        self.database = database
        self.key_id = key_id
        self.make = claimed

    def claim(self, now: datetime, limit: int, lease_seconds: float, *, sure: bool = False) -> list[Any]:
        """The oldest notices due, marked as being sent; one whose lease has lapsed is sent again, marked as a repeat.

        Where nobody is `sure` that there are any, a reader looks first and takes no lock.
        """
        if not sure:
            with self.database.reader() as connection:
                if connection.execute(select(NOTICE.c.id).where(_is_due(now)).limit(1)).first() is None:
                    return []
        return self.database.write(lambda connection: self._claim(connection, now, limit, lease_seconds))

    def _due(self, connection: Connection, now: datetime, limit: int) -> list[Row]:
        """Notices with the address of their person, the address for answers and the live link, all as they stand."""
        reply = CONTACT.alias()
        its_link = and_(LINK.c.person_id == NOTICE.c.person_id, LINK.c.change_id == NOTICE.c.change_id, _alive(now))
        query = (
            select(
                NOTICE,
                CONTACT.c.address,
                PERSON.c.disabled_at,
                reply.c.address.label("reply_to"),
                LINK.c.id.label("live_link_id"),
            )
            .join(PERSON, PERSON.c.id == NOTICE.c.person_id)
            .outerjoin(CONTACT, and_(CONTACT.c.person_id == NOTICE.c.person_id, CONTACT.c.kind == "mail"))
            .outerjoin(CHANGE, CHANGE.c.id == NOTICE.c.change_id)
            .outerjoin(reply, and_(reply.c.person_id == CHANGE.c.coordinator_id, reply.c.kind == "mail"))
            .outerjoin(LINK, its_link)
            .where(_is_due(now))
            .order_by(NOTICE.c.next_at, NOTICE.c.created_at)
            .limit(limit)
        )
        return rows(connection, query.with_for_update(skip_locked=True, of=NOTICE))

    def _claim(self, connection: Connection, now: datetime, limit: int, lease_seconds: float) -> list[Any]:
        claimed: list[Any] = []
        marks: list[Row] = []
        done: set[str] = set()
        for notice in self._due(connection, now, limit):
            if notice["id"] in done:
                continue
            kind, payload = notice["kind"], notice["payload"]
            if notice["state"] == "held":
                others = self._held_beside(connection, notice)
                done |= {row["id"] for row in others}
                if others:
                    kind, payload = "digest", _digest([notice, *others])
                    connection.execute(
                        update(NOTICE)
                        .where(NOTICE.c.id.in_([row["id"] for row in others]))
                        .values(state="sent", sent_at=now, error=f"digest {notice['id']}")
                    )
            repeat = notice["repeat"] + (1 if notice["state"] == "sending" else 0)
            link_id = notice["link_id"] or notice["live_link_id"]
            if link_id is None and notice["change_id"] is not None:
                link_id = live_link(
                    connection,
                    person_id=notice["person_id"],
                    change_id=notice["change_id"],
                    key_id=self.key_id,
                    now=now,
                )["id"]
            if kind != notice["kind"]:
                connection.execute(update(NOTICE).where(NOTICE.c.id == notice["id"]).values(kind=kind, payload=payload))
            marks.append({"notice": notice["id"], "again": repeat, "link": link_id})
            claimed.append(
                self.make(
                    id=notice["id"],
                    kind=kind,
                    payload=payload,
                    person_id=notice["person_id"],
                    change_id=notice["change_id"],
                    address=notice["address"] if notice["disabled_at"] is None else None,
                    reply_to=notice["reply_to"],
                    tries=notice["tries"] + 1,
                    created_at=notice["created_at"],
                    repeat=repeat,
                    link_id=link_id,
                )
            )
        if marks:
            lease = now + timedelta(seconds=lease_seconds)
            values = {"repeat": bindparam("again"), "link_id": bindparam("link"), "tries": NOTICE.c.tries + 1}
            marking = update(NOTICE).where(NOTICE.c.id == bindparam("notice"))
            connection.execute(marking.values(state="sending", lease_until=lease, **values), marks)
        return claimed

    def _held_beside(self, connection: Connection, notice: Row) -> list[Row]:
        query = select(NOTICE).where(
            and_(
                NOTICE.c.person_id == notice["person_id"],
                NOTICE.c.change_id == notice["change_id"],
                NOTICE.c.state == "held",
                NOTICE.c.id != notice["id"],
            )
        )
        return rows(connection, query)

    def accepted(self, notice_id: str, at: datetime) -> None:
        """The mail server has taken it."""
        self._set(notice_id, state="sent", sent_at=at, lease_until=None, error="")

    def retry(self, notice_id: str, next_at: datetime, error: str) -> None:
        """Not now: again at that moment."""
        self._set(notice_id, state="retrying", next_at=next_at, lease_until=None, error=error[:500])

    def undeliverable(self, notice_id: str, error: str) -> None:
        """It will not arrive: it stands on the coordinator's board."""
        self._set(notice_id, state="undeliverable", lease_until=None, error=error[:500])

    def _set(self, notice_id: str, **values: Any) -> None:
        self.database.write(
            lambda connection: connection.execute(update(NOTICE).where(NOTICE.c.id == notice_id).values(**values))
        )


def _is_due(now: datetime) -> ColumnElement[bool]:
    """What is to be sent now: its moment has come, or whoever was sending it is gone."""
    waiting = and_(NOTICE.c.state.in_(["queued", "held", "retrying"]), NOTICE.c.next_at <= now)
    return or_(waiting, and_(NOTICE.c.state == "sending", NOTICE.c.lease_until <= now))


def _digest(notices: Sequence[Row]) -> Row:
    """One payload for several held notices: the earliest due day leads, at most five lines."""
    payloads = sorted((row["payload"] for row in notices), key=lambda payload: str(payload.get("due_on", "")))
    first = payloads[0]
    lines = [
        {
            "i": number,
            "stage": payload.get("stage", {}),
            "sheet": payload.get("sheet", {}),
            "count": payload.get("count", 0),
            "due": payload.get("due", ""),
        }
        for number, payload in enumerate(payloads[:5], start=1)
    ]
    return {**first, "n": len(payloads), "lines": lines, "more_lines": max(0, len(payloads) - 5)}
