"""What is asked again and again takes an index, however many changes wait; and finds what it should."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text, update

from models.actions import engine, views
from models.actions.engine import engine_seen
from models.actions.legs import park
from models.domain.deadlines import shanghai_day
from models.store.change import ASSIGNMENT, CHANGE, STEP, next_moment
from models.store.database import Database
from models.store.outbox import NOTICE, SqlOutbox, cancel
from tests.bench.copies import copy_changes
from tests.factories import small_office
from tests.stories.driver import START, Story
from tests.stories.test_many_rounds import GUIDE

LATER = START + timedelta(seconds=30)
WAITING = 400


@pytest.fixture(params=["figures of the tables", "no figures"])
def waiting(db: Database, request: pytest.FixtureRequest) -> tuple[Database, str]:
    """Four hundred changes that sleep at their draft, and the id of the first; SQLite as it is served keeps no figures."""
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", GUIDE)
    assert park(db, change_id=story.change_id, leg_no=story.leg)
    copy_changes(db, [story.change_id], WAITING)
    with db.writer() as connection:
        connection.execute(update(NOTICE).values(state="sent"))
        if request.param == "figures of the tables" or not db.sqlite:
            connection.execute(text("analyze"))
    return db, story.change_id


def asked_by(db: Database, act: Any) -> list[tuple[str, Any]]:
    """What this asks of the database or changes there, with its values."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    act()
    event.remove(db.engine, "before_cursor_execute", note)
    return [(statement, values) for statement, values in asked if statement.startswith(("SELECT", "UPDATE"))]


def plans(db: Database, act: Any) -> str:
    """How the database would answer what this asks of it."""
    explain = "explain query plan " if db.sqlite else "explain "
    found = []
    for statement, values in asked_by(db, act):
        with db.reader() as connection:
            answer = connection.exec_driver_sql(explain + statement, values)
            found += [" ".join(str(cell) for cell in row) for row in answer]
    return "\n".join(found)


def plan_without_values(db: Database, statement: str, values: dict[str, Any]) -> str:
    """PostgreSQL's plan for any values, taken once a question was asked often."""
    names: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        names.append(found[1])
        return f"${len(names)}"

    statement = re.sub(r"%\((\w+)\)s", numbered, statement)
    given = ", ".join(f"'{values[name]}'" for name in names)
    with db.engine.connect() as connection:
        connection.exec_driver_sql("set local plan_cache_mode = force_generic_plan")
        connection.exec_driver_sql(f"prepare asked_often as {statement}")
        plan = connection.exec_driver_sql(f"explain execute asked_often({given})").scalars().all()
        connection.exec_driver_sql("deallocate asked_often")
    return "\n".join(plan)


def change(db: Database, change_id: str, **values: Any) -> None:
    with db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == change_id).values(**values))


def test_the_pulse_reads_no_change_that_only_waits(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    asked = plans(db, lambda: engine.changes_to_wake(db, now=LATER))
    asked += plans(db, lambda: engine.orphans(db, now=LATER, engine_id="e", carried=lambda _: False))
    for index in ("ix_change_work", "ix_change_next_due", "ix_change_without_run", "ix_change_awake"):
        assert index in asked
    assert "SCAN change" not in asked.replace("SCAN change USING INDEX ix_", "")
    # PostgreSQL reads so small a table at once where it needs whole rows; it need not for what it looks for.
    assert "Seq Scan on change change_" not in asked


def test_nor_where_postgresql_has_made_its_plan_for_any_moment(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    if db.sqlite:
        pytest.skip("SQLite keeps no plan for any values")
    ((statement, values),) = asked_by(db, lambda: engine.changes_to_wake(db, now=LATER))
    plan = plan_without_values(db, statement, values)
    assert "ix_change_next_due" in plan
    assert "Seq Scan on change change_" not in plan


def test_the_outbox_reads_no_notice_that_has_arrived(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    asked = plans(db, lambda: SqlOutbox(db, "key", dict).claim(LATER, 8, 60.0))
    assert "ix_notice_waiting" in asked
    assert "SCAN notice\n" not in asked + "\n"
    assert "Seq Scan on notice" not in asked


def test_a_pass_finds_the_next_moment_of_its_change_among_no_rungs_of_others(waiting: tuple[Database, str]) -> None:
    db, one = waiting
    with db.reader() as connection:
        asked = plans(db, lambda: next_moment(connection, one))
    assert "ix_rung_due" in asked
    assert "Seq Scan on rung" not in asked


def test_a_step_that_closes_cancels_what_waits_of_it_among_no_notices_of_other_changes(
    waiting: tuple[Database, str],
) -> None:
    db, one = waiting
    with db.writer() as connection:
        asked = plans(db, lambda: cancel(connection, change_id=one, step_ids=["stp-1"]))
    assert "ix_notice" in asked
    assert "SCAN notice" not in asked
    assert "Seq Scan on notice" not in asked


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


def test_the_boards_counts_are_what_its_filters_show(waiting: tuple[Database, str]) -> None:
    db, _ = waiting
    with db.writer() as connection:
        ids = list(connection.execute(select(STEP.c.id).order_by(STEP.c.id)).scalars())
        person = connection.execute(select(ASSIGNMENT.c.person_id).limit(1)).scalar()
        today = shanghai_day(LATER)
        for step_id, days in zip(ids, (-5, -1, 0, 0, 0, 1, 2, 3, 9, 400), strict=False):
            due = {"due_on": today + timedelta(days=days)}
            connection.execute(update(STEP).where(STEP.c.id == step_id).values(**due))
        connection.execute(update(STEP).where(STEP.c.id.in_(ids[3:6])).values(no_owner="无人"))
        connection.execute(update(ASSIGNMENT).where(ASSIGNMENT.c.step_id.in_(ids[:7])).values(state="closed"))

    def show(**wish: Any) -> dict[str, Any]:
        return views.board(db, person_id=str(person), now=LATER, **wish)

    counts = {count["key"]: count["n"] for count in show()["counts"]}
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "late": {"late": True},
        "today": {"due": "today"},
        "week": {"due": "week"},
        "none": {"person": "none"},
        "me": {"person": "me"},
    }
    assert {key: counts[key] for key in filters} == {key: show(**wish)["fitting"] for key, wish in filters.items()}
    assert (counts["late"], counts["today"], counts["none"], counts["me"]) == (2, 3, 3, WAITING - 7)
    assert counts["all"] == WAITING
