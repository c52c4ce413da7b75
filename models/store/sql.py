"""The SQLAlchemy table of a model class, and a list of texts as one parameter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Dialect, String, Table, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel


def table(model: type[SQLModel]) -> Table:
    """The Core table of a `table=True` model."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


class _Texts(TypeDecorator[Any]):
    """A list of texts: an array on PostgreSQL, JSON on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(String) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return list(value) if dialect.name == "postgresql" else json.dumps(list(value))


class _listed(GenericFunction[Any]):
    """The texts of one parameter as rows."""

    type = String()
    inherit_cache = True
    name = "listed"


@compiles(_listed, "sqlite")
def _listed_sqlite(element: Any, compiler: Any, **named: Any) -> str:
    return f"(select value from json_each({compiler.process(element.clauses, **named)}))"


@compiles(_listed, "postgresql")
def _listed_postgresql(element: Any, compiler: Any, **named: Any) -> str:
    return f"(select unnest({compiler.process(element.clauses, **named)}))"


def among(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """`column in (…)` with one parameter for any number of texts: one statement, cached, however long the list."""
    texts = bindparam(None, list(values), type_=_Texts(), unique=True)
    return cast("ColumnElement[bool]", column.op("in", is_comparison=True)(_listed(texts)))
