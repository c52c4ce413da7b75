"""Short reads without the table classes: they take half a second to import, longer than these answers may take.

The answers are those of `catalogue.items`, `office.people`, `laws.laws`, `actions.views.change_list` and `change_show`, and the table of
`office.calendar`; tests compare them. Only the standard library and, for PostgreSQL, its driver are imported.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from models.domain.law_text import shelf
from models.store.shapes import Files, change_head, change_whole, people_of

Rows = list[tuple[Any, ...]]
_STANDING = "v.valid_to is null and v.superseded_at is null and v.state <> 'cancelled'"


class Reading:
    """One connection that only reads; `empty` where there is no schema yet. Nothing is created."""

    def __init__(self, connection: Any, *, sqlite: bool) -> None:
        self._connection, self._sqlite = connection, sqlite
        self.empty = connection is None or not self._has_schema()

    def _has_schema(self) -> bool:
        where = "sqlite_master where name" if self._sqlite else "pg_catalog.pg_tables where tablename"
        return bool(self.rows(f"select 1 from {where} = 'change'"))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """All rows of a query; `?` stands for a parameter, on both databases."""
        cursor = self._connection.cursor()
        cursor.execute(sql if self._sqlite else sql.replace("?", "%s"), tuple(parameters))
        found: Rows = cursor.fetchall()
        return found

    def dicts(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """As `rows`, by the names of the columns."""
        cursor = self._connection.cursor()
        cursor.execute(sql if self._sqlite else sql.replace("?", "%s"), tuple(parameters))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextlib.contextmanager
def reading(url: str) -> Iterator[Reading]:
    """A reading of the database at a SQLAlchemy address; empty where its file does not exist."""
    sqlite = url.startswith("sqlite")
    connection: Any = None
    if not sqlite:
        import psycopg

        # Each question by itself: one that fails spoils no other, and nothing is held between them.
        connection = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
    elif (path := Path(url.removeprefix("sqlite:///"))).is_file():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        yield Reading(connection, sqlite=sqlite)
    finally:
        if connection is not None:
            connection.close()


def revision(read: Reading) -> str | None:
    """The revision of the schema."""
    found = read.rows("select version_num from alembic_version")
    return str(found[0][0]) if found else None


def items(read: Reading, department: str | None = None, limit: int | None = None) -> list[dict[str, Any]]:
    """As `catalogue.items`."""
    where, parameters = _STANDING, []
    if department is not None:
        where += " and ? in (v.department_id, d.full, d.short, v.department_text)"
        parameters.append(department)
    sql = (
        "select v.code, v.name, v.type, v.department_id, coalesce(nullif(d.short, ''), v.department_text)"
        " from item_version v left join department d on d.id = v.department_id"
        f" where {where} order by v.code, v.name, v.id"
    ).replace("d.full", 'd."full"')
    if limit is not None:
        sql += f" limit {int(limit)}"
    return [
        {"code": code, "name": name, "type": type_, "department": {"id": department_id, "name": text}}
        for code, name, type_, department_id, text in ([] if read.empty else read.rows(sql, parameters))
    ]


def knows_department(read: Reading, name: str) -> bool:
    """Whether a department is known by this id or name."""
    return bool(read.rows('select 1 from department d where ? in (d.id, d."full", d.short)', (name,)))


def check(read: Reading) -> list[tuple[str | None, str, str, str, int]]:
    """Code, name, kind, department and number of bases of every target that stands."""
    sql = (
        "select v.code, v.name, i.kind, coalesce(nullif(d.short, ''), v.department_text, ''),"
        " (select count(*) from basis b where b.version_id = v.id)"
        " from item_version v join item i on i.id = v.item_id left join department d on d.id = v.department_id"
        f" where {_STANDING} order by v.code, v.name, v.id"
    )
    return [] if read.empty else [(row[0], row[1], row[2], row[3], row[4]) for row in read.rows(sql)]


def people(read: Reading) -> list[dict[str, Any]]:
    """As `office.people`."""
    sql = (
        "select p.id, p.name, c.address, d.id, d.short, o.role from person p"
        " left join contact c on c.person_id = p.id and c.kind = 'mail'"
        " left join post o on o.person_id = p.id left join department d on d.id = o.department_id"
        " where p.disabled_at is null order by p.id, o.from_on, o.id"
    )
    found: dict[str, dict[str, Any]] = {}
    for person_id, name, address, department_id, short, role in [] if read.empty else read.rows(sql):
        department = None if department_id is None else {"id": department_id, "name": short}
        fresh = {"id": person_id, "name": name, "email": address, "department": department, "roles": []}
        roles = found.setdefault(person_id, fresh)["roles"]
        if role is not None and role not in roles:
            roles.append(role)
    return list(found.values())


def laws(read: Reading) -> list[dict[str, Any]]:
    """As `laws.laws`."""
    sql = (
        "select l.id, l.title, l.canonical, v.edition_on, v.header from law l left join law_version v on v.law_id = l.id"
        " order by l.canonical, v.edition_on"
    )
    return shelf(
        (law_id, title, canonical, None if edition is None else date.fromisoformat(str(edition)), header)
        for law_id, title, canonical, edition, header in ([] if read.empty else read.rows(sql))
    )


def workdays(read: Reading) -> dict[date, bool]:
    """The days of the arrangements loaded."""
    found = [] if read.empty else read.rows("select day, is_workday from workday")
    return {date.fromisoformat(str(day)): bool(works) for day, works in found}


def changes(read: Reading, state: str | None = None) -> list[dict[str, Any]]:
    """As `actions.views.change_list`."""
    if read.empty:
        return []
    held = _files(read, "where c.state = ?" if state is not None else "", () if state is None else (state,))
    _name(read, held)
    return [change_head(held, row) for row in held.changes]


def change(read: Reading, reference: str) -> dict[str, Any] | None:
    """As `actions.views.change_show`; None where there is no such change."""
    held = Files([]) if read.empty else _files(read, "where c.id = ? or c.number = ?", (reference, reference))
    if not held.changes:
        return None
    number = (held.changes[0]["id"],)
    lines = read.dicts(
        "select id, kind, code, name, outcomes, state, revision, effective_at, sheet_id, reason, uncertain, declined, road"
        " from adjustment where change_id = ? order by ord, id",
        number,
    )
    made = read.dicts(
        "select d.assignment_id, d.person_id, d.acting_for_id, d.verdict, d.at, d.via, d.proof, d.comment, s.stage, s.round,"
        " s.sheet_id from decision d join step s on s.id = d.step_id where d.change_id = ? and d.undone_at is null"
        " order by d.at, d.id",
        number,
    )
    log = read.dicts(
        "select seq, at, who, acting_for, via, verb, object, data from change_log where change_id = ? order by seq",
        number,
    )
    _name(read, held, [*made, *log])
    return change_whole(held, held.changes[0], lines, made, log)


def _files(read: Reading, where: str, parameters: Sequence[Any]) -> Files:
    """Some changes with their sheets, steps and open assignments."""
    columns = (
        "id, number, trigger, title, reason, state, phase, attempt, flow_run_id, stuck, starter_id, coordinator_id,"
        " created_at, effective_on"
    )
    chosen = ", ".join(f'c."{name}"' for name in columns.split(", "))
    held = Files(read.dicts(f"select {chosen} from change c {where} order by c.number", parameters))
    scope = f"where x.change_id in (select c.id from change c {where})"
    for row in read.dicts(f"select x.* from sheet x {scope} order by x.ord, x.id", parameters):
        held.sheets.setdefault(row["change_id"], []).append(row)
    for row in read.dicts(f"select x.* from step x {scope} order by x.opened_at, x.id", parameters):
        held.steps.setdefault(row["change_id"], []).append(row)
    order = "order by x.opened_at, x.person_id, x.id"
    for row in read.dicts(f"select x.* from assignment x {scope} and x.state = 'open' {order}", parameters):
        held.assignments.setdefault(row["step_id"], []).append(row)
    return held


def _name(read: Reading, held: Files, entries: Iterable[dict[str, Any]] = ()) -> None:
    """Read the names of everybody in it."""
    people = sorted(people_of(held, entries))
    for start in range(0, len(people), 500):
        some = people[start : start + 500]
        marks = ", ".join("?" * len(some))
        held.names.update(
            (key, name) for key, name in read.rows(f"select id, name from person where id in ({marks})", some)
        )
