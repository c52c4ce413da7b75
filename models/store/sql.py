"""The SQLAlchemy table of a model class, and a list of texts as one parameter."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import chain, islice
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    String,
    Table,
    Update,
    bindparam,
    insert,
    literal_column,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import SQLModel

from models.store.pipeline import ALONG, unpipelined


def table(model: type[SQLModel]) -> Table:
    """The Core table of a `table=True` model."""
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


class _Texts(TypeDecorator[Any]):
    """A list of texts: an array on PostgreSQL, JSON on SQLite."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(String) if dialect.name == "postgresql" else String())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _array if dialect.name == "postgresql" else json.dumps


def _array(texts: Sequence[str | None]) -> str:
    """A list of texts as PostgreSQL reads an array; its driver takes ten times as long for it."""
    return "{" + ",".join(map(_element, texts)) + "}"


def _element(text: str | None) -> str:
    return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _among(GenericFunction[Any]):
    """Whether a column is one of the texts of one parameter."""

    type = Boolean()
    inherit_cache = True
    name = "among"

    def self_group(self, against: Any = None) -> Any:
        """Itself: SQLite would otherwise be asked for `… in (…) = 1`, for which it takes no index."""
        return self


@compiles(_among, "sqlite")
def _among_sqlite(element: Any, compiler: Any, **named: Any) -> str:
    column, texts = (compiler.process(clause, **named) for clause in element.clauses)
    return f"{column} in (select value from json_each({texts}))"


@compiles(_among, "postgresql")
def _among_postgresql(element: Any, compiler: Any, **named: Any) -> str:
    # No `in (select unnest(…))`: on tables just filled PostgreSQL compares every row with every text.
    column, texts = (compiler.process(clause, **named) for clause in element.clauses)
    return f"{column} = any ({texts})"


#: From so many rows on PostgreSQL takes a set faster as one COPY.
_COPY_FROM = 200


def insert_all(connection: Connection, target: Table, values: Iterable[Mapping[str, Any]]) -> None:
    """Insert a set of rows with the same columns in one go; of many, PostgreSQL writes the first while the last are made.
    What the database says against it may come with the next question.
    """
    rest = iter(values)
    first = list(islice(rest, _COPY_FROM))
    if not first:
        return
    if connection.dialect.name != "postgresql" or len(first) == 1:
        connection.execute(_insert(target), [*first, *rest])
        return
    names, fixed, bound, statement = _as_arrays(target, tuple(first[0]), connection.dialect)
    columns = list(zip(names, bound, strict=True))
    if len(first) < _COPY_FROM:
        # One parameter for each column: the server runs one statement instead of as many as there are rows.
        arrays = [[row[name] if bind is None else bind(row[name]) for row in first] for name, bind in columns]
        connection.exec_driver_sql(statement, (*fixed.values(), *arrays), execution_options=ALONG)
        return
    listed = ", ".join(f'"{name}"' for name in (*names, *fixed))
    always = tuple(fixed.values())
    told = f'copy "{target.name}" ({listed}) from stdin'
    with (
        unpipelined(connection, told),
        contextlib.closing(connection.connection.cursor()) as cursor,
        cursor.copy(told) as copy,
    ):
        for row in chain(first, rest):
            copy.write_row([*(row[name] if bind is None else bind(row[name]) for name, bind in columns), *always])


@lru_cache(maxsize=500)
def _as_arrays(
    target: Table, names: tuple[str, ...], dialect: Dialect
) -> tuple[tuple[str, ...], dict[str, Any], list[Any], str]:
    """The columns given, those that are always the same with their value, how each value given becomes one of the driver,
    and the statement that inserts arrays of them.
    """
    fixed = {
        column.name: column.default.arg
        for column in target.c
        if isinstance(column.default, ScalarElementColumnDefault) and column.name not in names
    }
    bound = [target.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    listed = ", ".join(f'"{name}"' for name in (*names, *fixed))
    arrays = ", ".join(f"%s::{target.c[name].type.compile(dialect)}[]" for name in names)
    taken = ", ".join([*(f'given."{name}"' for name in names), *("%s" for _ in fixed)])
    as_names = ", ".join(f'"{name}"' for name in names)
    statement = f'insert into "{target.name}" ({listed}) select {taken} from unnest({arrays}) as given ({as_names})'
    return names, fixed, bound, statement


def among(column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """`column in (…)` with one parameter for any number of texts: one statement, cached, however long the list."""
    return _in(column, bindparam(None, list(values), type_=_Texts(), unique=True))


def written(word: str) -> ColumnElement[Any]:
    """A word that stands in the statement itself: a partial index is not taken for a parameter, and PostgreSQL, which plans
    for any value, expects of `state <> $1` next to nothing. Only for words of the code, never for what somebody sent.
    """
    assert word.isidentifier() or not word, word
    return literal_column(f"'{word}'", String())


def among_named(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a question that is written once: the texts are given under this name each time it is asked."""
    return _in(column, bindparam(name, type_=_Texts()))


def _in(column: ColumnElement[Any], texts: BindParameter[Any]) -> ColumnElement[bool]:
    return cast("ColumnElement[bool]", _among(column, texts))


@cache
def _insert(target: Table) -> Insert:
    return insert(target).execution_options(**ALONG)


@cache
def _update(target: Table, names: tuple[str, ...], several: bool) -> Update:
    where = among_named(target.c.id, "of_ids") if several else target.c.id == bindparam("of_id")
    became = {name: bindparam(f"to_{name}", type_=target.c[name].type) for name in names}
    return update(target).where(where).values(became).execution_options(**ALONG)


def stands_already(error: IntegrityError, target: Table) -> bool:
    """Whether it was a row of this table that the database would not take."""
    said = getattr(error.orig, "diag", None)  # SQLite says it in words: "UNIQUE constraint failed: request.id"
    return f" {target.name}." in str(error.orig) if said is None else bool(said.table_name == target.name)


def update_by_id(connection: Connection, target: Table, ids: Sequence[str], values: Mapping[str, Any]) -> None:
    """Give the rows with these ids the same values."""
    given = {f"to_{name}": value for name, value in values.items()}
    which: dict[str, Any] = {"of_id": ids[0]} if len(ids) == 1 else {"of_ids": list(ids)}
    connection.execute(_update(target, tuple(values), len(ids) != 1), {**which, **given})
