"""kill -9 during a migration: the schema and its rows are whole, the old ones or the new ones, and the next start finishes.

A process of its own migrates and says each statement of it. It is killed where it was told to stop (at its begin, at
the end of every revision, before and after the commit, between two statements that were drawn) and while it runs on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from models.store.database import Database
from models.store.migrate import current, head, migrate
from tests.conftest import emptied
from tests.faults.standing import faults
from tests.system import until
from tests.upgrade.test_upgrade import bring_back, previous

PATIENCE_SECONDS = 60.0
NOTHING, OFFICE = "nothing", "the office of before"
#: Kills between two statements drawn, and kills of a process that runs on.
DRAWN, RUNNING = {NOTHING: 1, OFFICE: 3}, {NOTHING: 1, OFFICE: 3}


def _migrates(url: str, pipe: Pipe, stop_at: int | None) -> None:
    """The life of the process: every moment it passes is said; at one, or at its end, it stops until it is killed."""
    db = Database(url)
    passed = 0

    def reach(moment: str) -> None:
        nonlocal passed
        pipe.send(moment)
        passed += 1
        if passed - 1 == stop_at:
            pipe.recv()

    def after(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        words = " ".join(statement.split()).lower()
        if "alembic_version set" in words or "into alembic_version" in words:
            reach("revision")
        elif words.split()[0] in {"begin", "create", "alter", "insert", "update", "drop", "delete"}:
            reach(words[:60])

    event.listen(db.engine, "after_cursor_execute", after)
    event.listen(db.engine, "commit", lambda connection: reach("commit") if passed else None)
    migrate(db)
    reach("committed")
    pipe.recv()


class Migration:
    """A migration in a process of its own."""

    context = multiprocessing.get_context("forkserver")

    def __init__(self, url: str, stop_at: int | None = None) -> None:
        self.pipe, theirs = self.context.Pipe()
        self.process = self.context.Process(target=_migrates, args=(url, theirs, stop_at), daemon=True)
        self.process.start()
        theirs.close()
        self.heard: list[str] = []

    def hear(self, moments: int = 1_000_000) -> None:
        """Listen until so many moments have passed, or all, or the process is gone."""
        with contextlib.suppress(EOFError):
            while len(self.heard) < moments and self.heard[-1:] != ["committed"]:
                assert self.pipe.poll(PATIENCE_SECONDS), f"nothing after {self.heard[-1:]}"
                self.heard.append(self.pipe.recv())

    def kill(self) -> None:
        """kill -9, and what it had said."""
        self.process.kill()
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode == -9
        self.hear()
        self.pipe.close()


@dataclass(frozen=True)
class Standing:
    """Everything a database holds but the values: its revision, its schema to the last word, how many rows each table has."""

    revision: str | None
    schema: frozenset[tuple[str, ...]]
    counts: frozenset[tuple[str, int]]


_SCHEMA = {
    True: ("select type, name, coalesce(sql, '') from sqlite_master",),
    False: (
        "select table_name, column_name, data_type, is_nullable, coalesce(column_default, ''), ordinal_position"
        " from information_schema.columns where table_schema = 'public'",
        "select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace",
        "select indexname, indexdef from pg_indexes where schemaname = 'public'",
    ),
}


def standing(db: Database) -> Standing:
    """How a database stands now."""
    with db.reader() as connection:
        said = [row for query in _SCHEMA[db.sqlite] for row in connection.exec_driver_sql(query)]
        names = "select name from sqlite_master where type = 'table'" if db.sqlite else (
            "select table_name from information_schema.tables where table_schema = 'public'"
        )  # fmt: skip
        tables = [str(name) for (name,) in connection.exec_driver_sql(names) if name != "alembic_version"]
        counts = {
            (name, int(connection.exec_driver_sql(f'select count(*) from "{name}"').scalar() or 0)) for name in tables
        }
        if db.sqlite:
            assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"
        return Standing(
            current(connection), frozenset(tuple(str(part) for part in row) for row in said), frozenset(counts)
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Makes an empty database of one kind; on PostgreSQL the same one again."""

    def make() -> Database:
        if request.param == "sqlite":
            return Database(f"sqlite:///{tmp_path / str(time.monotonic_ns())}.db")
        url = str(request.getfixturevalue("postgres_address"))
        emptied(url).close()
        return Database(url)

    return make


@pytest.mark.parametrize("begin", [NOTHING, OFFICE])
def test_a_migration_killed_at_any_moment_leaves_the_old_state_or_the_new_one(
    empty: Callable[[], Database], begin: str
) -> None:
    Migration.context.set_forkserver_preload(["alembic.command", "models.tables", __name__])

    def made() -> Database:
        db = empty()
        if begin == OFFICE:
            bring_back(db, previous())
        return db

    db = made()
    chosen = random.Random(f"{db.sqlite} {begin}")
    old = standing(db)
    moments, span = _undisturbed(db)
    new = standing(db)
    db.close()
    assert (old.revision, new.revision) == (None if begin == NOTHING else previous()["revision"], head())
    assert old.schema != new.schema and moments[-2:] == ["commit", "committed"]

    db = made()
    last = len(moments) - 1
    revisions = [number for number, moment in enumerate(moments) if moment == "revision"]
    assert len(revisions) > 5
    stops = {0, *(revisions if begin == OFFICE else revisions[:: len(revisions) - 1]), last - 1}
    stops |= set(chosen.sample(sorted(set(range(last)) - stops), DRAWN[begin]))
    for stop in sorted(stops):
        assert _killed_where_it_stands(db, stop) == moments[: stop + 1]
        assert standing(db) == old, moments[stop]
    inside = 0
    for _ in range(RUNNING[begin]):
        heard = _killed_at_a_run(db, chosen.randrange(1, last), chosen.uniform(0, span / 10))
        left = standing(db)
        assert left == old or (left == new and "commit" in heard), heard[-1]
        inside += left == old
        if left == new:
            db.close()
            db = made()
    assert inside or begin == NOTHING

    assert _killed_where_it_stands(db, last) == moments
    assert standing(db) == new
    migrate(db)
    assert standing(db) == new
    assert begin == NOTHING or faults(db, settled=False) == []
    db.close()
    print(
        f"{len(stops)} kills at a stop, {inside} of {RUNNING[begin]} at a run, of {len(moments)} moments in {span:.2f} s"
    )


def _undisturbed(db: Database) -> tuple[list[str], float]:
    """The moments of a migration and the seconds from the first to the last; it is killed when all is done."""
    migration = Migration(db.url)
    migration.hear(1)
    began = time.monotonic()
    migration.hear()
    span = time.monotonic() - began
    migration.kill()
    return migration.heard, span


def _killed_where_it_stands(db: Database, stop: int) -> list[str]:
    """Kill it at the moment of this number; what it had said."""
    migration = Migration(db.url, stop)
    migration.hear(stop + 1)
    migration.kill()
    _alone(db)
    return migration.heard


def _killed_at_a_run(db: Database, after: int, pause: float) -> list[str]:
    """Kill it while it runs on, so long after one of its moments; what it had said."""
    migration = Migration(db.url)
    migration.hear(after)
    time.sleep(pause)
    migration.kill()
    _alone(db)
    return migration.heard


def _alone(db: Database) -> None:
    """PostgreSQL ends by itself what a killed process had begun: nobody else is connected then."""
    if db.sqlite:
        return
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    db.close()
    with db.reader() as connection:
        until(lambda: connection.exec_driver_sql(others).scalar() == 0, 20, "the server has ended the migration")
