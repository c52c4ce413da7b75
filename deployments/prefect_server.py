"""Prefect's server as we ship it: one process, embedded database by default, nothing sent outside.

Importing this module does not import Prefect.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from deployments import lifeline
from models.domain.errors import Unusable
from models.settings import Settings


def api_url(settings: Settings) -> str:
    """Prefect's API: an own server's address from `PREFECT_API_URL`, else the one `up` starts."""
    return os.environ.get("PREFECT_API_URL") or settings.prefect_api


def own_server() -> bool:
    """Whether an own Prefect server is used instead of the one `up` starts."""
    return bool(os.environ.get("PREFECT_API_URL"))


def database_url(settings: Settings) -> str:
    """Prefect's own data: as set, else beside ours (PostgreSQL: our database's name + `_prefect`)."""
    if settings.prefect_database_url:
        return settings.prefect_database_url
    if settings.business_url.startswith("postgresql"):
        url = make_url(settings.business_url)
        beside = url.set(drivername="postgresql+asyncpg", database=f"{url.database}_prefect")
        return beside.render_as_string(hide_password=False)
    return f"sqlite+aiosqlite:///{settings.home_path / 'prefect' / 'prefect.db'}"


def create_database(settings: Settings) -> None:
    """Make Prefect's own database where it lies on PostgreSQL and is missing."""
    url = make_url(database_url(settings))
    if not url.drivername.startswith("postgresql"):
        return
    engine = create_engine(url.set(drivername="postgresql+psycopg", database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            known = text("select 1 from pg_database where datname = :name")
            if connection.execute(known, {"name": url.database}).first() is None:
                connection.execute(text(f'create database "{url.database}"'))
    except DBAPIError as error:
        raise Unusable("setting_invalid", "PostgreSQL 连不上，或者不能新建 Prefect 的数据库，未启动。") from error
    finally:
        engine.dispose()


def environment(settings: Settings) -> dict[str, str]:
    """The settings of Prefect we ship, as environment of every part that imports it."""
    address = f"http://127.0.0.1:{settings.prefect_port}"
    return {
        "PREFECT_API_URL": api_url(settings),
        "PREFECT_HOME": str(settings.home_path / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url(settings),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # It reads every suspended run every five seconds; ours have no timeout.
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address,
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1.0",
        "PREFECT_WORKER_PREFETCH_SECONDS": "5",
        # Its lines carry no name of a task.
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        "PREFECT_SERVER_LOG_RETRYABLE_ERRORS": "false",
        "PREFECT_CLI_COLORS": "false",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }


def write_at_once() -> None:
    """On SQLite every transaction of Prefect begins as a writer, at once, and nothing else does.

    It begins them as readers: one that has read and then writes while another has written meanwhile is refused at once,
    Prefect's API answers 503, and its own client tries again only after two seconds. A writer waits its turn instead.
    What looks into the database from within a transaction (pausing a queue does) begins as Prefect means it: as a second
    writer it would wait for itself, for a minute.
    """
    from prefect.server.database import configurations
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin, mode = AioSqliteConfiguration.begin_transaction, configurations.SQLITE_BEGIN_MODE
    around: ContextVar[Any] = ContextVar("around", default=None)

    @contextlib.asynccontextmanager
    async def begin_transaction(self: Any, session: Any, with_for_update: bool = False) -> AsyncIterator[Any]:
        outer = around.get()
        if outer is not None and outer.in_transaction():
            async with begin(self, session, with_for_update=with_for_update) as transaction:
                yield transaction
            return
        here, how = around.set(session), mode.set("IMMEDIATE")
        try:
            async with session.begin() as transaction:
                await session.connection()
                mode.set(None)
                yield transaction
        finally:
            mode.reset(how)
            around.reset(here)

    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign]


def close_what_failed() -> None:
    """On SQLite a statement that failed, or that nobody waits for any more, is closed by the thread of its connection.

    SQLAlchemy leaves it to be freed by the thread that serves all requests. Freeing waits for whatever the connection does by
    then: where that waits for the lock of a transaction that this very thread should go on with, Prefect's server stood still
    for a minute (decision 0015).
    """
    from aiosqlite import Cursor

    execute: Any = Cursor._execute

    async def closing(self: Any, statement: Any, *args: Any, **more: Any) -> Any:
        try:
            return await execute(self, statement, *args, **more)
        except BaseException:
            self._conn._tx.put_nowait((None, self._cursor.close))
            raise

    Cursor._execute = closing  # type: ignore[method-assign, assignment]


def main() -> None:
    """Run the server until it is told to stop."""
    lifeline.follow()
    settings = Settings()
    os.environ.update(environment(settings))
    (settings.home_path / "prefect").mkdir(parents=True, exist_ok=True)
    # Imported here, after the environment: Prefect reads its settings when it is imported.
    import uvicorn
    from prefect.server.api.server import create_app

    write_at_once()
    close_what_failed()
    # What is only for watching yields to a decision: the portal and the engine go first.
    os.nice(10)
    uvicorn.run(
        create_app(final=True),
        host="127.0.0.1",
        port=settings.prefect_port,
        log_level="warning",
        # Longer than any client keeps a connection (25 s): one closed under a call costs two seconds.
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
