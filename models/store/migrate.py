"""Bringing a database to the newest schema; alembic is imported only where something has to be done."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from models.domain.errors import Unusable
from models.store.database import NO_ROOM, Database
from models.store.revision import MIGRATIONS as MIGRATIONS
from models.store.revision import head as head
from models.store.revision import refuse_newer
from models.store.turns import take_turn


def current(connection: Connection) -> str | None:
    """The revision a database stands at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
    return revision


def migrate(db: Database) -> None:
    """Upgrade to the newest schema, in one transaction; several processes may call it at the same moment.

    Raises Unusable home_read_only or disk_full where the database cannot be written, schema_newer where a newer program
    wrote it.
    """
    try:
        with db.reader() as connection:
            standing = current(connection)
        if standing == head():
            return
        refuse_newer(standing)
        db.write(_upgrade)
    except DBAPIError as error:
        raise _refusal(db, error) from error


def _upgrade(connection: Connection) -> None:
    # Imported here: a command that finds its schema in order starts without alembic (0.2 s).
    from alembic import command
    from alembic.config import Config

    take_turn(connection, "schema")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refusal(db: Database, error: DBAPIError) -> Exception:
    words = str(error.orig)
    where = db.url.removeprefix("sqlite:///") if db.sqlite else "数据库"
    if "readonly" in words or "unable to open" in words or "permission denied" in words:
        return Unusable("home_read_only", f"{where} 不能写入，未作任何改动，请检查权限和空间。")
    if "full" in words:
        return Unusable("disk_full", NO_ROOM)
    return error
