"""The office: departments, people, posts, how they are reached; the holiday table; facts about this home."""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import Field, SQLModel, UniqueConstraint

from models.tables.base import UtcDateTime


class Meta(SQLModel, table=True):
    """One fact about this home by name: `sample`, `catalogue_numbers` and the like."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str


class Department(SQLModel, table=True):
    __tablename__ = "department"
    id: str = Field(primary_key=True)
    full: str = Field(index=True)
    short: str
    uscc: str | None = None
    level: str = ""
    region: str = ""
    superior_id: str | None = Field(default=None, foreign_key="department.id")
    office: str = Field(
        default="", description="'' or 'service' (the catalogue office), 'list' (权责清单), 'law', 'government'"
    )


class Person(SQLModel, table=True):
    __tablename__ = "person"
    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Contact(SQLModel, table=True):
    """Where a person is reached. An address belongs to one person unless it is marked as shared."""

    __tablename__ = "contact"
    __table_args__ = (UniqueConstraint("person_id", "kind"),)
    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id", index=True)
    kind: str = "mail"
    address: str = Field(index=True)
    shared: bool = False
    bad_since: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Post(SQLModel, table=True):
    """A person holds a role in a department from a day until a day."""

    __tablename__ = "post"
    __table_args__ = (UniqueConstraint("person_id", "department_id", "role", "from_on"),)
    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id", index=True)
    department_id: str = Field(foreign_key="department.id", index=True)
    role: str = Field(index=True)
    from_on: date
    to_on: date | None = None
    level: str = ""
    region: str = ""
    superior_person_id: str | None = Field(default=None, foreign_key="person.id")


class Substitute(SQLModel, table=True):
    __tablename__ = "substitute"
    __table_args__ = (UniqueConstraint("person_id", "from_on"),)
    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id")
    by_person_id: str = Field(foreign_key="person.id")
    from_on: date
    to_on: date | None = None


class Workday(SQLModel, table=True):
    """A day of an imported yearly arrangement."""

    __tablename__ = "workday"
    day: date = Field(primary_key=True)
    is_workday: bool
