"""The catalogue: what an item is, in versions that are never edited.

One table holds the three kinds of target (item, implementation, handling item): they have the same life, and a
change handles them as sets.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, text
from sqlmodel import Field, SQLModel

from models.tables.base import UtcDateTime


class Item(SQLModel, table=True):
    """A target that versions belong to. `identity` is what a second load finds it again by."""

    __tablename__ = "item"
    id: str = Field(primary_key=True)
    kind: str
    identity: str = Field(unique=True)
    parent_id: str | None = Field(default=None, foreign_key="item.id", index=True)


class ItemVersion(SQLModel, table=True):
    """Valid in [valid_from, valid_to), known since recorded_at; two standing versions of an item never overlap."""

    __tablename__ = "item_version"
    __table_args__ = (
        CheckConstraint("valid_to is null or valid_to > valid_from", name="period"),
        Index(
            "ix_item_version_current",
            "item_id",
            unique=True,
            sqlite_where=text("valid_to is null and superseded_at is null"),
            postgresql_where=text("valid_to is null and superseded_at is null"),
        ),
        Index("ix_item_version_period", "valid_from", "valid_to"),
    )
    id: str = Field(primary_key=True)
    item_id: str = Field(foreign_key="item.id", index=True)
    no: int
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    superseded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_from: datetime = Field(sa_type=UtcDateTime)
    valid_to: datetime | None = Field(default=None, sa_type=UtcDateTime)
    legal_since: date | None = None
    state: str = Field(default="active", description="active, suspended, cancelled")
    name: str
    type: str = Field(index=True)
    code: str | None = Field(default=None, index=True)
    department_id: str | None = Field(default=None, foreign_key="department.id", index=True)
    department_text: str = ""
    content: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    hash: str
    adjustment_id: str | None = None
    publication_id: str | None = Field(default=None, index=True)


_MENTIONS = text("mentions is not null")


class Basis(SQLModel, table=True):
    """One cited article of one version, or of the law as a whole where `article` is null."""

    __tablename__ = "basis"
    __table_args__ = (
        Index("ix_basis_article", "canonical", "article", "sub"),
        Index("ix_basis_mentioning", "version_id", sqlite_where=_MENTIONS, postgresql_where=_MENTIONS),
    )
    version_id: str = Field(foreign_key="item_version.id", primary_key=True)
    ord: int = Field(primary_key=True)
    canonical: str = Field(description="the title in its form for matching")
    title: str
    edition_on: date | None = None
    article: int | None = None
    to_article: int | None = None
    sub: int | None = None
    paragraph: int | None = None
    item: int | None = None
    subitem: int | None = None
    annex: str | None = None
    quoted: str | None = None
    mentions: str | None = Field(default=None, description="|…法|…条例|: the laws that the quoted text names, if any")
    rank: int = 6


class Code(SQLModel, table=True):
    """A code that was given once is never given to another item."""

    __tablename__ = "code"
    value: str = Field(primary_key=True)
    item_id: str = Field(foreign_key="item.id", primary_key=True)
    state: str = "in_use"


class Law(SQLModel, table=True):
    __tablename__ = "law"
    id: str = Field(primary_key=True)
    canonical: str = Field(unique=True)
    title: str


class LawVersion(SQLModel, table=True):
    __tablename__ = "law_version"
    law_id: str = Field(foreign_key="law.id", primary_key=True)
    edition_on: date = Field(primary_key=True)
    promulgated_on: date | None = None
    effective_on: date | None = None
    ended_on: date | None = None
    certainty: str = "certain"
    header: str = ""
    hash: str


class Article(SQLModel, table=True):
    __tablename__ = "article"
    law_id: str = Field(primary_key=True)
    edition_on: date = Field(primary_key=True)
    no: int = Field(primary_key=True)
    sub: int = Field(primary_key=True)
    text: str
    division: str = Field(
        default="",
        sa_column_kwargs={"server_default": ""},
        description="headings of part, chapter and section it stands in, outermost first, one a line",
    )


class LawComparison(SQLModel, table=True):
    """Which article of one text is which of another, and what kind of change: worked out once, read many times.

    `mark` stands for both texts and the rules that compared them; a comparison with another mark counts for nothing.
    """

    __tablename__ = "law_comparison"
    law_id: str = Field(foreign_key="law.id", primary_key=True)
    old_edition: date = Field(primary_key=True)
    new_edition: date = Field(primary_key=True)
    mark: str
    rows: list[Any] = Field(sa_column=Column(JSON, nullable=False))
