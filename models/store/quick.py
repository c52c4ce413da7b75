"""Short reads without the table classes: they take half a second to import, longer than these answers may take.

The answers are those of `catalogue.items`, `office.people`, `laws.laws`, `actions.views.change_list` and the table of
`office.calendar`; tests compare them. Only the standard library and, for PostgreSQL, its driver are imported.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.domain.vocabulary import STAGE_NAMES

SHANGHAI = ZoneInfo("Asia/Shanghai")
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


@contextlib.contextmanager
def reading(url: str) -> Iterator[Reading]:
    """A reading of the database at a SQLAlchemy address; empty where its file does not exist."""
    sqlite = url.startswith("sqlite")
    connection: Any = None
    if not sqlite:
        import psycopg

        connection = psycopg.connect(url.replace("+psycopg", "", 1))
    elif (path := Path(url.removeprefix("sqlite:///"))).is_file():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        yield Reading(connection, sqlite=sqlite)
    finally:
        if connection is not None:
            connection.close()


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
        "select l.id, l.title, l.canonical, v.edition_on from law l left join law_version v on v.law_id = l.id"
        " order by l.canonical, v.edition_on"
    )
    found: dict[str, dict[str, Any]] = {}
    for law_id, title, canonical, edition in [] if read.empty else read.rows(sql):
        entry = found.setdefault(law_id, {"id": law_id, "title": title, "canonical": canonical, "editions": []})
        if edition is not None:
            entry["editions"].append(str(edition))
    return list(found.values())


def workdays(read: Reading) -> dict[date, bool]:
    """The days of the arrangements loaded."""
    found = [] if read.empty else read.rows("select day, is_workday from workday")
    return {date.fromisoformat(str(day)): bool(works) for day, works in found}


def changes(read: Reading, state: str | None = None) -> list[dict[str, Any]]:
    """As `actions.views.change_list`."""
    if read.empty:
        return []
    where, parameters = ("where c.state = ?", (state,)) if state is not None else ("", ())
    scope = f"from step s join change c on c.id = s.change_id and s.sheet_id is null {where}"
    waiting: dict[str, list[dict[str, Any]]] = {}
    for step_id, person, name, acting, acting_name in read.rows(
        "select a.step_id, p.id, p.name, f.id, f.name from assignment a join person p on p.id = a.person_id"
        " left join person f on f.id = a.acting_for_id"
        f" where a.state = 'open' and a.step_id in (select s.id {scope}) order by a.opened_at, a.id",
        parameters,
    ):
        entry = {"person": _person(person, name), "acting_for": _person(acting, acting_name)}
        waiting.setdefault(step_id, []).append(entry)
    steps: dict[str, list[dict[str, Any]]] = {}
    columns = "s.change_id, s.id, s.stage, s.round, s.state, s.due_on, s.provisional, s.opened_at, s.no_owner"
    for change_id, step_id, stage, round_, standing, due, provisional, opened, no_owner in read.rows(
        f"select {columns} {scope} order by s.opened_at, s.id", parameters
    ):
        step = {
            "id": step_id, "stage": stage, "stage_name": STAGE_NAMES[stage], "round": round_, "state": standing,
            "due": _text(due), "provisional": bool(provisional), "opened_at": _local(opened), "no_owner": no_owner,
            "waits_for": waiting.get(step_id, []) if standing == "open" else [],
        }  # fmt: skip
        steps.setdefault(change_id, []).append(step)
    columns = (
        "c.id, c.number, c.trigger, c.title, c.reason, c.state, c.phase, c.attempt, c.flow_run_id, c.stuck, c.starter_id,"
        " a.name, c.coordinator_id, b.name, c.created_at, c.effective_on"
    ).replace("c.trigger", 'c."trigger"')
    found = read.rows(
        f"select {columns} from change c left join person a on a.id = c.starter_id"
        f" left join person b on b.id = c.coordinator_id {where} order by c.number",
        parameters,
    )
    names = ("id", "number", "trigger", "title", "reason", "state", "phase", "attempt", "flow_run_id", "stuck")
    return [
        {
            **dict(zip(names, row, strict=False)),
            "starter": _person(row[10], row[11]),
            "coordinator": _person(row[12], row[13]),
            "created_at": _local(row[14]),
            "effective_on": _text(row[15]),
            "steps": steps.get(row[0], []),
        }
        for row in found
    ]


def _person(person_id: str | None, name: str | None) -> dict[str, Any] | None:
    return None if person_id is None else {"id": person_id, "name": name}


def _text(day: object) -> str | None:
    return None if day is None else str(day)


def _local(moment: Any) -> str:
    """A stored moment as ISO 8601 in Shanghai; SQLite keeps UTC as text without a zone."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    text: str = moment.astimezone(SHANGHAI).isoformat(timespec="seconds")
    return text
