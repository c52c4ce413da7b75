"""The outbox: notices from the transaction that caused them to the deliverer that sends them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, bindparam, func, or_, select, update

from models.domain.errors import Conflict
from models.store.change import ASSIGNMENT, Row, chunks, rows
from models.store.database import Database
from models.store.pipeline import ALONG, ask_ahead
from models.store.sql import among, among_named, insert_all, table
from models.tables import Change, Contact, Link, Notice, Person, Post, new_id

NOTICE, LINK, CONTACT, PERSON, CHANGE = table(Notice), table(Link), table(Contact), table(Person), table(Change)
POST = table(Post)
_OF_LINK, _OF_NOTICE = (tuple(column.name for column in target.c) for target in (LINK, NOTICE))

#: The states of what is still to arrive.
UNSENT = ("queued", "held", "retrying", "sending")
#: Kinds that never wait for the collecting time.
URGENT = frozenset({"returned", "reminder", "overdue_superior", "supervise", "sign_in", "code", "urged", "no_owner"})
#: Of these nobody else is told where they do not arrive: they are asked for again.
_OF_THE_MOMENT = frozenset({"sign_in", "code", "undeliverable"})
#: A link to a desk dies so many days after the last notice that carried it, and in any case at the moment in its token.
LINK_DAYS = 90
LINK_YEARS = 3
#: A moment this far ahead of the clock was written before the clock was set back.
AHEAD = timedelta(minutes=2)
#: Nothing is held, or waits for its next try, longer than this.
LONGEST_PAUSE = timedelta(days=1)


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
    fresh = _fresh(connection, notices)
    if not fresh:
        return Enqueued(0, ())
    if hand_over is not None:
        _ask_of_people(connection, fresh, now)
    moments = _moments(connection, fresh, now, collect_minutes)
    values = [_queued(notice, at, now) for notice, at in zip(fresh, moments, strict=True)]
    handed = [] if hand_over is None else _handed(connection, values, now, hand_over)
    insert_all(connection, NOTICE, values)
    return Enqueued(len(values), handed)


def _fresh(connection: Connection, notices: Sequence[Row]) -> list[Row]:
    """The notices whose keys were never used, each once."""
    keys = [str(notice["key"]) for notice in notices if not notice.get("unheard")]
    known = set(connection.execute(select(NOTICE.c.key).where(among(NOTICE.c.key, keys))).scalars()) if keys else set()
    fresh: dict[str, Row] = {}
    for notice in notices:
        if notice["key"] not in known:
            fresh.setdefault(str(notice["key"]), notice)
    return list(fresh.values())


def _ask_of_people(connection: Connection, fresh: Sequence[Row], now: datetime) -> None:
    """Ask ahead when those who are told about one change were last told about it, and how each is reached."""
    people, changes = {notice["person_id"] for notice in fresh}, {notice.get("change_id") for notice in fresh}
    if len(changes) == 1 and None not in changes:
        given = {"people": sorted(people), "change_id": changes.pop()}
        ask_ahead(connection, (_told(), given), (_ways_of_people(), given | _moment(now)))


def _moments(connection: Connection, fresh: Sequence[Row], now: datetime, collect_minutes: float) -> list[datetime]:
    """When each notice leaves: urgent ones at once, others when the collecting time of their person and change is over."""
    if collect_minutes <= 0:
        return [now] * len(fresh)
    told = _last_told(connection, fresh)
    leaves: dict[tuple[str, str | None], datetime] = {}
    moments = []
    for notice in fresh:
        subject = (notice["person_id"], notice.get("change_id"))
        at = now
        if notice["kind"] not in URGENT and subject[1] is not None:
            at = leaves.get(subject) or _leaves_at(told.get(subject), now, collect_minutes)
        if notice["kind"] not in URGENT and at <= now:
            leaves[subject] = now + timedelta(minutes=collect_minutes)
        moments.append(at)
    return moments


def _queued(notice: Row, at: datetime, now: datetime) -> Row:
    """The row of a notice that leaves at a moment."""
    return {
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
    given = {"people": sorted(people), "change_id": change_id, **_moment(now)}
    found = rows(connection, _ways_of_people(), **given)
    unlinked = [row["person"] for row in found if row["link_id"] is None]
    links = _new_links(connection, unlinked, change_id, key_id, now) if unlinked else {}
    return {row["person"]: _way(row, links.get(row["person"])) for row in found}


@cache
def _ways_of_people() -> Select[Any]:
    query = _with_ways(select(PERSON.c.id.label("person")), bindparam("change_id"))
    return query.where(among_named(PERSON.c.id, "people")).order_by(PERSON.c.id)


def _with_ways(query: Select[Any], change_id: ColumnElement[Any]) -> Select[Any]:
    """A question about persons, with how each is reached about a change: what `_way` takes out of its rows."""
    reply = CONTACT.alias()
    link = (LINK.c[name].label(f"link_{name}") for name in _OF_LINK)
    its_link = and_(LINK.c.person_id == PERSON.c.id, LINK.c.change_id == change_id, _alive())
    return (
        query.add_columns(PERSON.c.disabled_at, CONTACT.c.address, reply.c.address.label("reply_to"), *link)
        .outerjoin(CONTACT, and_(CONTACT.c.person_id == PERSON.c.id, CONTACT.c.kind == "mail"))
        .outerjoin(CHANGE, CHANGE.c.id == change_id)
        .outerjoin(reply, and_(reply.c.person_id == CHANGE.c.coordinator_id, reply.c.kind == "mail"))
        .outerjoin(LINK, its_link)
    )


def _way(row: Row, new_link: Row | None) -> Row:
    """`address` (none of a person who has been disabled), `reply_to` and `link`: the new one where there was none."""
    link = new_link if row["link_id"] is None else {name: row[f"link_{name}"] for name in _OF_LINK}
    address = row["address"] if row["disabled_at"] is None else None
    return {"address": address, "reply_to": row["reply_to"], "link": link}


def _last_told(connection: Connection, notices: Iterable[Row]) -> dict[tuple[str, str | None], datetime]:
    """When a person was last told, or will be, about a change, by (person, change)."""
    people = sorted({str(notice["person_id"]) for notice in notices})
    found: dict[tuple[str, str | None], datetime] = {}
    for change_id in sorted({str(notice["change_id"]) for notice in notices if notice.get("change_id")}):
        told = rows(connection, _told(), people=people, change_id=change_id)
        found.update({(row["person_id"], change_id): row["last"] for row in told})
    return found


@cache
def _told() -> Select[Any]:
    return (
        select(NOTICE.c.person_id, func.max(func.coalesce(NOTICE.c.sent_at, NOTICE.c.next_at)).label("last"))
        .where(
            and_(
                among_named(NOTICE.c.person_id, "people"),
                NOTICE.c.change_id == bindparam("change_id"),
                NOTICE.c.state.not_in(["cancelled", "held", "undeliverable"]),
                NOTICE.c.kind != "code",
            )
        )
        .group_by(NOTICE.c.person_id)
    )


def _leaves_at(last: datetime | None, now: datetime, minutes: float) -> datetime:
    """At once, if nothing about the change went to the person within the collecting time; else when it is over."""
    if last is None:
        return now
    # The next try of one that could not be sent yet lies ahead: it holds back nothing longer than the collecting time.
    return max(min(last, now) + timedelta(minutes=minutes), now)


def cancel(connection: Connection, *, change_id: str, step_ids: Sequence[str]) -> None:
    """What waits to be sent about these steps of a change is no longer needed."""
    for part in chunks(step_ids):
        connection.execute(_cancelling(), {"of_change": change_id, "step_ids": part})


@cache
def _cancelling() -> Update:
    its_own = and_(NOTICE.c.change_id == bindparam("of_change"), among_named(NOTICE.c.step_id, "step_ids"))
    waiting = and_(its_own, NOTICE.c.state.in_(["queued", "held"]))
    return update(NOTICE).where(waiting).values(state="cancelled").execution_options(**ALONG)


def live_link(connection: Connection, *, person_id: str, change_id: str, key_id: str, now: datetime) -> Row:
    """The one live link of a person to a change's desk; a new one only when the old one is dead."""
    found = rows(connection, _alive_of_people(), people=[person_id], change_id=change_id, **_moment(now))
    return found[0] if found else _new_links(connection, [person_id], change_id, key_id, now)[person_id]


