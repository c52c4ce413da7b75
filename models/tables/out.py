"""What leaves the office: notices, links, sign-ins, documents, publications and lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.tables.base import UtcDateTime


class Notice(SQLModel, table=True):
    """One message to one person, in the outbox until delivered. Body and token exist only while it is sent."""

    __tablename__ = "notice"
    __table_args__ = (
        Index(
            "ix_notice_waiting",
            "next_at",
            sqlite_where=text("state in ('queued','held','retrying','sending')"),
            postgresql_where=text("state in ('queued','held','retrying','sending')"),
        ),
        Index(
            "ix_notice_undeliverable",
            "created_at",
            sqlite_where=text("state = 'undeliverable'"),
            postgresql_where=text("state = 'undeliverable'"),
        ),
        Index("ix_notice_person", "person_id", "change_id"),
    )
    id: str = Field(primary_key=True)
    key: str = Field(unique=True)
    person_id: str = Field(foreign_key="person.id")
    change_id: str | None = Field(default=None, index=True)
    step_id: str | None = None
    kind: str
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    link_id: str | None = None
    state: str = "queued"
    created_at: datetime = Field(sa_type=UtcDateTime)
    next_at: datetime = Field(sa_type=UtcDateTime)
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    tries: int = 0
    repeat: int = 0
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str = ""


class Link(SQLModel, table=True):
    __tablename__ = "link"
    __table_args__ = (
        Index(
            "uq_link_active",
            "person_id",
            "change_id",
            "purpose",
            unique=True,
            sqlite_where=text("revoked_at is null and change_id is not null"),
            postgresql_where=text("revoked_at is null and change_id is not null"),
        ),
    )
    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id")
    purpose: str
    change_id: str | None = None
    key_id: str
    nonce: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    spent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Session(SQLModel, table=True):
    __tablename__ = "session"
    hash: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id")
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ProofCode(SQLModel, table=True):
    """A code of six digits mailed to a person; computed from this row and a secret outside the database."""

    __tablename__ = "proof_code"
    __table_args__ = (Index("ix_proof_code_person", "person_id", "created_at"),)
    id: str = Field(primary_key=True)
    person_id: str = Field(foreign_key="person.id")
    key_id: str
    nonce: str
    browser: str = Field(description="hash of the cookie of the browser that asked")
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    tries: int = 0
    proved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_until: datetime | None = Field(default=None, sa_type=UtcDateTime, description="the proof holds until then")


class Document(SQLModel, table=True):
    __tablename__ = "document"
    id: str = Field(primary_key=True)
    sha256: str
    title: str
    number: str = ""
    issuer: str = ""
    owner_kind: str
    owner_id: str
    at: datetime = Field(sa_type=UtcDateTime)


class Publication(SQLModel, table=True):
    __tablename__ = "publication"
    __table_args__ = (UniqueConstraint("change_id", "effective_at"),)
    id: str = Field(primary_key=True)
    number: str = Field(unique=True)
    change_id: str | None = Field(default=None, index=True)
    title: str
    effective_at: datetime = Field(sa_type=UtcDateTime)
    published_at: datetime = Field(sa_type=UtcDateTime)
    state: str = "published"
    document_id: str | None = None


class PublicationLine(SQLModel, table=True):
    __tablename__ = "publication_line"
    publication_id: str = Field(foreign_key="publication.id", primary_key=True)
    item_id: str = Field(primary_key=True)
    adjustment_id: str | None = None
    old_version_id: str | None = None
    new_version_id: str | None = None


class ListSnapshot(SQLModel, table=True):
    """A derived list as it stood after a publication, with what came and went."""

    __tablename__ = "list_snapshot"
    list: str = Field(primary_key=True)
    publication_id: str = Field(foreign_key="publication.id", primary_key=True)
    hash: str
    total: int
    added: int
    removed: int
    changed: int
    delta: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class ApiToken(SQLModel, table=True):
    """A key for another system: shown once, stored as a hash; scopes are `read`, `start`, `receipt`."""

    __tablename__ = "api_token"
    id: str = Field(primary_key=True)
    hash: str = Field(unique=True)
    person_id: str = Field(foreign_key="person.id")
    scopes: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
