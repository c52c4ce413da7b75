"""Short reads without the table classes: they take half a second to import, longer than these answers may take.

The answers are those of `catalogue.items`, `office.people`, `laws.laws`, `actions.views.change_list` and `change_show`, and the table of
`office.calendar`; tests compare them. Only the standard library and, for PostgreSQL, its driver are imported.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.domain.audit import words
from models.domain.law_text import shelf
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
    where, parameters = ("where c.state = ?", (state,)) if state is not None else ("", ())
    return [] if read.empty else [head for head, _ in _heads(read, where, parameters)]


def change(read: Reading, reference: str) -> dict[str, Any] | None:
    """As `actions.views.change_show`; None where there is no such change."""
    found = [] if read.empty else _heads(read, "where c.id = ? or c.number = ?", (reference, reference))
    if not found:
        return None
    head, of_sheet = found[0]
    number = (head["id"],)
    adjustments = [
        {
            "id": key, "target": {"kind": kind, "code": code, "name": name}, "outcomes": outcomes.split("+"), "state": state,
            "revision": revision, "effective_at": _local(effective), "sheet": sheet, "reason": reason,
            "uncertain": bool(uncertain), "declined": bool(declined),
        }
        for key, kind, code, name, outcomes, state, revision, effective, sheet, reason, uncertain, declined in read.rows(
            "select id, kind, code, name, outcomes, state, revision, effective_at, sheet_id, reason, uncertain, declined"
            " from adjustment where change_id = ? order by ord, id",
            number,
        )
    ]  # fmt: skip
    sheets = [
        {
            "id": key, "department": {"id": department, "name": department_name}, "procedure": procedure,
            "procedure_version": edition, "round": round_, "state": state, "stuck": stuck, "parent": parent,
            "steps": of_sheet.get(key, []), "adjustments": [a["id"] for a in adjustments if a["sheet"] == key],
        }
        for key, department, department_name, procedure, edition, round_, state, stuck, parent in read.rows(
            "select id, department_id, department_name, procedure_key, procedure_no, round, state, stuck, parent_id"
            " from sheet where change_id = ? order by ord, id",
            number,
        )
    ]  # fmt: skip
    decisions = [
        {
            "assignment": assignment, "person": _person(by, name), "acting_for": _person(acting, acting_name),
            "verdict": verdict, "at": _local(at), "via": via, "proof": proof, "stage": stage, "round": round_,
            "sheet": sheet, "comment": comment,
        }
        for assignment, by, name, acting, acting_name, verdict, at, via, proof, stage, round_, sheet, comment in read.rows(
            "select d.assignment_id, p.id, p.name, f.id, f.name, d.verdict, d.at, d.via, d.proof, s.stage, s.round,"
            " s.sheet_id, d.comment from decision d join step s on s.id = d.step_id join person p on p.id = d.person_id"
            " left join person f on f.id = d.acting_for_id where d.change_id = ? and d.undone_at is null"
            " order by d.at, d.id",
            number,
        )
    ]  # fmt: skip
    log = [
        {
            "seq": seq, "at": _local(at), "who": _person(who, who_name), "acting_for": _person(acting, acting_name),
            "via": via, "verb": verb, "object": about, "data": words(json.loads(data) if isinstance(data, str) else data),
        }
        for seq, at, who, who_name, acting, acting_name, via, verb, about, data in read.rows(
            "select l.seq, l.at, l.who, p.name, l.acting_for, f.name, l.via, l.verb, l.object, l.data from change_log l"
            " left join person p on p.id = l.who left join person f on f.id = l.acting_for"
            " where l.change_id = ? order by l.seq",
            number,
        )
    ]  # fmt: skip
    return {**head, "sheets": sheets, "adjustments": adjustments, "decisions": decisions, "log": log}


def _heads(
    read: Reading, where: str, parameters: Sequence[Any]
) -> list[tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]]:
    """Each change with its own steps, and the steps of its sheets by sheet."""
    scope = f"from step s join change c on c.id = s.change_id {where}"
    waiting: dict[str, list[dict[str, Any]]] = {}
    for step_id, person, name, acting, acting_name in read.rows(
        "select a.step_id, p.id, p.name, f.id, f.name from assignment a join person p on p.id = a.person_id"
        " left join person f on f.id = a.acting_for_id"
        f" where a.state = 'open' and a.step_id in (select s.id {scope}) order by a.opened_at, a.person_id, a.id",
        parameters,
    ):
        entry = {"person": _person(person, name), "acting_for": _person(acting, acting_name)}
        waiting.setdefault(step_id, []).append(entry)
    own: dict[str, list[dict[str, Any]]] = {}
    of_sheet: dict[str, dict[str, list[dict[str, Any]]]] = {}
    columns = (
        "s.change_id, s.sheet_id, s.id, s.stage, s.round, s.state, s.due_on, s.provisional, s.opened_at, s.no_owner"
    )
    for change_id, sheet_id, step_id, stage, round_, standing, due, provisional, opened, no_owner in read.rows(
        f"select {columns} {scope} order by s.opened_at, s.id", parameters
    ):
        step = {
            "id": step_id, "stage": stage, "stage_name": STAGE_NAMES[stage], "round": round_, "state": standing,
            "due": _text(due), "provisional": bool(provisional), "opened_at": _local(opened), "no_owner": no_owner,
            "waits_for": waiting.get(step_id, []) if standing == "open" else [],
        }  # fmt: skip
        if sheet_id is None:
            own.setdefault(change_id, []).append(step)
        else:
            of_sheet.setdefault(change_id, {}).setdefault(sheet_id, []).append(step)
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
        (
            {
                **dict(zip(names, row, strict=False)),
                "starter": _person(row[10], row[11]),
                "coordinator": _person(row[12], row[13]),
                "created_at": _local(row[14]),
                "effective_on": _text(row[15]),
                "steps": own.get(row[0], []),
            },
            of_sheet.get(row[0], {}),
        )
        for row in found
    ]


def _person(person_id: str | None, name: str | None) -> dict[str, Any] | None:
    return None if person_id is None else {"id": person_id, "name": name}


def _text(day: object) -> str | None:
    return None if day is None else str(day)


def _local(moment: Any) -> str | None:
    """A stored moment as ISO 8601 in Shanghai; SQLite keeps UTC as text without a zone."""
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    text: str = moment.astimezone(SHANGHAI).isoformat(timespec="seconds")
    return text
