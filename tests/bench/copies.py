"""Many waiting changes made from a few real ones: their rows copied, in our database and in Prefect's.

The tables say which rows belong to a change: those that carry its id, and those that refer to such rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, create_engine, insert, select

from models.store.database import Database
from models.store.sql import among
from models.tables import metadata

Rows = list[dict[str, Any]]


def rows_of(connection: Connection, change_id: str) -> dict[Table, Rows]:
    """Every row that belongs to a change, by table; the tables in the order in which they can be written."""
    found: dict[Table, Rows] = {}
    for table in metadata.sorted_tables:
        if table.name == "change":
            where = table.c.id == change_id
        elif "change_id" in table.c:
            where = table.c.change_id == change_id
        else:
            owner = next((key for key in table.foreign_keys if found.get(key.column.table)), None)
            if owner is None or owner.column.table.name in {"item", "person"}:
                continue
            where = among(table.c[owner.parent.name], [row[owner.column.name] for row in found[owner.column.table]])
        found[table] = [dict(row) for row in connection.execute(select(table).where(where)).mappings()]
    return {table: rows for table, rows in found.items() if rows}


def _unique(table: Table) -> set[str]:
    """Text columns that must differ from row to row though no other row names them."""
    names = {column.name for column in table.c if column.unique}
    for made in table.constraints:
        if isinstance(made, UniqueConstraint):
            names |= {column.name for column in made.columns}
    for index in table.indexes:
        if index.unique:
            names |= {column.name for column in index.columns}
    return names


def copied(rows: dict[Table, Rows], mark: str, run_id: str) -> dict[Table, Rows]:
    """The same rows under other ids, for another run."""
    ids = {
        str(row[name]): f"{row[name]}{mark}"
        for table, found in rows.items()
        for name in ("id", "number", "idempotency_key")
        if name in table.c
        for row in found
        if isinstance(row[name], str)
    }
    result: dict[Table, Rows] = {}
    for table, found in rows.items():
        unique = _unique(table)
        result[table] = []
        for row in found:
            fresh = {key: ids.get(value, value) if isinstance(value, str) else value for key, value in row.items()}
            for name in unique:
                value = fresh[name]
                if isinstance(value, str) and value == row[name] and not table.c[name].foreign_keys:
                    fresh[name] = f"{value}{mark}"
            if table.name == "change":
                fresh |= {"flow_run_id": run_id, "subject": None}
            result[table].append(fresh)
    return result


def copy_changes(db: Database, originals: Sequence[str], wanted: int) -> dict[str, list[str]]:
    """Copies in our database until so many changes wait. Returns the new runs' ids by the run they are copies of."""
    runs: dict[str, list[str]] = {}
    with db.writer() as connection:
        sources = []
        for change_id in originals:
            rows = rows_of(connection, change_id)
            change = next(found[0] for table, found in rows.items() if table.name == "change")
            sources.append((str(change["flow_run_id"]), rows))
        batch: dict[Table, Rows] = {}
        for number in range(wanted - len(originals)):
            of, rows = sources[number % len(sources)]
            run_id = str(uuid.uuid4())
            runs.setdefault(of, []).append(run_id)
            for table, found in copied(rows, f"-{number}", run_id).items():
                batch.setdefault(table, []).extend(found)
            if number % 500 == 499:
                _write(connection, batch)
                batch = {}
        _write(connection, batch)
    return runs


def _write(connection: Connection, batch: dict[Table, Rows]) -> None:
    for table in metadata.sorted_tables:
        if batch.get(table):
            connection.execute(insert(table), batch[table])


def copy_runs(url: str, runs: dict[str, list[str]]) -> None:
    """Copies in Prefect's database: each run with its present state."""
    engine = create_engine(url)
    held = MetaData()
    held.reflect(engine, only=["flow_run", "flow_run_state"])
    run, state = held.tables["flow_run"], held.tables["flow_run_state"]
    with engine.begin() as connection:
        for original, copies in runs.items():
            key: Any = original if engine.dialect.name == "sqlite" else uuid.UUID(original)
            row = dict(connection.execute(select(run).where(run.c.id == key)).mappings().one())
            now = dict(connection.execute(select(state).where(state.c.id == row["state_id"])).mappings().one())
            fresh, states = [], []
            for copy in copies:
                own: Any = copy if engine.dialect.name == "sqlite" else uuid.UUID(copy)
                of: Any = uuid.uuid4() if engine.dialect.name != "sqlite" else str(uuid.uuid4())
                fresh.append({**row, "id": own, "state_id": None, "idempotency_key": f"copy:{copy}"})
                states.append((of, own))
            for start in range(0, len(fresh), 500):
                part, names = fresh[start : start + 500], states[start : start + 500]
                connection.execute(insert(run), part)
                connection.execute(insert(state), [{**now, "id": of, "flow_run_id": own} for of, own in names])
                for of, own in names:
                    connection.execute(run.update().where(run.c.id == own).values(state_id=of))
    engine.dispose()
