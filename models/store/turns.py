"""What only one transaction does at a time, where no row stands yet that it could lock."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection

Matter = Literal["schema", "publication", "load", "register", "procedure", "office_log", "comparison"]
_NUMBERS: dict[Matter, int] = {
    "schema": 739000,
    "publication": 739001,
    "load": 739002,
    "register": 739003,
    "procedure": 739004,
    "office_log": 739005,
    "comparison": 739006,
}


def take_turn(connection: Connection, matter: Matter) -> None:
    """Wait until nobody else is at it, and keep others away until the transaction ends; what was read before counts
    for nothing. On SQLite a writer is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_NUMBERS[matter]})")
