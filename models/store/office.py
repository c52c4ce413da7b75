"""The office as the verbs ask for it: departments, people, posts, substitutes, the calendar, facts about this home."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Date,
    Engine,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)

from models.domain.calendar import WorkCalendar
from models.domain.errors import Unknown
from models.reference.workdays import official_calendar
from models.store.change import rows
from models.store.pipeline import ask_ahead
from models.store.sql import table
from models.tables import Contact, Department, Meta, Person, Post, Substitute, Workday, new_id

CONTACT = table(Contact)
DEPARTMENT = table(Department)
META = table(Meta)
PERSON = table(Person)
POST = table(Post)
SUBSTITUTE = table(Substitute)
WORKDAY = table(Workday)

#: The fact that names the edition of the work calendar; new with each change of its days.
EDITION = "workdays"
_SET_META = text(
    "insert into meta (key, value) values (:key, :value) on conflict (key) do update set value = excluded.value"
)
#: The day a question is about, given each time it is asked.
_ON: BindParameter[date] = bindparam("on", type_=Date())
_CALENDARS: WeakKeyDictionary[Engine, tuple[str, WorkCalendar]] = WeakKeyDictionary()


@dataclass(frozen=True)
class PersonRow:
    """A person with the address notices go to and the department of his first post."""

    id: str
    name: str
    address: str | None
    department_id: str | None
    department_name: str


@dataclass(frozen=True)
class EligibleRow:
    """One holder of a role on a day."""

    person_id: str
    name: str
    superior_person_id: str | None


@dataclass(frozen=True)
class DepartmentRow:
    """A department; `office` says what it does for the catalogue ('' or service, list, law, government)."""

    id: str
    full: str
    short: str
    level: str
    office: str


# --- people ------------------------------------------------------------------------------------------------------


def person(connection: Connection, ref: str) -> PersonRow:
    """A person by id, address or unique name. Raises Unknown person_unknown."""
    found = connection.execute(select(PERSON.c.id, PERSON.c.name).where(PERSON.c.id == ref)).all()
    if not found and "@" in ref:
        found = connection.execute(
            select(PERSON.c.id, PERSON.c.name)
            .join(CONTACT, CONTACT.c.person_id == PERSON.c.id)
            .where(and_(CONTACT.c.kind == "mail", CONTACT.c.address == ref, CONTACT.c.shared.is_(False)))
        ).all()
    if not found:
        found = connection.execute(
            select(PERSON.c.id, PERSON.c.name).where(and_(PERSON.c.name == ref, PERSON.c.disabled_at.is_(None)))
        ).all()
    if len(found) != 1:
        raise Unknown("person_unknown", f"没有“{ref}”，或者有多人同名，请改用编号或者邮箱。", name=ref)
    person_id, name = found[0]
    address = connection.execute(
        select(CONTACT.c.address).where(and_(CONTACT.c.person_id == person_id, CONTACT.c.kind == "mail"))
    ).scalar()
    home = connection.execute(
        select(DEPARTMENT.c.id, DEPARTMENT.c.short)
        .join(POST, POST.c.department_id == DEPARTMENT.c.id)
        .where(POST.c.person_id == person_id)
        .order_by(POST.c.from_on.desc(), POST.c.id)
    ).first()
    return PersonRow(person_id, name, address, None if home is None else home.id, "" if home is None else home.short)


def sharers(connection: Connection, person_id: str) -> list[str]:
    """Who reads a person's mailbox besides nobody else: himself, and whoever shares an address marked as shared."""
    mine, theirs = CONTACT.alias(), CONTACT.alias()
    query = (
        select(theirs.c.person_id)
        .select_from(mine)
        .join(theirs, and_(func.lower(theirs.c.address) == func.lower(mine.c.address), theirs.c.kind == "mail"))
        .join(PERSON, PERSON.c.id == theirs.c.person_id)
        .where(and_(mine.c.person_id == person_id, mine.c.kind == "mail", mine.c.shared, theirs.c.shared))
        .where(PERSON.c.disabled_at.is_(None))
        .order_by(theirs.c.person_id)
    )
    return list(connection.execute(query).scalars()) or [person_id]


def shares_address(connection: Connection, person_id: str) -> bool:
    """Whether a person's address is marked as shared."""
    return bool(connection.execute(_shares(), {"person_id": person_id}).scalar())


@cache
def _shares() -> Select[Any]:
    return select(CONTACT.c.shared).where(and_(CONTACT.c.person_id == bindparam("person_id"), CONTACT.c.kind == "mail"))


def name_of(connection: Connection, person_id: str) -> str:
    """The name of a person by id. Raises Unknown person_unknown."""
    name = connection.execute(_name(), {"person_id": person_id}).scalar()
    if name is None:
        raise Unknown("person_unknown", f"没有“{person_id}”，请改用编号或者邮箱。", name=person_id)
    return str(name)


