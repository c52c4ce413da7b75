"""Departments and people from the office's CSV files."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.domain.codes import uscc_problems
from models.intake.files import Source, Table, examine, parse_csv, unreadable
from models.intake.rows import Problem, ReadFile, ReadRow, refused, warned

ROLES: frozenset[str] = frozenset(
    {
        "coordinator",
        "drafter",
        "form_reviewer",
        "legality_reviewer",
        "list_reviewer",
        "naming_reviewer",
        "department_head",
        "approver",
        "connection_owner",
        "auditor",
    }
)
# apprise splits recipients at "," and reads "&" and "?" as its own options; such an address would mail somebody else.
_ADDRESS = re.compile(r"[^\s,&?@<>;\"，；]+@[^\s,&?@<>;\"，；/]+")
DEPARTMENT_COLUMNS = ("id", "full", "short", "uscc", "level", "region", "superior")
PERSON_COLUMNS = ("id", "name", "email", "department", "roles", "level", "region", "from", "to")


class DepartmentRow(BaseModel):
    """A department as the file has it; `superior` is a department id or None."""

    model_config = ConfigDict(frozen=True)
    row: int
    id: str
    full: str
    short: str
    uscc: str | None = None
    level: str = ""
    region: str = ""
    superior: str | None = None
    extra: dict[str, str] = {}


class PersonRow(BaseModel):
    """A person with the posts of one row; `department` is an id or a name as written; email None = not reachable."""

    model_config = ConfigDict(frozen=True)
    row: int
    id: str
    name: str
    email: str | None = None
    department: str = ""
    roles: tuple[str, ...] = ()
    level: str = ""
    region: str = ""
    from_on: date | None = None
    to_on: date | None = None
    extra: dict[str, str] = {}


def address_ok(address: str) -> bool:
    """True for one usable mail address: one @, no comma, blank, & or ?."""
    return _ADDRESS.fullmatch(address) is not None


def read_departments(path: Path, source: Source | None = None) -> ReadFile[DepartmentRow]:
    """All departments of a CSV. Raises BadInput file_unreadable for another kind of file."""
    table = _table(path, source, "departments")
    seen: dict[str, int] = {}
    rows = []
    for number, record in table.records:
        read = _department(number, record, dict(table.odd))
        if read.value is not None:
            first = seen.setdefault(read.value.id, number)
            if first != number:
                read = ReadRow(number, None, (refused(number, "id", f"编号“{read.value.id}”与第 {first} 行重复"),))
        rows.append(read)
    return ReadFile("departments", "own", tuple(rows), unknown_columns(table, DEPARTMENT_COLUMNS))


def read_people(path: Path, source: Source | None = None) -> ReadFile[PersonRow]:
    """All people of a CSV; a person may stand in several rows, one per department."""
    table = _table(path, source, "people")
    seen: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    rows = []
    for number, record in table.records:
        read = _person(number, record, dict(table.odd))
        person = read.value
        if person is not None:
            first = seen.setdefault((person.id, person.department), number)
            if first != number:
                read = ReadRow(number, None, (refused(number, "id", f"编号“{person.id}”与第 {first} 行重复"),))
            elif names.setdefault(person.id, person.name) != person.name:
                reason = f"编号“{person.id}”已属于“{names[person.id]}”"
                read = ReadRow(number, None, (refused(number, "id", reason),))
        rows.append(read)
    return ReadFile("people", "own", tuple(rows), unknown_columns(table, PERSON_COLUMNS))


def unknown_columns(table: Table, known: tuple[str, ...]) -> tuple[Problem, ...]:
    """One note per column that no field has: kept, and said."""
    return tuple(
        Problem(row=1, field=name, level="warning", message=f"列“{name}”不在字段表中，内容已原样保留。")
        for name in table.columns
        if name and name not in known
    )


def _table(path: Path, source: Source | None, kind: str) -> Table:
    found = source or examine(path)
    if found.kind != kind:
        raise unreadable(path, f"内容是 {found.kind}，不是 {kind}")
    return parse_csv(path, found.text)


def _extra(record: dict[str, str], known: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in record.items() if name and name not in known and value}


def _department(number: int, record: dict[str, str], odd: dict[int, str]) -> ReadRow[DepartmentRow]:
    for name in ("id", "full"):
        if not record.get(name):
            return ReadRow(number, None, (refused(number, name, "未填写"),))
    problems = [warned(number, "整行", odd[number])] if number in odd else []
    uscc = record.get("uscc", "").upper()
    problems += [warned(number, "uscc", reason) for reason in (uscc_problems(uscc) if uscc else [])]
    superior = record.get("superior") or None
    if superior == record["id"]:
        problems.append(warned(number, "superior", "上级部门是它自己，未登记上级"))
        superior = None
    value = DepartmentRow(
        row=number,
        id=record["id"],
        full=record["full"],
        short=record.get("short") or record["full"],
        uscc=uscc or None,
        level=record.get("level", ""),
        region=record.get("region", ""),
        superior=superior,
        extra=_extra(record, DEPARTMENT_COLUMNS),
    )
    return ReadRow(number, value, tuple(problems))


def _person(number: int, record: dict[str, str], odd: dict[int, str]) -> ReadRow[PersonRow]:
    for name in ("id", "name"):
        if not record.get(name):
            return ReadRow(number, None, (refused(number, name, "未填写"),))
    problems = [warned(number, "整行", odd[number])] if number in odd else []
    email = _email(number, record, problems)
    if not record.get("department"):
        problems.append(warned(number, "department", "未填写，该人不属于任何部门"))
    from_on, to_on = _day(number, "from", record, problems), _day(number, "to", record, problems)
    if from_on and to_on and to_on < from_on:
        problems.append(warned(number, "to", f"止日 {to_on} 早于起日 {from_on}"))
    value = PersonRow(
        row=number,
        id=record["id"],
        name=record["name"],
        email=email,
        department=record.get("department", ""),
        roles=_roles(number, record, problems),
        level=record.get("level", ""),
        region=record.get("region", ""),
        from_on=from_on,
        to_on=to_on,
        extra=_extra(record, PERSON_COLUMNS),
    )
    return ReadRow(number, value, tuple(problems))


def _email(number: int, record: dict[str, str], problems: list[Problem]) -> str | None:
    address = record.get("email", "")
    if not address:
        problems.append(warned(number, "email", f"{record['name']}没有邮箱，通知无法送达"))
        return None
    if address_ok(address):
        return address
    message = f"第 {number} 行：{record['name']}的邮箱“{address}”不可用（不能含逗号、空格、& 和 ?），未登记。"
    problems.append(Problem(row=number, field="email", level="warning", message=message))
    return None


def _roles(number: int, record: dict[str, str], problems: list[Problem]) -> tuple[str, ...]:
    roles = []
    for role in re.split(r"[;；]", record.get("roles", "")):
        name = role.strip()
        if not name or name in roles:
            continue
        if name not in ROLES:
            problems.append(warned(number, "roles", f"没有名为“{name}”的角色，该角色未登记"))
            continue
        roles.append(name)
    return tuple(roles)


def _day(number: int, name: str, record: dict[str, str], problems: list[Problem]) -> date | None:
    text = record.get(name, "")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(warned(number, name, f"“{text}”不是日期，例如 2026-01-31，未登记"))
        return None
