"""One way to PostgreSQL and back for a question and the writes before it; SQLite lies in the same process and needs none.

A transaction asks some twenty questions and writes some fifteen times. A write nobody asks the outcome of, marked
`ALONG`, goes out with the next question or at the end; what the database says against it is raised there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

#: The execution option of a statement whose outcome nobody asks for.
ALONG = {"along": True}
#: So many statements a connection keeps planned: a process has one or two hundred of its own.
KEPT_STATEMENTS = 500


class _Way:
    """The pipeline of one connection, while it is in one."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._open = contextlib.ExitStack()

    def enter(self) -> None:
        self._pipeline = self._open.enter_context(self._driver.pipeline())

    def wait(self) -> None:
        """Until everything sent is answered."""
        self._pipeline.sync()

    def leave(self) -> None:
        self._open.close()


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
        with as_of_statement(connection, "end of the pipeline"):
            way.leave()
    finally:
        del _WAYS[driver]


@contextmanager
def unpipelined(connection: Connection) -> Iterator[None]:
    """Out of the pipeline, for what cannot be done in one, a COPY; what was sent along is waited for first."""
    way = _WAYS.get(connection.connection.dbapi_connection)
    if way is None:
        yield
        return
    with as_of_statement(connection, "end of the pipeline"):
        way.leave()
    yield
    way.enter()


@contextmanager
def as_of_statement(connection: Connection, told: str) -> Iterator[None]:
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


def _keep_statements(driver: Any, record: Any) -> None:
    driver.prepared_max = KEPT_STATEMENTS


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    cursor.execute(statement, parameters)
    _wait(cursor, context)
    return True


def _execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    cursor.executemany(statement, parameters)
    _wait(cursor, context)
    return True


def _wait(cursor: Any, context: Any) -> None:
    way = _WAYS.get(cursor.connection)
    if way is not None and not context.execution_options.get("along"):
        way.wait()
