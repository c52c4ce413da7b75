"""The SQLAlchemy table of a model class, and a list of texts as one parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Dialect, String, Table, bindparam, insert
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.schema import ScalarElementColumnDefault
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


#: From so many rows on PostgreSQL takes a set faster as one COPY.
_COPY_FROM = 200


def insert_all(connection: Connection, target: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Insert a set of rows with the same columns in one go."""
    if not values:
        return
    if connection.dialect.name != "postgresql" or len(values) < _COPY_FROM:
        connection.execute(insert(target), list(values))
        return
    fixed = {
        column.name: column.default.arg
        for column in target.c
        if isinstance(column.default, ScalarElementColumnDefault) and column.name not in values[0]
    }
    names = [*values[0], *fixed]
    bound = [target.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for name in names]
    listed = ", ".join(f'"{name}"' for name in names)
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f'copy "{target.name}" ({listed}) from stdin') as copy:
            for row in values:
                plain = {**row, **fixed} if fixed else row
                copy.write_row(
                    [
                        plain[name] if bind is None else bind(plain[name])
                        for name, bind in zip(names, bound, strict=True)
                    ]
                )
    finally:
        cursor.close()


def among(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """`column in (…)` with one parameter for any number of texts: one statement, cached, however long the list."""
    texts = bindparam(None, list(values), type_=_Texts(), unique=True)
    return cast("ColumnElement[bool]", column.op("in", is_comparison=True)(_listed(texts)))
