"""What is asked again and again takes an index, however many changes wait; and finds what it should."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text, update

from models.actions import engine
from models.actions.engine import engine_seen
from models.actions.legs import park
from models.store.change import CHANGE
from models.store.database import Database
from tests.bench.copies import copy_changes
from tests.factories import small_office
from tests.stories.driver import START, Story
from tests.stories.test_many_rounds import GUIDE

LATER = START + timedelta(seconds=30)
WAITING = 400


@pytest.fixture
def waiting(db: Database) -> tuple[Database, str]:
    """Four hundred changes that sleep at their draft, and the id of the first."""
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", GUIDE)
    assert park(db, change_id=story.change_id, leg_no=story.leg)
    copy_changes(db, [story.change_id], WAITING)
    with db.writer() as connection:
        connection.execute(text("analyze"))
    return db, story.change_id


def plans(db: Database, act: Any) -> str:
    """How the database would answer what this asks of it."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    act()
    event.remove(db.engine, "before_cursor_execute", note)
    explain = "explain query plan " if db.sqlite else "explain "
    found = []
    with db.reader() as connection:
        for statement, parameters in asked:
            if statement.startswith("SELECT"):
                answer = connection.exec_driver_sql(explain + statement, parameters)
                found += [" ".join(str(cell) for cell in row) for row in answer]
    return "\n".join(found)


def change(db: Database, change_id: str, **values: Any) -> None:
    with db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == change_id).values(**values))


def test_the_pulse_reads_no_change_that_only_waits(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    asked = plans(db, lambda: engine.changes_to_wake(db, now=LATER))
    asked += plans(db, lambda: engine.orphans(db, now=LATER, engine_id="e", carried=lambda _: False))
    for index in ("ix_change_work", "ix_change_next_due", "ix_change_flow_run_id", "ix_change_awake"):
        assert index in asked
    assert "SCAN change" not in asked.replace("SCAN change USING INDEX ix_", "")
    # PostgreSQL reads so small a table at once where it needs whole rows; it need not for what it looks for.
    assert "Seq Scan on change change_" not in asked


def test_the_pulse_finds_work_dues_changes_without_a_run_and_legs_nobody_carries(waiting: tuple[Database, str]) -> None:
    db, one = waiting
    assert engine.changes_to_wake(db, now=LATER) == []
    assert engine.orphans(db, now=LATER, engine_id="e", carried=lambda _: False) == []
    for values in ({"work_seq": 10_000, "work_since": START}, {"next_due": START}, {"flow_run_id": None}):
        with db.reader() as connection:
            before = dict(connection.execute(CHANGE.select().where(CHANGE.c.id == one)).mappings().one())
        change(db, one, **values)
        assert [wake.change_id for wake in engine.changes_to_wake(db, now=LATER)] == [one], values
        change(db, one, **{name: before[name] for name in values})
    change(db, one, parked_leg=None)
    assert [wake.change_id for wake in engine.orphans(db, now=LATER, engine_id="e", carried=lambda _: False)] == [one]
    engine_seen(db, engine_id="e", pid=1, host="h", now=LATER)
    assert engine.orphans(db, now=LATER, engine_id="other", carried=lambda _: False) == []


def test_watch_finds_the_dues_that_are_wrong_and_those_alone(waiting: tuple[Database, str]) -> None:
    db, one = waiting
    assert engine.wrongly_due(db, now=LATER) == []
    change(db, one, next_due=None)
    assert engine.wrongly_due(db, now=LATER) == [one]
    assert engine.recompute_due(db, change_id=one, now=LATER)
    assert engine.wrongly_due(db, now=LATER) == []


def test_every_open_change_has_its_turn_in_watch(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    seen, after = [], ""
    while True:
        number, turn = engine.open_after(db, after=after, count=150)
        assert number == WAITING
        seen += turn
        if len(turn) < 150:
            break
        after = turn[-1]
    assert len(seen) == len(set(seen)) == WAITING
