"""Empty PostgreSQL databases for a measurement, dropped afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

SERVER = os.environ.get("SHIXIANG_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")


@contextmanager
def postgres(name: str) -> Iterator[str | None]:
    """The address of an empty database; None where no server answers. What Prefect keeps beside it goes with it."""
    server = make_url(SERVER)
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"shixiang_bench_{name}_{os.getpid()}"
    try:
        with engine.connect() as connection:
            connection.execute(text(f'create database "{name}"'))
    except OperationalError:
        engine.dispose()
        yield None
        return
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            for made in (name, f"{name}_prefect"):
                connection.execute(text(f'drop database if exists "{made}" with (force)'))
        engine.dispose()


@contextmanager
def beside(database: str, name: str) -> Iterator[str]:
    """Another empty database on the same server; nothing to do for SQLite (empty text)."""
    if not database:
        yield ""
        return
    with postgres(name) as url:
        assert url is not None, "PostgreSQL has gone"
        yield url