def _new_links(
    connection: Connection, people: Sequence[str], change_id: str, key_id: str, now: datetime
) -> dict[str, Row]:
    """A link to a change's desk for each of these people who had none alive, in the order of their ids."""
    given = {"people": sorted(set(people)), "change_id": change_id}
    # Two deliverers may need a person's first link at the same moment: one makes it, the other finds it. Whoever makes
    # those of several people locks them in one order.
    locked, alive = {"people": given["people"]}, given | _moment(now)
    ask_ahead(connection, (_locked_people(), locked), (_alive_of_people(), alive))
    rows(connection, _locked_people(), **locked)
    found = {row["person_id"]: row for row in rows(connection, _alive_of_people(), **alive)}
    missing = [person_id for person_id in given["people"] if person_id not in found]
    if missing:
        connection.execute(_revoking(), {"people": missing, "of_change": change_id, "now": now})
        expires = now + timedelta(days=366 * LINK_YEARS)
        made = [_link_values(person_id, "desk", change_id, key_id, now, expires) for person_id in missing]
        insert_all(connection, LINK, made)
        found |= {row["person_id"]: row for row in made}
    return found


@cache
def _alive_of_people() -> Select[Any]:
    its_own = and_(among_named(LINK.c.person_id, "people"), LINK.c.change_id == bindparam("change_id"))
    return select(LINK).where(its_own, _alive()).order_by(LINK.c.created_at.desc(), LINK.c.id)