@cache
def _name() -> Select[Any]:
    return select(PERSON.c.name).where(PERSON.c.id == bindparam("person_id"))


def is_here(connection: Connection, person_id: str, on: date) -> bool:
    """Whether a person has not been disabled, and of the posts he had holds one on this day or later."""
    posts = select(POST.c.id).where(POST.c.person_id == person_id)
    held = posts.where(or_(POST.c.to_on.is_(None), POST.c.to_on >= on))
    query = select(PERSON.c.id).where(and_(PERSON.c.id == person_id, PERSON.c.disabled_at.is_(None)))
    return connection.execute(query.where(or_(~posts.exists(), held.exists()))).first() is not None


def _held_on(on: date | BindParameter[date]) -> ColumnElement[bool]:
    """A post held on a day, by a person who has not been disabled."""
    return and_(POST.c.from_on <= on, or_(POST.c.to_on.is_(None), POST.c.to_on >= on), PERSON.c.disabled_at.is_(None))


def eligible(
    connection: Connection, *, role: str, on: date, department_id: str | None = None, office: str | None = None
) -> list[EligibleRow]:
    """Who holds a role on a day, of one department or of the departments with one office; ordered by person."""
    query = _eligible(department_id is not None, office is not None)
    given = {"role": role, "on": on, "department": department_id, "office": office}
    found: dict[str, EligibleRow] = {}
    for person_id, name, superior in connection.execute(query, {k: v for k, v in given.items() if v is not None}):
        found.setdefault(person_id, EligibleRow(person_id, name, superior))
    return list(found.values())


@cache
def _eligible(of_department: bool, of_office: bool) -> Select[Any]:
    query = (
        select(PERSON.c.id, PERSON.c.name, POST.c.superior_person_id)
        .join(POST, POST.c.person_id == PERSON.c.id)
        .where(and_(POST.c.role == bindparam("role"), _held_on(_ON)))
        .order_by(PERSON.c.id, POST.c.from_on)
    )
    if of_department:
        query = query.where(POST.c.department_id == bindparam("department"))
    if of_office:
        query = query.join(DEPARTMENT, DEPARTMENT.c.id == POST.c.department_id)
        query = query.where(DEPARTMENT.c.office == bindparam("office"))
    return query


def coordinators(connection: Connection, on: date) -> list[EligibleRow]:
    """The coordinators in post on a day."""
    return eligible(connection, role="coordinator", on=on)


def superior_of(connection: Connection, person_id: str, on: date) -> str | None:
    """The superior a person's posts of a day name; None where there is none or he has been disabled."""
    query = (
        select(POST.c.superior_person_id)
        .join(PERSON, PERSON.c.id == POST.c.superior_person_id)
        .where(and_(POST.c.person_id == person_id, _held_on(on)))
        .order_by(POST.c.from_on, POST.c.id)
    )
    return connection.execute(query).scalar()


def substitutes_on(connection: Connection, on: date) -> dict[str, str]:
    """Who stands in on a day, by the person stood in for; of several the one who began last."""
    return {row["person_id"]: row["by_person_id"] for row in rows(connection, _substitutes(), on=on)}


@cache
def _substitutes() -> Select[Any]:
    return (
        select(SUBSTITUTE.c.person_id, SUBSTITUTE.c.by_person_id)
        .join(PERSON, PERSON.c.id == SUBSTITUTE.c.by_person_id)
        .where(
            and_(
                SUBSTITUTE.c.from_on <= _ON,
                or_(SUBSTITUTE.c.to_on.is_(None), SUBSTITUTE.c.to_on >= _ON),
                PERSON.c.disabled_at.is_(None),
            )
        )
        .order_by(SUBSTITUTE.c.from_on)
    )


def people(connection: Connection) -> list[dict[str, Any]]:
    """`people list --json`: one entry a person, with the department of the first post and all roles."""
    query = (
        select(
            PERSON.c.id, PERSON.c.name, CONTACT.c.address, DEPARTMENT.c.id.label("dep"), DEPARTMENT.c.short, POST.c.role
        )
        .outerjoin(CONTACT, and_(CONTACT.c.person_id == PERSON.c.id, CONTACT.c.kind == "mail"))
        .outerjoin(POST, POST.c.person_id == PERSON.c.id)
        .outerjoin(DEPARTMENT, DEPARTMENT.c.id == POST.c.department_id)
        .where(PERSON.c.disabled_at.is_(None))
        .order_by(PERSON.c.id, POST.c.from_on, POST.c.id)
    )
    found: dict[str, dict[str, Any]] = {}
    for person_id, name, address, department_id, short, role in connection.execute(query):
        entry = found.setdefault(
            person_id,
            {
                "id": person_id,
                "name": name,
                "email": address,
                "department": None if department_id is None else {"id": department_id, "name": short},
                "roles": [],
            },
        )
        if role is not None and role not in entry["roles"]:
            entry["roles"].append(role)
    return list(found.values())


