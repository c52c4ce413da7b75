"""One database of either kind: times in UTC, writers one after another, a second try where it is locked."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from psycopg import Pipeline
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError, StatementError

from models.domain.errors import BadInput
from models.store import database as database_module
from models.store.change import rows
from models.store.database import Database
from models.store.pipeline import ALONG, ask_ahead
from models.store.sql import among, insert_all
from models.store.turns import take_turn
from models.tables import UtcDateTime, metadata
from tests.conftest import emptied

OWN = MetaData()
COUNTER = Table("counter", OWN, Column("id", Integer, primary_key=True), Column("value", Integer, nullable=False))
SORTS = Table(
    "sorts", OWN, Column("id", Integer, primary_key=True), Column("word", String), Column("at", UtcDateTime),
    Column("day", Date), Column("said", JSON), Column("sure", Boolean), Column("tries", Integer, default=7),
    Column("gone", Boolean, default=False),
)  # fmt: skip
MOMENT = Table("moment", OWN, Column("id", String, primary_key=True), Column("at", UtcDateTime))
SHANGHAI = timezone(timedelta(hours=8))
INCREMENTS = 50


@pytest.fixture(params=["sqlite", "postgresql"])
def filed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database that several connections and processes share, with the tables of this file."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres")
        return
    yield from _with_tables(Database(f"sqlite:///{tmp_path / 'shared.db'}"))


@pytest.fixture
def postgres(postgres_address: str) -> Iterator[Database]:
    """The same on PostgreSQL alone."""
    yield from _with_tables(emptied(postgres_address))


def _with_tables(database: Database) -> Iterator[Database]:
    OWN.create_all(database.engine)
    with database.writer() as connection:
        connection.execute(insert(COUNTER).values(id=1, value=0))
    yield database
    database.close()


def value_of(database: Database) -> int:
    with database.reader() as connection:
        return int(connection.execute(select(COUNTER.c.value)).scalar_one())


def increment(connection: Connection) -> None:
    """Read, add in Python, write: loses additions wherever two do it at the same time."""
    value = connection.execute(select(COUNTER.c.value).with_for_update()).scalar_one()
    connection.execute(update(COUNTER).values(value=value + 1))


def add_many(url: str, times: int, together: Barrier) -> None:
    database = Database(url)
    assert value_of(database) == 0
    together.wait(60)
    for _ in range(times):
        database.write(increment)
    database.close()


def test_two_processes_adding_lose_nothing(filed: Database) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    processes = [context.Process(target=add_many, args=(filed.url, INCREMENTS, together)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert value_of(filed) == 2 * INCREMENTS


def test_four_threads_adding_lose_nothing(filed: Database) -> None:
    threads = [threading.Thread(target=lambda: [filed.write(increment) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert value_of(filed) == 40


def test_a_writer_on_sqlite_holds_the_lock_before_it_writes(tmp_path: Path) -> None:
    first, second = (Database(f"sqlite:///{tmp_path / 'one.db'}") for _ in range(2))
    with first.writer(), second.engine.connect() as connection:
        connection.exec_driver_sql("pragma busy_timeout=0")
        with pytest.raises(OperationalError, match="locked"):
            connection.exec_driver_sql("begin immediate")
    first.close()
    second.close()


def test_a_reader_on_sqlite_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'one.db'}")
    OWN.create_all(database.engine)
    with database.writer() as connection:
        connection.execute(insert(COUNTER).values(id=1, value=7))
        with database.reader() as other:
            assert other.execute(select(COUNTER.c.value)).all() == []
    assert value_of(database) == 7
    database.close()


def test_sqlite_keeps_what_it_has_committed_and_checks_references(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'one.db'}")
    with database.reader() as connection:
        settings = {
            name: connection.exec_driver_sql(f"pragma {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


def test_an_exception_undoes_the_whole_transaction(filed: Database) -> None:
    def verb(connection: Connection) -> None:
        increment(connection)
        raise KeyError

    with pytest.raises(KeyError):
        filed.write(verb)
    assert value_of(filed) == 0


def test_a_writer_that_writes_sets_alone_commits_them(filed: Database) -> None:
    with filed.writer() as connection:
        insert_all(connection, COUNTER, [{"id": n, "value": n} for n in range(2, 1002)])
    with filed.reader() as connection:
        assert connection.execute(select(func.count()).select_from(COUNTER)).scalar_one() == 1001


@pytest.mark.parametrize("many", [1, 2, 199, 200, 1000])
def test_a_set_of_any_size_arrives_as_it_was_given(filed: Database, many: int) -> None:
    words = ["一", "it's", 'a "b"', "{a,b}", "\\N", "\\t\t\n", "", None, "NULL", "%s"]
    moment = datetime(2026, 11, 29, 8, 0, 0, 123456, tzinfo=SHANGHAI)
    values: list[dict[str, Any]] = [
        {
            "id": n, "word": words[n % 10], "at": None if n % 3 else moment, "day": None if n % 4 else moment.date(),
            "said": {"事": [n, None, "\"x\"", {"y": True}]} if n % 2 else [[], None][n // 2 % 2], "sure": [True, False, None][n % 3],
        }
        for n in range(many)
    ]  # fmt: skip
    with filed.writer() as connection:
        insert_all(connection, SORTS, values)
    with filed.reader() as connection:
        found = [dict(row) for row in connection.execute(select(SORTS).order_by(SORTS.c.id)).mappings()]
    assert found == [{**row, "tries": 7, "gone": False} for row in values]


@pytest.mark.parametrize("many", [1, 199, 300])
def test_a_set_that_cannot_be_made_to_the_end_leaves_nothing(filed: Database, many: int) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"id": n, "value": n} for n in range(2, many + 2))
        raise KeyError

    with pytest.raises(KeyError), filed.writer() as connection:
        insert_all(connection, COUNTER, rows())
    with filed.reader() as connection:
        assert connection.execute(select(func.count()).select_from(COUNTER)).scalar_one() == 1


def test_a_text_is_found_among_others_whatever_it_holds(filed: Database) -> None:
    words = ["一", "it's", 'a "b"', "{a,b}", "a,b", "\\N", "\t\t\n", " ", "", "NULL", "null", "%s", '\\"', "["]
    with filed.writer() as connection:
        insert_all(connection, SORTS, [{"id": n, "word": word} for n, word in enumerate([*words, "其他", None])])
    with filed.reader() as connection:
        for asked in ([], words, *([word] for word in words)):
            found = connection.execute(select(SORTS.c.word).where(among(SORTS.c.word, asked)).order_by(SORTS.c.id))
            assert list(found.scalars()) == asked


@pytest.mark.parametrize("many", [1, 2, 300])
def test_a_set_that_does_not_fit_is_refused_as_one_statement_is(filed: Database, many: int) -> None:
    with pytest.raises(IntegrityError), filed.writer() as connection:
        insert_all(connection, COUNTER, [{"id": n, "value": n} for n in range(1, many + 1)])
    assert value_of(filed) == 0


def _put(connection: Connection, *ids: int) -> None:
    insert_all(connection, COUNTER, [{"id": n, "value": n} for n in ids])


def _ids(database: Database) -> list[int]:
    with database.reader() as connection:
        return list(connection.execute(select(COUNTER.c.id).order_by(COUNTER.c.id)).scalars())


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with one for each time PostgreSQL is waited for within a transaction."""
    waits: list[int] = []
    wait = Pipeline.sync

    def counted(pipeline: Pipeline) -> None:
        waits.append(1)
        wait(pipeline)

    monkeypatch.setattr(Pipeline, "sync", counted)
    return waits


