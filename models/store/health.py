"""What `doctor` asks the data: short questions without the table classes, so that it answers at once.

Each answers with plain values; a database of another schema raises, and the caller says so.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.store.quick import Reading

#: Longer than a server needs that takes a mail from a stranger at the second try.
FAILS_LONG = timedelta(minutes=20)
#: Longer than any verb holds a lock.
WAITS_LONG = timedelta(seconds=5)


@dataclass(frozen=True)
class Server:
    """The database program: its version, its clock (None on SQLite), what it lacks, and whether it takes no writes."""

    name: str
    version: str
    now: datetime | None
    lacks: tuple[str, ...] = ()
    read_only: bool = False


@dataclass(frozen=True)
class Waiting:
    """Those who wait for a lock: how many, the longest, and the server's processes that hold what they wait for."""

    count: int
    longest: timedelta
    holders: tuple[int, ...]


@dataclass(frozen=True)
class Outbox:
    """What waits to be sent: how many are due, since when; how many will not arrive; how many fail again and again, and why."""

    due: int
    oldest: datetime | None
    undeliverable: int
    failing: int
    why: str


def moment(value: Any) -> datetime | None:
    """A stored moment; SQLite keeps UTC as text without a zone."""
    if value is None:
        return None
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def server(read: Reading, sqlite: bool) -> Server:
    """The program behind the data."""
    if sqlite:
        return Server("SQLite", sqlite3.sqlite_version, None)
    asked = (
        "select current_setting('server_version'), clock_timestamp(), current_setting('transaction_read_only') = 'on'"
    )
    version, now, read_only = read.rows(asked)[0]
    there = {name for (name,) in read.rows("select name from pg_available_extensions")}
    wanted = ("btree_gist", "pg_trgm")
    lacks = tuple(name for name in wanted if name not in there)
    return Server("PostgreSQL", str(version).split(" ")[0], moment(now), lacks, bool(read_only))


def write_fault(path: Path) -> str | None:
    """Why a SQLite file cannot be written now, or None; nothing is changed."""
    with contextlib.closing(sqlite3.connect(path, timeout=0.8, isolation_level=None)) as connection:
        try:
            connection.execute("begin immediate")
            connection.execute("rollback")
        except sqlite3.Error as error:
            return str(error)
    return None


def journal_mode(path: Path) -> str:
    """How a SQLite file is written: `wal` as we open it; with another, whoever writes keeps readers out."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("pragma journal_mode").fetchone()[0])


def hurry(read: Reading) -> None:
    """On PostgreSQL: a table that another holds is not waited for; the question fails."""
    read.rows("select set_config('lock_timeout', '100ms', false)")


def waiting(read: Reading) -> Waiting:
    """Who waits for a lock on PostgreSQL for long, and which processes of the server hold it."""
    sql = (
        "select clock_timestamp() - query_start, pg_blocking_pids(pid) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    found = [(span, pids) for span, pids in read.rows(sql) if span >= WAITS_LONG]
    holders = sorted({pid for _, pids in found for pid in pids})
    return Waiting(len(found), max((span for span, _ in found), default=timedelta()), tuple(holders))


def facts(read: Reading) -> dict[str, str]:
    """All facts about this home by name."""
    return {str(key): str(value) for key, value in read.rows("select key, value from meta")}


def newest_moment(read: Reading) -> datetime | None:
    """The latest moment anything was written at."""
    found = [
        moment(read.rows(f"select max({column}) from {source}")[0][0])
        for column, source in (("at", "change_log"), ("at", "office_log"), ("seen_at", "engine"))
    ]
    return max((one for one in found if one is not None), default=None)


def engine_seen(read: Reading) -> datetime | None:
    """When an engine was last seen."""
    return moment(read.rows("select max(seen_at) from engine")[0][0])


def coordinators(read: Reading, today: str) -> int:
    """People who hold the coordinator's post today and can be reached."""
    sql = (
        "select count(distinct p.person_id) from post p join person h on h.id = p.person_id"
        " join contact c on c.person_id = p.person_id and c.kind = 'mail'"
        " where p.role = 'coordinator' and p.from_on <= ? and (p.to_on is null or p.to_on >= ?) and h.disabled_at is null"
    )
    return int(read.rows(sql, (today, today))[0][0])


def outbox(read: Reading, now: datetime, sqlite: bool) -> Outbox:
    """The outbox as it stands."""

    def bound(moment: datetime) -> Any:
        at = moment.astimezone(UTC)
        return at.replace(tzinfo=None).isoformat(sep=" ") if sqlite else at

    due = "from notice where state in ('queued', 'held', 'retrying', 'sending') and next_at <= ?"
    count, oldest = read.rows(f"select count(*), min(next_at) {due}", (bound(now),))[0]
    lost = read.rows("select count(*) from notice where state = 'undeliverable'")[0][0]
    again = "from notice where state = 'retrying' and error <> '' and created_at <= ?"
    long_since = bound(now - FAILS_LONG)
    failing = int(read.rows(f"select count(*) {again}", (long_since,))[0][0])
    newest = read.rows(f"select error {again} order by next_at desc limit 1", (long_since,))
    return Outbox(int(count), moment(oldest), int(lost), failing, str(newest[0][0]) if newest else "")


def stuck(read: Reading) -> list[str]:
    """Numbers of open changes that are stuck or have a stuck sheet."""
    sql = (
        "select c.number from change c where c.state = 'open' and (c.stuck is not null or exists"
        " (select 1 from sheet s where s.change_id = c.id and s.stuck is not null)) order by c.number"
    )
    return [str(number) for (number,) in read.rows(sql)]


def without_owner(read: Reading) -> int:
    """Open steps nobody holds."""
    return int(read.rows("select count(*) from step where state = 'open' and no_owner is not null")[0][0])


def waiting_work(read: Reading) -> datetime | None:
    """Since when the oldest work of an open change waits for the engine."""
    sql = "select min(work_since) from change where state = 'open' and work_seq > consumed_seq"
    return moment(read.rows(sql)[0][0])


def newest_head(read: Reading) -> datetime | None:
    """When the newest daily head was written."""
    return moment(read.rows("select max(at) from office_log where verb = '日结'")[0][0])
