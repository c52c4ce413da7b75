"""One database: engine, writer transactions, readers.

A verb's transaction starts as a writer (`BEGIN IMMEDIATE` on SQLite), makes no network call, and is tried again
on a lock or serialisation error; the change row is locked first on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, OperationalError
from sqlalchemy.pool import StaticPool

from models.domain.errors import BadInput, Unusable
from models.store import pipeline

Result = TypeVar("Result")
_RETRY_SQLSTATES = {"40001", "40P01", "55P03"}
#: A server that takes a connection and says nothing for so long (seconds) is away; without a limit it is waited for for ever.
CONNECT_SECONDS = 10
#: A connection used within this time is taken to be alive.
IDLE_SECONDS = 1.0
#: What a connection to SQLite keeps of the file. With SQLite's 2 MB 3,600 items among 100,000 were switched in 2.1 s, with 32 MB in 1.65.
CACHE_KILOBYTES = 16_000
NO_ROOM = "磁盘空间不足，未作任何改动，请检查权限和空间。"
_PAUSES = (0.01, 0.03, 0.1, 0.3, 1.0)


class Database:
    """Our data behind one address. `memory` databases live as long as this object."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self.memory = self.sqlite and url in {"sqlite://", "sqlite:///:memory:"}
        options: dict[str, Any] = {}
        if self.memory:
            options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        elif self.sqlite:
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            options = {"connect_args": {"check_same_thread": False, "timeout": 30}, "pool_size": 20, "max_overflow": 40}
        else:
            # All questions are short ones of a few shapes: compiling them costs more than asking, and so does planning anew.
            options = {"pool_size": 10, "max_overflow": 30}
            settings = "-c jit=off -c plan_cache_mode=force_generic_plan -c timezone=UTC"
            # Planned the first time: by itself the driver does so after five uses of a connection, and planning costs more
            # than asking.
            said = {"options": settings, "connect_timeout": CONNECT_SECONDS, "prepare_threshold": 0}
            options |= {"connect_args": said}
        if not self.memory:
            # What one transaction has read into a connection's memory, and prepared there, serves the next.
            options |= {"pool_use_lifo": True}
        self.engine: Engine = create_engine(url, json_serializer=_as_json, json_deserializer=from_json, **options)
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        else:
            pipeline.listen(self.engine)
            event.listen(self.engine, "checkin", _note_use)
            event.listen(self.engine, "checkout", _ping_after_a_pause)
        self._reading = self.engine if self.sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite lets a second writer sleep in growing pauses; the threads of one process queue up here instead.
        self._turn: contextlib.AbstractContextManager[Any] = (
            threading.RLock() if self.sqlite and not self.memory else contextlib.nullcontext()
        )

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection that only reads; each statement sees what is committed when it begins."""
        with self._reading.connect() as connection, _refusing():
            yield connection
            connection.rollback()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that only reads, all statements from what was committed at its first."""
        with self.engine.connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            yield connection
            connection.rollback()

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """One writer transaction: committed at the end, rolled back by any exception."""
        with self._turn, self.engine.connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.begin()  # SQLAlchemy does not see a COPY: without this a writer of sets alone commits nothing
            try:
                with _refusing(), contextlib.nullcontext() if self.sqlite else pipeline.pipelined(connection):
                    yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def write(self, verb: Callable[[Connection], Result]) -> Result:
        """Run a verb in a writer transaction, again where the database asks for that. Raises `Unusable disk_full`."""
        for pause in (*_PAUSES, None):
            try:
                with self.writer() as connection:
                    return verb(connection)
            except DBAPIError as error:
                # A connection lost at a statement has changed nothing; at the commit, which is none, nobody knows.
                lost = error.connection_invalidated and error.statement is not None
                if pause is None or not (lost or _worth_another_try(error)):
                    if _no_room(error):  # neither kind of database commits what it could not write
                        raise Unusable("disk_full", NO_ROOM) from error
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def gather_statistics(self) -> None:
        """Have PostgreSQL count its tables anew: until it does, within a minute or so, it plans for those from before."""
        if not self.sqlite:
            with self._reading.connect() as connection:
                connection.exec_driver_sql("analyze")

    def is_empty(self) -> bool:
        """Whether there is no schema yet: a reading command then answers with an empty list."""
        if self.sqlite and not self.memory and not Path(self.url.removeprefix("sqlite:///")).exists():
            return True
        return not inspect(self.engine).has_table("change")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _refusing() -> Iterator[None]:
    """What a database cannot look for or keep (NUL, a number beyond its range) is somebody's input, no fault of ours."""
    try:
        yield
    except DataError as error:
        raise BadInput("field_invalid", "提交的内容含有不能保存的字符或者数字，未作任何改动。") from error


def _as_json(value: Any) -> str:
    return to_json(value).decode()


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode=wal")
    cursor.execute("pragma synchronous=full")
    cursor.execute("pragma foreign_keys=on")
    cursor.execute("pragma busy_timeout=30000")
    cursor.execute(f"pragma cache_size=-{CACHE_KILOBYTES}")
    cursor.close()


def _note_use(connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ping_after_a_pause(connection: Any, record: Any, proxy: Any) -> None:
    """A connection that lay idle for a while may be dead: asked before use, replaced where it does not answer."""
    used = record.info.get("used")
    if used is None or time.monotonic() - used < IDLE_SECONDS:
        return
    try:
        connection.autocommit = True  # no transaction: with a rollback the driver forgets all it has planned
        connection.execute("select 1")
        connection.autocommit = False
    except Exception as error:
        raise DisconnectionError from error


def _no_room(error: DBAPIError) -> bool:
    """SQLite says `full`, or `disk I/O error` where a quota or a limit forbids it to write on."""
    words = str(error.orig)
    if isinstance(error, OperationalError) and ("disk is full" in words or "disk I/O error" in words):
        return True
    return getattr(error.orig, "sqlstate", None) == "53100"


def _worth_another_try(error: DBAPIError) -> bool:
    if isinstance(error, OperationalError) and "locked" in str(error.orig):
        return True
    return getattr(error.orig, "sqlstate", None) in _RETRY_SQLSTATES
