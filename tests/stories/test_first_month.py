"""The office's first month: small stories in time, numbered as in the model. Those that are missing wait for what they
need (suspension, paper decisions, rebase, backup, access tasks).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select

from models.actions.deadlines import Recomputed, recompute_deadlines
from models.store import office as store
from models.store.change import LOG, RUNG, STEP, change_row, rows
from models.store.database import Database
from tests.factories import Office, small_office
from tests.stories.driver import START, Story
from tests.stories.test_spine import notices, rename

NOVEMBER = datetime(2026, 12, 28, 1, 0, tzinfo=UTC)
#: An invented arrangement: three days off at New Year, a Sunday worked for them.
YEAR_2027 = {
    date(2027, 1, 1): False,
    date(2027, 1, 2): False,
    date(2027, 1, 3): True,
    date(2027, 1, 4): False,
    date(2027, 1, 5): False,
}

pytestmark = pytest.mark.usefixtures("the_log_replays")


@pytest.fixture
def office(db: Database) -> Office:
    return small_office(db, START)


def log(db: Database, verb: str) -> list[dict[str, Any]]:
    with db.reader() as connection:
        return rows(connection, select(LOG).where(LOG.c.verb == verb).order_by(LOG.c.change_id, LOG.c.seq))


# --- 18: the arrangement of the next year arrives ------------------------------------------------------------------


def test_18_a_new_arrangement_moves_provisional_deadlines_logs_each_and_tells_each_person_once(
    db: Database, office: Office
) -> None:
    stories = [Story(db, now=NOVEMBER) for _ in range(2)]
    for story, code in zip(stories, ("990100342001", "990100342002"), strict=True):
        story.start("agency_request", rename(code, f"新名{code[-1]}"))
    with db.reader() as connection:
        before = {row["id"]: row for row in rows(connection, select(STEP))}
    assert all(row["provisional"] for row in before.values())
    stories[0].later(hours=1)
    with db.writer() as connection:
        store.save_workdays(connection, YEAR_2027)
    done = recompute_deadlines(db, document="国办发明电〔2026〕7号", now=stories[0].now)
    assert done == Recomputed(steps=2, moved=2, told=2)
    with db.reader() as connection:
        after = rows(connection, select(STEP))
        moment = change_row(connection, stories[0].change_id)["next_due"]
        ladder = rows(connection, select(RUNG).where(RUNG.c.step_id == after[0]["id"]).order_by(RUNG.c.due_at))
    for row in after:
        assert not row["provisional"]
        assert row["due_on"] > before[row["id"]]["due_on"]
    assert moment == ladder[0]["due_at"]
    assert [(line["data"]["due_old"], line["data"]["due"]) for line in log(db, "重算时限")] == [
        (before[row["id"]]["due_on"].isoformat(), row["due_on"].isoformat())
        for row in sorted(after, key=lambda row: str(row["change_id"]))
    ]
    told = notices(db, "deadline_recomputed")
    assert sorted(row["person_id"] for row in told) == ["p-he", "p-xu"]
    assert {(row["payload"]["n"], row["payload"]["year"], row["payload"]["document"]["number"]) for row in told} == {
        (2, 2027, "国办发明电〔2026〕7号")
    }
    assert recompute_deadlines(db, now=stories[0].now) == Recomputed(0, 0, 0)


def test_18_a_load_that_was_broken_off_between_deadlines_and_notices_is_finished_by_the_next(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.actions import deadlines

    story = Story(db, now=NOVEMBER)
    story.start("agency_request", rename("990700188000", "新名"))
    with db.writer() as connection:
        store.save_workdays(connection, YEAR_2027)
    with monkeypatch.context() as broken:
        broken.setattr(deadlines, "_tell", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            recompute_deadlines(db, now=story.now)
    assert notices(db, "deadline_recomputed") == []
    assert recompute_deadlines(db, now=story.now) == Recomputed(0, 0, 1)
    assert recompute_deadlines(db, now=story.now).told == 0


def test_18_what_was_decided_keeps_the_deadline_it_was_decided_under(db: Database, office: Office) -> None:
    story = Story(db, now=NOVEMBER)
    story.start("agency_request", rename("990700188000", "新名"))
    story.says("p-wen", "submit")
    with db.writer() as connection:
        store.save_workdays(connection, YEAR_2027)
    done = recompute_deadlines(db, now=story.now)
    assert done == Recomputed(0, 0, 0)
    with db.reader() as connection:
        passed = rows(connection, select(STEP).where(STEP.c.stage == "draft"))[0]
        left = rows(connection, select(RUNG).where(RUNG.c.step_id == passed["id"], RUNG.c.dropped.is_(False)))
    assert passed["provisional"]
    assert left == []