def test_rows_written_wait_for_the_next_question_and_are_sent_with_it(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of them would be a way there and back of its own."""
    waits = _counted(monkeypatch)
    with postgres.writer() as connection:
        for number in (2, 3, 4):
            _put(connection, number)
        connection.execute(update(COUNTER).where(COUNTER.c.id == 4).values(value=5).execution_options(**ALONG))
        assert waits == []
        assert connection.execute(select(func.sum(COUNTER.c.value))).scalar_one() == 10
        assert waits == [1]
        _put(connection, 5)
    assert waits == [1]
    assert _ids(postgres) == [1, 2, 3, 4, 5]


def test_a_row_refused_at_the_very_end_undoes_everything_too(filed: Database) -> None:
    def verb(connection: Connection) -> None:
        _put(connection, 2)
        _put(connection, 1)

    with pytest.raises(IntegrityError):
        filed.write(verb)
    assert _ids(filed) == [1]
    filed.write(lambda connection: _put(connection, 2))
    assert _ids(filed) == [1, 2]


def test_a_value_refused_at_the_very_end_is_bad_input_too(postgres: Database) -> None:
    with pytest.raises(BadInput), postgres.writer() as connection:
        insert_all(connection, COUNTER, [{"id": 2, "value": 2**40}])
    assert _ids(postgres) == [1]


def test_small_and_large_sets_are_written_in_their_order(filed: Database) -> None:
    """A large one leaves the pipeline and comes back to it."""
    with filed.writer() as connection:
        _put(connection, 2)
        _put(connection, *range(3, 1003))
        connection.execute(update(COUNTER).values(value=COUNTER.c.value + 1))
        _put(connection, 1003)
        assert connection.execute(select(func.sum(COUNTER.c.value))).scalar_one() == sum(range(2, 1003)) + 1002 + 1003
        _put(connection, 1004)
    assert _ids(filed) == list(range(1, 1005))


def test_what_a_verb_refuses_itself_is_raised_though_a_row_was_refused_too(postgres: Database) -> None:
    def verb(connection: Connection) -> None:
        _put(connection, 1)
        raise KeyError

    with pytest.raises(KeyError):
        postgres.write(verb)
    assert _ids(postgres) == [1]


@pytest.mark.parametrize("asked", [True, False])
def test_a_connection_lost_while_rows_are_under_way_has_the_verb_run_again(postgres: Database, asked: bool) -> None:
    runs: list[int] = []

    def verb(connection: Connection) -> None:
        pid = int(connection.exec_driver_sql("select pg_backend_pid()").scalar() or 0)
        runs.append(pid)
        _put(connection, 2)
        if len(runs) == 1:
            _cut_off(postgres.url, pid)
        _put(connection, 3)
        if asked:
            connection.execute(select(COUNTER.c.id)).scalars().all()

    postgres.write(verb)
    assert len(set(runs)) == 2
    assert _ids(postgres) == [1, 2, 3]


def test_a_connection_lost_at_the_commit_is_an_error_for_nobody_knows_what_came_of_it(postgres: Database) -> None:
    runs: list[int] = []

    def verb(connection: Connection) -> None:
        runs.append(int(connection.exec_driver_sql("select pg_backend_pid()").scalar() or 0))
        _put(connection, 2)

    event.listen(postgres.engine, "commit", lambda connection: _cut_off(postgres.url, runs[-1]))
    with pytest.raises(OperationalError):
        postgres.write(verb)
    assert len(runs) == 1


def _all_sorts() -> tuple[Select[Any], Select[Any], Select[Any]]:
    every = select(SORTS).order_by(SORTS.c.id)
    return every, select(func.count().label("many")).select_from(SORTS), every.where(SORTS.c.id == bindparam("id"))


def test_what_is_asked_ahead_is_answered_as_when_it_is_asked(filed: Database) -> None:
    moment = datetime(2026, 11, 30, 8, 0, 0, 5, tzinfo=SHANGHAI)
    one = {"id": 1, "word": "一", "at": moment, "day": moment.date(), "said": {"事": [1, None]}, "sure": True}
    none: dict[str, Any] = {"id": 2, "word": None, "at": None, "day": None, "said": [], "sure": None}
    every, many, by_id = _all_sorts()
    with filed.writer() as connection:
        insert_all(connection, SORTS, [one, none])
        plain = [rows(connection, every), rows(connection, many), rows(connection, by_id, id=2)]
        ask_ahead(connection, (every, {}), (many, {}), (by_id, {"id": 2}), (by_id, {"id": 9}))
        ahead = [rows(connection, every), rows(connection, many), rows(connection, by_id, id=2)]
        assert rows(connection, by_id, id=1) == plain[0][:1]
        assert rows(connection, by_id, id=9) == []
    assert ahead == plain
    assert plain[1] == [{"many": 2}]
    assert plain[0][0]["at"].tzinfo is ahead[0][0]["at"].tzinfo


def test_questions_asked_ahead_are_waited_for_once(postgres: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = _counted(monkeypatch)
    every, many, by_id = _all_sorts()
    with postgres.writer() as connection:
        ask_ahead(connection, (every, {}), (many, {}))
        ask_ahead(connection, (by_id, {"id": 1}))
        for query, given in ((many, {}), (by_id, {"id": 1}), (every, {})):
            rows(connection, query, **given)
    assert waits == [1]


@pytest.mark.parametrize("between", ["a row is written", "a set is copied", "a row is locked", "a turn is taken"])
def test_an_answer_asked_for_ahead_counts_only_until_something_is_written_or_locked(
    postgres: Database, between: str
) -> None:
    count = select(func.count().label("many")).select_from(COUNTER)
    with postgres.writer() as connection:
        ask_ahead(connection, (count, {}))
        if between == "a row is written":
            _put(connection, 2)
        elif between == "a set is copied":
            _put(connection, *range(2, 502))
        else:
            connection.execute(select(SORTS)).all()  # the answers are here, and old by the time of the lock
            postgres.write(lambda other: _put(other, 2))
            if between == "a row is locked":
                connection.execute(select(COUNTER.c.id).with_for_update()).all()
            else:
                take_turn(connection, "publication")
        assert rows(connection, count) == [{"many": 501 if between == "a set is copied" else 2}]


def test_a_question_asked_ahead_that_fails_is_an_error_where_an_answer_is_waited_for(postgres: Database) -> None:
    nowhere = select(Table("nowhere", MetaData(), Column("id", Integer)))

    def verb(connection: Connection) -> None:
        ask_ahead(connection, (nowhere, {}))
        rows(connection, nowhere)

    with pytest.raises(ProgrammingError):
        postgres.write(verb)
    assert value_of(postgres) == 0


def test_what_was_planned_before_a_table_was_dropped_is_planned_anew(postgres: Database) -> None:
    for _ in range(3):
        with postgres.writer() as connection:
            connection.exec_driver_sql("create table passing (id int)")
            _ids(postgres)
            connection.exec_driver_sql("drop table passing")
            rows(connection, select(COUNTER))
            rows(connection, select(COUNTER))
    assert _ids(postgres) == [1]


def test_what_was_planned_before_a_savepoint_was_given_up_is_planned_anew(postgres: Database) -> None:
    with postgres.writer() as connection:
        savepoint = connection.begin_nested()
        rows(connection, select(COUNTER))
        savepoint.rollback()
        for _ in range(2):
            assert [row["id"] for row in rows(connection, select(COUNTER))] == [1]


def test_a_connection_that_lay_idle_keeps_what_it_has_planned(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "IDLE_SECONDS", 0.0)
    planned = "select count(*) from pg_prepared_statements where statement ~ '^select .1::int'"
    with postgres.reader() as connection:
        for number in range(3):
            connection.exec_driver_sql(f"select %s::int + {number}", (1,))
    with postgres.reader() as connection:
        assert connection.exec_driver_sql(planned).scalar_one() == 3


def test_a_question_is_planned_the_first_time_it_is_asked(postgres: Database) -> None:
    with postgres.reader() as connection:
        connection.exec_driver_sql("select %s::int", (1,))
        planned = connection.exec_driver_sql(
            "select count(*) from pg_prepared_statements where statement = 'select $1::int'"
        )
        assert planned.scalar() == 1


def test_a_write_is_tried_again_when_the_lock_is_free(filed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = filed.engine.connect()
    if filed.sqlite:
        holder.exec_driver_sql("begin immediate")
    increment(holder)
    pauses: list[float] = []

    def let_go(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            holder.commit()

    monkeypatch.setattr("models.store.database.time.sleep", let_go)
    with impatient(filed):
        filed.write(_increment_without_waiting)
    holder.close()
    assert len(pauses) == 2
    assert pauses == sorted(pauses)
    assert value_of(filed) == 2


def test_a_lock_that_stays_is_an_error_in_the_end(filed: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = filed.engine.connect()
    if filed.sqlite:
        holder.exec_driver_sql("begin immediate")
    increment(holder)
    pauses: list[float] = []
    monkeypatch.setattr("models.store.database.time.sleep", pauses.append)
    with impatient(filed), pytest.raises(OperationalError):
        filed.write(_increment_without_waiting)
    holder.rollback()
    holder.close()
    assert len(pauses) == 5
    assert value_of(filed) == 0


def test_any_other_error_is_not_tried_again(filed: Database) -> None:
    tries: list[int] = []

    def verb(connection: Connection) -> None:
        tries.append(1)
        connection.execute(insert(COUNTER).values(id=1, value=1))

    with pytest.raises(IntegrityError):
        filed.write(verb)
    assert tries == [1]


def test_a_write_returns_what_its_verb_returns(filed: Database) -> None:
    assert filed.write(lambda connection: connection.execute(select(COUNTER.c.id)).scalar_one()) == 1


def _increment_without_waiting(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("set local lock_timeout = '5ms'")
    increment(connection)


@contextmanager
def impatient(database: Database) -> Iterator[None]:
    """Connections to a SQLite file do not wait for the lock."""
    if not database.sqlite:
        yield
        return
    event.listen(database.engine, "checkout", _no_wait)
    try:
        yield
    finally:
        event.remove(database.engine, "checkout", _no_wait)


def _no_wait(connection: object, *rest: object) -> None:
    connection.execute("pragma busy_timeout=0")  # type: ignore[attr-defined]


def test_a_time_without_a_zone_is_refused(filed: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"), filed.writer() as connection:
        connection.execute(insert(MOMENT).values(id="naive", at=datetime(2026, 3, 2, 9, 0)))
    with filed.reader() as connection:
        assert connection.execute(select(MOMENT)).all() == []


@pytest.mark.parametrize("zone", [UTC, SHANGHAI])
def test_a_time_comes_back_aware_in_utc_and_to_the_microsecond(filed: Database, zone: timezone) -> None:
    at = datetime(2026, 3, 2, 9, 0, 1, 234567, tzinfo=zone)
    with filed.writer() as connection:
        connection.execute(insert(MOMENT).values(id="one", at=at))
    with filed.reader() as connection:
        found = connection.execute(select(MOMENT.c.at)).scalar_one()
    assert found == at
    assert found.utcoffset() == timedelta(0)


def test_no_time_comes_back_as_none(filed: Database) -> None:
    with filed.writer() as connection:
        connection.execute(insert(MOMENT).values(id="none", at=None))
    with filed.reader() as connection:
        assert connection.execute(select(MOMENT.c.at)).scalar_one() is None


def test_times_given_in_different_zones_are_compared_as_moments(filed: Database) -> None:
    earlier, later = datetime(2026, 3, 2, 9, tzinfo=SHANGHAI), datetime(2026, 3, 2, 2, tzinfo=UTC)
    with filed.writer() as connection:
        connection.execute(insert(MOMENT), [{"id": "earlier", "at": earlier}, {"id": "later", "at": later}])
    with filed.reader() as connection:
        limit = datetime(2026, 3, 2, 9, 30, tzinfo=SHANGHAI)
        assert connection.execute(select(MOMENT.c.id).where(MOMENT.c.at < limit)).scalars().all() == ["earlier"]


def test_every_time_of_the_schema_is_stored_in_utc() -> None:
    kinds = {
        f"{table.name}.{column.name}": type(column.type).__name__
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith(("_at", "_until", "_since"))
        or column.name in {"at", "valid_from", "valid_to", "next_due"}
    }
    dates = {"item_version.legal_since"}
    assert {name for name, kind in kinds.items() if kind != "UtcDateTime"} == dates
    assert len(kinds) > 30


def test_a_database_without_tables_is_empty(db: Database) -> None:
    assert db.is_empty()
    metadata.create_all(db.engine)
    assert not db.is_empty()


def test_a_database_file_that_is_not_there_is_empty_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "home" / "office.db"
    database = Database(f"sqlite:///{path}")
    assert database.is_empty()
    assert not path.exists()
    database.close()


def _cut_off(address: str, pid: int) -> None:
    """End a connection from the server's side, as a restart does."""
    other = Database(address)
    with other.writer() as connection:
        connection.exec_driver_sql(f"select pg_terminate_backend({pid})")
    other.close()


def test_a_connection_lost_before_the_commit_is_replaced(postgres_address: str) -> None:
    database = Database(postgres_address)
    with database.writer() as connection:
        pid = int(connection.exec_driver_sql("select pg_backend_pid()").scalar() or 0)
    _cut_off(postgres_address, pid)
    again = database.write(lambda connection: connection.exec_driver_sql("select pg_backend_pid()").scalar())
    assert again not in (None, pid)
    database.close()


def test_a_connection_that_lay_idle_is_asked_before_it_is_used(
    postgres_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "IDLE_SECONDS", 0.0)
    database = Database(postgres_address)
    with database.reader() as connection:
        pid = int(connection.exec_driver_sql("select pg_backend_pid()").scalar() or 0)
    _cut_off(postgres_address, pid)
    with database.reader() as connection:
        assert connection.exec_driver_sql("select pg_backend_pid()").scalar() != pid
    database.close()


def test_a_server_that_keeps_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never says a word
        database = Database(f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/office")
        began = time.monotonic()
        with pytest.raises(OperationalError), database.reader():
            pass
        assert time.monotonic() - began < 10
        database.close()
