"""One way to PostgreSQL and back for what goes together; SQLite lies in the same process and needs none of it.

A transaction asks some twenty questions and writes some fifteen times. A write nobody asks the outcome of, marked
`ALONG`, goes out with the next question or at the end; what the database says against it is raised there. Questions
whose words are known beforehand are asked ahead, in one go; each is answered where it is asked.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import CompoundSelect, Connection, Dialect, Engine, Select, event
from sqlalchemy.exc import DBAPIError

#: The execution option of a statement whose outcome nobody asks for.
ALONG = {"along": True}
#: So many statements a connection keeps planned: a process has one or two hundred of its own.
KEPT_STATEMENTS = 500
#: A statement that changes and locks nothing.
_ONLY_ASKS = re.compile(r"\s*(select|with)\b(?!.*\b(for (no key )?(update|share)|pg_advisory))", re.I | re.S)
#: After such a statement the driver forgets what it planned, and in a pipeline it forgets too late.
_FORGETS = re.compile(r"\s*(drop|alter|rollback|discard|deallocate)\b", re.I)


class _Way:
    """The pipeline of one connection, while it is in one."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._open = contextlib.ExitStack()
        #: Questions asked ahead: each with what was given with it and the cursor that has the answer.
        self.ahead: list[tuple[Any, Mapping[str, Any], Any]] = []

    def enter(self) -> None:
        self._pipeline = self._open.enter_context(self._driver.pipeline())

    def wait(self) -> None:
        """Until everything sent is answered."""
        self._pipeline.sync()

    def leave(self) -> None:
        self._open.close()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Out of the pipeline until the block ends; what was sent along is waited for first."""
        self.ahead.clear()
        self.leave()
        yield
        self.enter()


_WAYS: dict[Any, _Way] = {}


def listen(engine: Engine) -> None:
    """Have the connections of a PostgreSQL engine keep what they planned, and wait in a pipeline only where asked to."""
    event.listen(engine, "connect", _keep_statements)
    event.listen(engine, "do_execute", _execute)
    event.listen(engine, "do_executemany", _execute_many)


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """Until the block ends, statements marked `ALONG` are not waited for; at its end they are. Raises `DBAPIError` where
    the database refused one.
    """
    driver = connection.connection.dbapi_connection
    way = _WAYS[driver] = _Way(driver)
    try:
        way.enter()
        try:
            yield
        except BaseException:
            with contextlib.suppress(connection.dialect.loaded_dbapi.Error):  # it is undone anyway
                way.leave()
            raise
        with _as_of_statement(connection, "end of the pipeline"):
            way.leave()
    finally:
        del _WAYS[driver]


@contextmanager
def unpipelined(connection: Connection, told: str) -> Iterator[None]:
    """For what the driver does beside SQLAlchemy and cannot do in a pipeline, a COPY: `told` is what a `DBAPIError` says."""
    way = _way(connection)
    with _as_of_statement(connection, told), contextlib.nullcontext() if way is None else way.outside():
        yield


@contextmanager
def _as_of_statement(connection: Connection, told: str) -> Iterator[None]:
    """What the driver raises, raised as SQLAlchemy raises it for a statement."""
    dialect = connection.dialect
    database_error = dialect.loaded_dbapi.Error
    try:
        yield
    except database_error as error:
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            told, None, error, database_error, connection_invalidated=lost, dialect=dialect
        ) from error


def ask_ahead(connection: Connection, *questions: tuple[Select[Any] | CompoundSelect[Any], Mapping[str, Any]]) -> None:
    """Send questions that are asked next; the first of all that is waited for brings the answers of all. An answer counts
    as long as nothing was written or locked since.
    """
    way = _way(connection)
    if way is None:
        return
    for query, given in questions:
        sent: list[Any] = []
        connection.execute(query, given, execution_options={"sent": sent}).close()
        way.ahead.append((query, given, *sent))


def answered(connection: Connection, query: Any, given: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The rows of a question that was asked ahead; None where it must be asked."""
    way = _way(connection)
    if way is None:
        return None
    for number, (asked, its_own, cursor) in enumerate(way.ahead):
        if asked is query and its_own == given:
            del way.ahead[number]
            if cursor.description is None:
                with _as_of_statement(connection, "questions asked ahead"):
                    way.wait()
            return _rows(connection, query, cursor)
    return None


def _way(connection: Connection) -> _Way | None:
    return _WAYS.get(connection.connection.dbapi_connection) if _WAYS else None


def _rows(connection: Connection, query: Any, cursor: Any) -> list[dict[str, Any]]:
    names = [column.name for column in cursor.description]
    reads = _reads(query, connection.dialect)
    return [
        {name: value if read is None else read(value) for name, read, value in zip(names, reads, row, strict=True)}
        for row in cursor.fetchall()
    ]


@lru_cache(maxsize=200)
def _reads(query: Any, dialect: Dialect) -> list[Callable[[Any], Any] | None]:
    """How a value of each column becomes the one of its type; None where it is that already."""
    return [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in query.selected_columns]


def _keep_statements(driver: Any, record: Any) -> None:
    driver.prepared_max = KEPT_STATEMENTS


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    with _going(cursor, statement, context):
        sent = context.execution_options.get("sent")
        if sent is not None:  # SQLAlchemy takes its own cursor, which has no rows, for the answer
            cursor = cursor.connection.cursor()
            sent.append(cursor)
        cursor.execute(statement, parameters)
    return True


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    with _going(cursor, statement, context):
        cursor.executemany(statement, parameters)
    return True


@contextmanager
def _going(cursor: Any, statement: str, context: Any) -> Iterator[None]:
    """A statement on its way: older answers count no more where it writes; waited for where its outcome is asked for."""
    way = _WAYS.get(cursor.connection)
    if way is None:
        yield
    elif _FORGETS.match(statement):
        with way.outside():
            yield
    else:
        if not _only_asks(statement):
            way.ahead.clear()
        yield
        if not ("along" in context.execution_options or "sent" in context.execution_options):
            way.wait()


@lru_cache(maxsize=1000)
def _only_asks(statement: str) -> bool:
    return _ONLY_ASKS.match(statement) is not None