# --- departments -------------------------------------------------------------------------------------------------


def departments(connection: Connection) -> dict[str, DepartmentRow]:
    """All departments by id."""
    query = select(
        DEPARTMENT.c.id, DEPARTMENT.c.full, DEPARTMENT.c.short, DEPARTMENT.c.level, DEPARTMENT.c.office
    ).order_by(DEPARTMENT.c.id)
    return {row.id: DepartmentRow(*row) for row in connection.execute(query)}


def find_department(connection: Connection, text: str) -> str | None:
    """The id of a department by its id, full or short name; None where there is none or the name is not unique."""
    return department_index(connection).get(text.strip())


def department_index(connection: Connection) -> dict[str, str]:
    """Id, full and short name of every department to its id; names of several departments are left out."""
    rows = departments(connection).values()
    names: dict[str, set[str]] = {}
    for row in rows:
        for name in (row.full, row.short):
            if name:
                names.setdefault(name, set()).add(row.id)
    index = {name: next(iter(ids)) for name, ids in names.items() if len(ids) == 1}
    return {**index, **{row.id: row.id for row in rows}}


# --- the calendar, facts about this home -------------------------------------------------------------------------


def calendar(connection: Connection, facts: Mapping[str, str] | None = None) -> WorkCalendar:
    """The work calendar of the arrangements loaded; years without one are provisional.

    `facts` of this home, where they are at hand, name the edition of the days: each is read once a process.
    """
    edition = (get_meta(connection, EDITION) if facts is None else facts.get(EDITION)) or ""
    held = _CALENDARS.get(connection.engine)
    if held is None or held[0] != edition:
        held = (edition, official_calendar({key: value for key, value in connection.execute(select(WORKDAY))}))
        _CALENDARS[connection.engine] = held
    return held[1]


def save_workdays(connection: Connection, days: dict[date, bool]) -> tuple[int, int, int]:
    """Store days of an arrangement; returns how many were added, changed and unchanged."""
    known = {key: value for key, value in connection.execute(select(WORKDAY))}
    added = [day for day in days if day not in known]
    changed = [day for day in days if day in known and known[day] != days[day]]
    for start in range(0, len(changed), 500):
        connection.execute(delete(WORKDAY).where(WORKDAY.c.day.in_(changed[start : start + 500])))
    values = [{"day": day, "is_workday": days[day]} for day in [*added, *changed]]
    if values:
        connection.execute(insert(WORKDAY), values)
        set_meta(connection, EDITION, new_id("wd"))
    return len(added), len(changed), len(days) - len(values)


def get_meta(connection: Connection, key: str) -> str | None:
    """One fact about this home by name; None where it was never set."""
    return connection.execute(select(META.c.value).where(META.c.key == key)).scalar()


def set_meta(connection: Connection, key: str, value: str) -> None:
    """Set one fact about this home; of two at one moment the later one stands."""
    connection.execute(_SET_META, {"key": key, "value": value})


_FACTS = select(META.c.key, META.c.value)


def ask_of_notices(connection: Connection, *, on: date, contact_id: str | None) -> None:
    """Ask ahead what is asked before people are told: the facts about this home, who stands in, and the person to ask."""
    ask_ahead(connection, (_FACTS, {}), (_substitutes(), {"on": on}))
    if contact_id is not None:
        ask_ahead(connection, (_name_and_address(), {"person_id": contact_id}))


def facts(connection: Connection) -> dict[str, str]:
    """All facts about this home by name."""
    return {row["key"]: row["value"] for row in rows(connection, _FACTS)}


def is_sample(connection: Connection) -> bool:
    """Whether this home holds the sample office."""
    return get_meta(connection, "sample") == "true"


def name_and_address(connection: Connection, person_id: str) -> tuple[str, str | None]:
    """The name and the mail address of a person by id. Raises Unknown person_unknown."""
    found = rows(connection, _name_and_address(), person_id=person_id)
    if not found:
        raise Unknown("person_unknown", f"没有“{person_id}”，请改用编号或者邮箱。", name=person_id)
    return found[0]["name"], found[0]["address"]


@cache
def _name_and_address() -> Select[Any]:
    return (
        select(PERSON.c.name, CONTACT.c.address)
        .outerjoin(CONTACT, and_(CONTACT.c.person_id == PERSON.c.id, CONTACT.c.kind == "mail"))
        .where(PERSON.c.id == bindparam("person_id"))
    )
