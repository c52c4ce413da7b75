"""What all tests share: where the real data lies, and an empty database of either kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from models.store.database import Database

# A slow machine is no defect; figures are measured by `make bench`.
settings.register_profile("shixiang", deadline=None)
settings.load_profile("shixiang")
ROOT = Path(__file__).resolve().parent.parent


_DROP = """
import sys
import psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as server:
    for (name,) in server.execute("select datname from pg_database").fetchall():
        if any(f"{name}_".startswith(f"{one}_") for one in sys.argv[2:]):
            server.execute(f'drop database "{name}" with (force)')
"""


def drop_databases(server: URL, *names: str) -> None:
    """Drop the databases of these names and those named after them (`name_…`).

    In a process of its own: each waits for a checkpoint of the server, which the tables of a thousand tests hold up for two
    minutes where its disk is slow.
    """
    address = server.set(drivername="postgresql").render_as_string(hide_password=False)
    os.posix_spawn(sys.executable, [sys.executable, "-c", _DROP, address, *names], os.environ, setsid=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published laws, items and holidays; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("SHIXIANG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set SHIXIANG_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[str]:
    """The address of an empty PostgreSQL database of this run's own; skipped where no server answers."""
    server = make_url(os.environ.get("SHIXIANG_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"))
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"shixiang_test_{os.getpid()}"
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f'create database "{name}"')
    except OperationalError:
        engine.dispose()
        pytest.skip("PostgreSQL does not answer: set SHIXIANG_TEST_POSTGRES")
    yield server.set(database=name).render_as_string(hide_password=False)
    engine.dispose()
    drop_databases(server, name)


def emptied(address: str) -> Database:
    """A PostgreSQL database with nothing in it, whatever was in it."""
    database = Database(address)
    with database.writer() as connection:
        connection.exec_driver_sql("drop schema public cascade")
        connection.exec_driver_sql("create schema public")
    return database


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database, the same test on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        database = Database("sqlite://")
        yield database
        database.close()
        return
    database = emptied(request.getfixturevalue("postgres_address"))
    yield database
    database.close()
