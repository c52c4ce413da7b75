"""The derived lists: what came, went and changed with each publication is what the lists before and after differ in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.actions.load import load
from models.store import catalogue
from models.store.catalogue import LISTS, SNAPSHOT
from models.store.database import Database
from models.store.migrate import migrate
from models.store.sql import among

NAME = next(iter(LISTS))
START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
HEAD = "name,type,code,department,bases"


def listed(db: Database) -> dict[str, dict[str, Any]]:
    with db.reader() as connection:
        return {row["item_id"]: row for row in catalogue.list_members(connection, NAME)}


def newest(db: Database) -> dict[str, Any]:
    with db.reader() as connection:
        query = select(SNAPSHOT).join(catalogue.PUBLICATION).order_by(catalogue.PUBLICATION.c.published_at.desc())
        row = connection.execute(query).mappings().first()
    assert row is not None
    return dict(row)


def differing(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """The two lists compared member by member."""
    both = now.keys() & before.keys()
    return {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": sorted((i, before[i]["name"]) for i in both if before[i]["hash"] != now[i]["hash"]),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_publication_says_what_came_went_and_changed_in_the_list(db: Database, tmp_path: Path, seed: int) -> None:
    migrate(db)
    draw, seen = random.Random(seed), {"added": 0, "removed": 0, "changed": 0}
    for turn in range(8):
        before = listed(db)
        drawn = [
            f"事项{n}{draw.choice(['', '（新）'])},{draw.choice(['01', '01', '07'])},9901{n:08d},,"
            for n in sorted(draw.sample(range(12), 6))
        ]
        path = tmp_path / f"items{turn}.csv"
        path.write_text("\n".join([HEAD, *drawn]) + "\n", encoding="utf-8")
        report = load(db, paths=[path], now=START + timedelta(days=turn))
        if report.publication is None:
            continue
        row, now = newest(db), listed(db)
        said = {
            "added": sorted(entry["item"] for entry in row["delta"]["added"]),
            "removed": sorted(entry["item"] for entry in row["delta"]["removed"]),
            "changed": sorted((entry["item"], entry["was"]) for entry in row["delta"]["changed"]),
        }
        assert said == differing(before, now)
        assert row["total"] == len(now)
        for word in seen:
            assert row[word] == len(said[word])
            seen[word] += row[word]
    assert all(seen.values()), f"seed {seed} tries nothing of {seen}"


def test_rows_named_by_a_list_of_ids_are_found_by_the_index(db: Database) -> None:
    """With more rows than ids; on SQLite a condition that is written as `… = 1` takes none."""
    migrate(db)
    key = catalogue.VERSION.c.id
    for question in (select(key).where(among(key, ["a", "b"])), select(key).where(among(key, ["a"]), key != "b")):
        compiled = question.compile(db.engine)
        assert " = 1" not in str(compiled)
        if db.sqlite:
            with db.reader() as connection:
                plan = connection.exec_driver_sql(
                    f"explain query plan {compiled}", ('["a"]', "b")[: len(compiled.params)]
                )
                assert any("SEARCH item_version" in row.detail for row in plan)