@cache
def _locked_people() -> Select[Any]:
    query = select(PERSON.c.id).where(among_named(PERSON.c.id, "people")).order_by(PERSON.c.id)
    return query.with_for_update(key_share=True)


@cache
def _revoking() -> Update:
    its_own = and_(among_named(LINK.c.person_id, "people"), LINK.c.change_id == bindparam("of_change"))
    dead = and_(its_own, LINK.c.purpose == "desk", LINK.c.revoked_at.is_(None))
    now = bindparam("now", type_=LINK.c.revoked_at.type)
    return update(LINK).where(dead).values(revoked_at=now).execution_options(**ALONG)


def _moment(now: datetime) -> Row:
    """What `_alive` asks for."""
    return {"now": now, "since": now - timedelta(days=LINK_DAYS)}


def _alive() -> ColumnElement[bool]:
    """A link to a desk that still opens it, at the moment given with the question."""
    since, now = (bindparam(name, type_=LINK.c.created_at.type) for name in ("since", "now"))
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
    row = _link_values(person_id, purpose, change_id, key_id, now, expires)
    insert_all(connection, LINK, [row])
    return row


def _link_values(
    person_id: str, purpose: str, change_id: str | None, key_id: str, now: datetime, expires: datetime
) -> Row:
    return {
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


def link_row(connection: Connection, link_id: str) -> Row | None:
    """A link by its id."""
    found = rows(connection, select(LINK).where(LINK.c.id == link_id))
    return found[0] if found else None


def link_and_person(connection: Connection, link_id: str, today: date) -> Row | None:
    """A link by its id, with what decides whether it still opens: `disabled_at` of its person, `carried_at` (when the
    last notice with it was written), `in_post` (on a day) and `holds` (something open in the change).
    """
    carried = select(func.max(NOTICE.c.created_at)).where(
        NOTICE.c.person_id == LINK.c.person_id, NOTICE.c.change_id == LINK.c.change_id, NOTICE.c.link_id == LINK.c.id
    )
    in_post = select(POST.c.id).where(
        POST.c.person_id == LINK.c.person_id,
        POST.c.from_on <= today,
        or_(POST.c.to_on.is_(None), POST.c.to_on >= today),
    )
    holds = select(ASSIGNMENT.c.id).where(
        ASSIGNMENT.c.person_id == LINK.c.person_id,
        ASSIGNMENT.c.change_id == LINK.c.change_id,
        ASSIGNMENT.c.state == "open",
    )
    query = select(
        LINK,
        PERSON.c.disabled_at,
        carried.scalar_subquery().label("carried_at"),
        in_post.exists().label("in_post"),
        holds.exists().label("holds"),
    )
    found = rows(connection, query.join(PERSON, PERSON.c.id == LINK.c.person_id).where(LINK.c.id == link_id))
    return found[0] if found else None


class SqlOutbox:
    """The deliverer's side of the outbox, on the database."""

    def __init__(
        self, database: Database, key_id: str, claimed: Callable[..., Any], collect_minutes: float = 20
    ) -> None:
        """`claimed` makes the deliverer's value of a notice: the store does not know how mails are sent."""
        self.database = database
        self.collect_minutes = collect_minutes
        self.key_id = key_id
        self.make = claimed

    def claim(self, now: datetime, limit: int, lease_seconds: float, *, sure: bool = False) -> list[Any]:
        """The oldest notices due, marked as being sent; one whose lease has lapsed is sent again, marked as a repeat.

        Where nobody is `sure` that there are any, a reader looks first and takes no lock.
        """
        if not sure:
            with self.database.reader() as connection:
                if connection.execute(_any_due(), _moments_of(now, lease_seconds)).first() is None:
                    return []
        return self.database.write(lambda connection: self._claim(connection, now, limit, lease_seconds))

    def _claim(self, connection: Connection, now: datetime, limit: int, lease_seconds: float) -> list[Any]:
        claimed: list[Any] = []
        marks: list[Row] = []
        done: set[str] = set()
        for row in rows(connection, _oldest_due(), **(_moments_of(now, lease_seconds) | _moment(now)), most=limit):
            notice: Row = {name: row[f"notice_{name}"] for name in _OF_NOTICE}
            if notice["id"] in done:
                continue
            done |= self._gather(connection, notice, now)
            person_id, change_id = notice["person_id"], notice["change_id"]
            # What is its own (a sign-in, a code) is no link to a desk.
            own = notice["link_id"] if change_id is None or notice["kind"] == "code" else None
            link = None
            if row["link_id"] is None and change_id is not None:
                link = live_link(connection, person_id=person_id, change_id=change_id, key_id=self.key_id, now=now)
            way = _way(row, link)
            link_id = own or (None if way["link"] is None else way["link"]["id"])
            repeat = notice["repeat"] + (1 if notice["state"] == "sending" else 0)
            marks.append({"notice": notice["id"], "again": repeat, "link": link_id})
            kept = ("id", "kind", "payload", "person_id", "change_id", "created_at")
            made = {name: notice[name] for name in kept}
            made |= {"tries": notice["tries"] + 1, "repeat": repeat, "link_id": link_id}
            claimed.append(self.make(**made, address=way["address"], reply_to=way["reply_to"]))
        if marks:
            lease = now + timedelta(seconds=lease_seconds)
            values = {"repeat": bindparam("again"), "link_id": bindparam("link"), "tries": NOTICE.c.tries + 1}
            marking = update(NOTICE).where(NOTICE.c.id == bindparam("notice"))
            connection.execute(marking.values(state="sending", lease_until=lease, **values), marks)
        return claimed

    def _gather(self, connection: Connection, notice: Row, now: datetime) -> set[str]:
        """A held notice takes those held beside it along, in one mail; the ids of the others."""
        others = self._held_beside(connection, notice) if notice["state"] == "held" else []
        if others:
            notice["kind"], notice["payload"] = "digest", _digest([notice, *others])
            values = {"kind": "digest", "payload": notice["payload"]}
            connection.execute(update(NOTICE).where(NOTICE.c.id == notice["id"]).values(**values))
            connection.execute(
                update(NOTICE)
                .where(among(NOTICE.c.id, [row["id"] for row in others]))
                .values(state="sent", sent_at=now, error=f"digest {notice['id']}")
            )
        return {row["id"] for row in others}

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

    def retry(self, notice_id: str, next_at: datetime, error: str, *, doubtful: bool = False) -> None:
        """Not now: again at that moment, as a repeat where it is `doubtful` whether it has arrived."""
        again = {"repeat": NOTICE.c.repeat + 1} if doubtful else {}
        self._set(notice_id, state="retrying", next_at=next_at, lease_until=None, error=error[:500], **again)

    def renew(self, notice_ids: Sequence[str], until: datetime) -> None:
        """These are still being sent."""
        sending = and_(among(NOTICE.c.id, notice_ids), NOTICE.c.state == "sending")
        self.database.write(
            lambda connection: connection.execute(update(NOTICE).where(sending).values(lease_until=until))
        )

    def undeliverable(self, notice_id: str, error: str, at: datetime | None = None, subject: str = "") -> None:
        """It will not arrive: it stands on the coordinator's board; `at` a moment he is told, with its `subject`."""

        def verb(connection: Connection) -> None:
            self._write(connection, notice_id, state="undeliverable", lease_until=None, error=error[:500])
            told = None if at is None else _told_undeliverable(connection, notice_id, error, subject)
            if told is not None and at is not None:
                enqueue(connection, notices=[told], now=at, collect_minutes=self.collect_minutes)

        self.database.write(verb)

    def _set(self, notice_id: str, **values: Any) -> None:
        self.database.write(lambda connection: self._write(connection, notice_id, **values))

    @staticmethod
    def _write(connection: Connection, notice_id: str, **values: Any) -> None:
        connection.execute(update(NOTICE).where(NOTICE.c.id == notice_id).values(**values))


def _told_undeliverable(connection: Connection, notice_id: str, error: str, subject: str) -> Row | None:
    """What the change's coordinator is told of a notice that will not arrive; nothing where it was to himself."""
    to = PERSON.alias()
    query = select(NOTICE, CHANGE.c.coordinator_id, PERSON.c.name.label("coordinator"), to.c.name.label("recipient"))
    query = query.join(CHANGE, CHANGE.c.id == NOTICE.c.change_id).join(to, to.c.id == NOTICE.c.person_id)
    query = query.join(PERSON, PERSON.c.id == CHANGE.c.coordinator_id)
    found = rows(connection, query.where(NOTICE.c.id == notice_id, CHANGE.c.state == "open"))
    if not found or found[0]["coordinator_id"] == found[0]["person_id"] or found[0]["kind"] in _OF_THE_MOMENT:
        return None
    notice = found[0]
    payload = {
        **notice["payload"],
        "person": {"id": notice["coordinator_id"], "name": notice["coordinator"]},
        "recipient": {"id": notice["person_id"], "name": notice["recipient"]},
        "acting_for": None,
        "subject": subject or "（未能生成）",
        "error": error[:200],
        "tries": max(1, notice["tries"]),
    }
    return {
        "key": f"{notice_id}:undeliverable:{notice['repeat']}",
        "person_id": notice["coordinator_id"],
        "change_id": notice["change_id"],
        "step_id": notice["step_id"],
        "kind": "undeliverable",
        "payload": payload,
    }


def resend(connection: Connection, notice_id: str, now: datetime) -> Row:
    """A notice that could not be delivered leaves again, marked as a repeat. Raises `Conflict superseded` for another."""
    where = and_(NOTICE.c.id == notice_id, NOTICE.c.state == "undeliverable")
    again = {"state": "queued", "link_id": None, "next_at": now, "created_at": now, "tries": 0, "error": ""}
    if connection.execute(update(NOTICE).where(where).values(repeat=NOTICE.c.repeat + 1, **again)).rowcount != 1:
        raise Conflict("superseded", "该通知已重新发送或者不再需要，未重复发送。请刷新页面。")
    return rows(connection, select(NOTICE).where(NOTICE.c.id == notice_id))[0]


def end_leases(connection: Connection, *, now: datetime) -> int:
    """Whoever was sending is known to be gone: what he had is due now, as a repeat. Returns how many notices."""
    return connection.execute(update(NOTICE).where(NOTICE.c.state == "sending").values(lease_until=now)).rowcount


@cache
def _any_due() -> Select[Any]:
    return select(NOTICE.c.id).where(_is_due()).limit(1)


@cache
def _oldest_due() -> Select[Any]:
    """Notices that are due, each with how its person is reached."""
    columns = (NOTICE.c[name].label(f"notice_{name}") for name in _OF_NOTICE)
    of_people = select(*columns).select_from(NOTICE).join(PERSON, PERSON.c.id == NOTICE.c.person_id)
    query = _with_ways(of_people, NOTICE.c.change_id).where(_is_due()).order_by(NOTICE.c.next_at, NOTICE.c.created_at)
    return query.limit(bindparam("most")).with_for_update(skip_locked=True, of=NOTICE)


def _is_due() -> ColumnElement[bool]:
    """What is to be sent at the moment given with the question: its moment has come, or whoever was sending it is gone.

    What was written by a clock that ran ahead and has been set back since waits for no moment of that clock.
    """
    ahead = or_(NOTICE.c.created_at > bindparam("ahead"), NOTICE.c.next_at > bindparam("longest"))
    # Written into the statement as the index over what waits has it: it is not taken for parameters, nor for less.
    unsent = NOTICE.c.state.in_(bindparam("unsent", UNSENT, expanding=True, literal_execute=True))
    waiting = and_(NOTICE.c.state.in_(["queued", "held", "retrying"]), or_(NOTICE.c.next_at <= bindparam("now"), ahead))
    lapsed = or_(NOTICE.c.lease_until <= bindparam("now"), NOTICE.c.lease_until > bindparam("leased"))
    return and_(unsent, or_(waiting, and_(NOTICE.c.state == "sending", lapsed)))


def _moments_of(now: datetime, lease_seconds: float) -> Row:
    """What `_is_due` asks for."""
    leased = now + timedelta(seconds=lease_seconds) + AHEAD
    return {"now": now, "ahead": now + AHEAD, "longest": now + LONGEST_PAUSE, "leased": leased}


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
