"""Rows that the next line of a log vouches for, and the office's own log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from models.domain.seals import KINDS, line_hash, marked, seal
from models.store.sql import insert_all, table
from models.store.turns import take_turn
from models.tables import OfficeLog as OfficeLogRow

OFFICE_LOG = table(OfficeLogRow)
#: Puts rows into a table so that a line of a log vouches for them.
Insert = Callable[[Table, Iterable[Mapping[str, Any]]], None]


class Kept:
    """Rows written since the last line of a log; the next line carries their seals."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._rows: dict[str, list[tuple[str, str]]] = {}

    def insert(self, target: Table, values: Iterable[Mapping[str, Any]]) -> None:
        """Insert a set of rows of the same columns."""
        insert_all(self.connection, target, self.keeping(target, values))

    def keep(self, target: Table, values: Iterable[Mapping[str, Any]]) -> None:
        """Have the next line vouch for rows that were inserted already, if they are of a kind that is sealed."""
        for _ in self.keeping(target, values):
            pass

    def keeping(self, target: Table, values: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same rows, kept one by one as they are taken: a server that is sent them works meanwhile."""
        if target.name not in KINDS:
            yield from values
            return
        fixed = {c.name: c.default.arg for c in target.c if isinstance(c.default, ScalarElementColumnDefault)}
        kept = self._rows.setdefault(target.name, [])
        for row in values:
            kept.append(marked(target.name, {**fixed, **row}))
            yield row

    def take(self) -> dict[str, Any] | None:
        """The seals of what was kept, by table; None where there is nothing."""
        kept, self._rows = self._rows, {}
        return {name: seal(rows) for name, rows in kept.items() if rows} or None

    @property
    def empty(self) -> bool:
        """Whether every row has its line."""
        return not self._rows


class OfficeLog:
    """The log of what concerns no change: loads, sign-ins, refusals, tokens, the daily head. One chain.

    In one writer transaction; whoever writes to it waits for the others.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection, self.now = connection, now
        self.kept = Kept(connection)

    def wait(self) -> None:
        """Let others who write to it go first; until this transaction ends nobody else does."""
        take_turn(self.connection, "office_log")

    def line(self, verb: str, *, who: str | None = None, via: str = "engine", about: str = "", **data: Any) -> int:
        """Add a line; its number."""
        self.wait()
        last = self.connection.execute(
            select(OFFICE_LOG.c.seq, OFFICE_LOG.c.hash).order_by(OFFICE_LOG.c.seq.desc()).limit(1)
        ).first()
        entry: dict[str, Any] = {
            "seq": 1 if last is None else int(last.seq) + 1,
            "at": self.now,
            "who": who,
            "via": via,
            "verb": verb,
            "object": about,
            "data": data,
            "sealed": self.kept.take(),
            "prev_hash": "" if last is None else last.hash,
        }
        entry["hash"] = line_hash(entry)
        self.connection.execute(insert(OFFICE_LOG).values(**entry))
        return int(entry["seq"])
