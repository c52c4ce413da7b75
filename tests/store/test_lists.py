"""The derived lists: what came, went and changed with each publication is what the lists before and after differ in."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.actions.load import load
from models.domain.seals import list_hash, members_sum
from models.store import catalogue
from models.store.catalogue import LISTS, SNAPSHOT, NewVersion
from models.store.database import Database
from models.store.migrate import migrate
from models.store.publication import new_publication
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


def hash_of(members: dict[str, dict[str, Any]]) -> str:
    """The hash of a list from the whole of it."""
    return list_hash(members_sum(f"{row['code'] or row['item_id']}|{row['hash']}" for row in members.values()))


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
        assert row["hash"] == hash_of(now), "told from who came and went, it is the hash of all members"
        for word in seen:
            assert row[word] == len(said[word])
            seen[word] += row[word]
    assert all(seen.values()), f"seed {seed} tries nothing of {seen}"


Kinds = dict[str, tuple[str, str]]


def published(db: Database, items: Kinds, *, listed: bool = True) -> dict[str, Any] | None:
    """A publication of items by id, each of a kind and with a state; its row of the list where one is kept."""
    with db.writer() as connection:
        number = len(connection.execute(select(catalogue.PUBLICATION.c.id)).all())
        at = START + timedelta(days=number)
        publication, _ = new_publication(connection, change_id=None, title="目录", effective_at=at, now=at)
        versions = [
            NewVersion(
                item_id=item, content={}, name=f"{item}-{number}", type="01", code=None, department_id=None,
                department_text="", state=state, adjustment_id=None, legal_since=None, hash=f"h{number}", kind=kind,
                identity=item,
            )
            for item, (kind, state) in items.items()
        ]  # fmt: skip
        catalogue.write_versions(connection, publication_id=publication, versions=versions, effective_at=at, now=at)
        return catalogue.snapshot_list(connection, name=NAME, publication_id=publication) if listed else None


def counts(row: dict[str, Any] | None) -> tuple[int, int, int, int]:
    assert row is not None
    return row["total"], row["added"], row["removed"], row["changed"]


def test_a_list_of_other_kinds_becomes_one_of_items_with_the_first_and_back_with_the_last(db: Database) -> None:
    migrate(db)
    carried = ("implementation", "active")
    assert counts(published(db, {"a": carried, "b": carried})) == (2, 2, 0, 0)
    assert counts(published(db, {"b": carried})) == (2, 0, 0, 1)
    assert counts(published(db, {"c": ("item", "active")})) == (1, 1, 2, 0)
    assert counts(published(db, {"b": carried})) == (1, 0, 0, 0), "no member any more"
    row = published(db, {"c": ("item", "cancelled")})
    assert counts(row) == (2, 2, 1, 0)
    assert row is not None and row["hash"] == hash_of(listed(db))


@pytest.mark.parametrize("lost", ["sum", "snapshot"])
def test_where_the_sum_of_a_list_is_not_that_of_the_state_before_all_members_are_read(db: Database, lost: str) -> None:
    """As in a home of an older program, and after a publication that kept no list."""
    migrate(db)
    item = ("item", "active")
    published(db, {"a": item, "b": item})
    if lost == "sum":
        with db.writer() as connection:
            connection.exec_driver_sql(f"delete from meta where key = 'list:{NAME}'")
    else:
        published(db, {"c": item}, listed=False)
    row = published(db, {"a": item})
    assert row is not None and (row["total"], row["hash"]) == (len(listed(db)), hash_of(listed(db)))


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
