"""What the machine of tests/faults found, each told as a story."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from models.actions import legs
from models.actions.desk import decide
from models.actions.engine import changes_to_wake, recompute_due
from models.actions.starting import register
from models.actions.steering import reassign, take_out, withdraw
from models.domain.errors import Conflict, Forbidden
from models.store.change import ADJUSTMENT, ASSIGNMENT, LOG, RUNG, SHEET, STEP, change_row, is_due, rows
from models.store.database import Database
from models.store.outbox import NOTICE
from models.store.publication import PUBLICATION
from models.store.sql import table
from models.tables import Person, Post
from tests.factories import LAW_CHANGE, Office, small_office
from tests.stories.driver import START, Story

pytestmark = pytest.mark.usefixtures("the_log_replays")


@pytest.fixture
def office(db: Database) -> Office:
    return small_office(db, START)


def guides(*codes: str, effective_on: str | None = None) -> dict[str, Any]:
    items = [
        {"target": {"kind": "item", "code": code}, "outcomes": ["change_guide"], "set": {"promised_days": 5}}
        for code in codes
    ]
    return {"title": "压缩时限", "reason": "", "effective_on": effective_on, "items": items}


def all_rows(db: Database, query: Any) -> list[dict[str, Any]]:
    with db.reader() as connection:
        return rows(connection, query)


def test_a_change_of_which_everything_was_taken_out_before_its_scope_was_confirmed_ends_and_says_so(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    for row in all_rows(db, select(ADJUSTMENT)):
        take_out(db, adjustment_id=row["id"], by="p-zhou", reason="另案办理", now=story.now)
    story.wake()
    assert (story.passes[-1].phase, story.passes[-1].waiting) == ("closed", 0)
    assert story.open_for("p-zhou") == []
    (told,) = all_rows(db, select(NOTICE).where(NOTICE.c.kind == "taken_out"))
    assert (told["person_id"], told["payload"]["count"], told["payload"]["reason"]) == ("p-zhou", 4, "另案办理")


def test_the_other_coordinators_have_nothing_open_once_one_has_confirmed_the_scope(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.change_id = register(db, trigger="law_change", params=LAW_CHANGE, by=None, via="test", now=START).id
    with db.writer() as connection:
        connection.execute(
            update(table(Post)).where(table(Post).c.person_id == "p-zhou").values(to_on=date(2026, 1, 1))
        )
        for person in ("p-one", "p-two"):
            connection.execute(insert(table(Person)).values(id=person, name=person))
            post = {
                "person_id": person,
                "department_id": "d-service",
                "role": "coordinator",
                "from_on": date(2026, 1, 1),
            }
            connection.execute(insert(table(Post)).values(id=person, level="2", region="990000", **post))
    story.wake()
    story.says("p-one", "confirm")
    query = select(ASSIGNMENT.c.person_id, ASSIGNMENT.c.state).join(STEP, STEP.c.id == ASSIGNMENT.c.step_id)
    found = {row["person_id"]: row["state"] for row in all_rows(db, query.where(STEP.c.stage == "scope"))}
    assert found == {"p-one": "decided", "p-two": "released"}


def test_two_sheets_of_a_change_approved_at_the_same_moment_are_both_published(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", guides("990100342001", "990700188000"))
    for drafter, approver in (("p-he", "p-shen"), ("p-wen", "p-jiang")):
        moment = story.now
        story.says(drafter, "submit")
        story.says("p-zhou", "pass")
        story.says(approver, "approve", wake=False)
        story.now = moment
        story.wake()
    assert story.passes[-1].state == "closed"
    moments = [
        row["effective_at"] for row in all_rows(db, select(PUBLICATION).where(PUBLICATION.c.change_id.is_not(None)))
    ]
    assert len(set(moments)) == 2


def test_a_sheet_that_waits_for_its_day_ends_with_the_change_that_is_withdrawn(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", guides("990700188000", effective_on="2027-03-01"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass")
    story.says("p-jiang", "approve")
    assert [row["state"] for row in all_rows(db, select(SHEET))] == ["waiting"]
    withdraw(db, change_id=story.change_id, by="p-zhou", reason="不再办理", now=story.now)
    assert [row["state"] for row in all_rows(db, select(SHEET))] == ["done"]


def test_no_rung_waits_on_the_scope_of_a_change_that_was_withdrawn(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    withdraw(db, change_id=story.change_id, by="p-zhou", reason="不再办理", now=story.now)
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["state"] == "withdrawn"
    assert all(rung["dropped"] for rung in all_rows(db, select(RUNG)))


def rename(code: str, name: str) -> dict[str, Any]:
    items = [{"target": {"kind": "item", "code": code}, "outcomes": ["rename"], "set": {"name": name}}]
    return {"title": "更正事项名称", "reason": "", "effective_on": None, "items": items}


def naming_story(db: Database) -> Story:
    """A change of name that has come to its two naming seats."""
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    return story


def open_step(db: Database) -> dict[str, Any]:
    (step,) = all_rows(db, select(STEP).where(STEP.c.state == "open"))
    return step


def end_posts(db: Database, person: str) -> None:
    with db.writer() as connection:
        connection.execute(update(table(Post)).where(table(Post).c.person_id == person).values(to_on=date(2026, 1, 1)))


def disable(db: Database, person: str, story: Story) -> None:
    with db.writer() as connection:
        connection.execute(update(table(Person)).where(table(Person).c.id == person).values(disabled_at=story.now))


def test_a_naming_seat_nobody_holds_is_filled_by_the_coordinator_and_not_forgotten(
    db: Database, office: Office
) -> None:
    end_posts(db, "p-bian")
    story = naming_story(db)
    step = open_step(db)
    assert step["no_owner"]
    reassign(db, step_id=step["id"], to="p-gao", by="p-zhou", reason="编办暂由高远代行", now=story.now)
    story.says("p-naming", "pass")
    assert [a["stage"] for a in story.open_for("p-gao")] == ["naming"]
    story.says("p-gao", "pass")
    assert open_step(db)["stage"] == "approval"


def test_a_step_somebody_has_decided_is_given_to_nobody_else(db: Database, office: Office) -> None:
    story = naming_story(db)
    for person in ("p-bian", "p-naming"):
        story.says(person, "pass")
    step = open_step(db)
    story.says("p-zhou", "approve", wake=False)
    with pytest.raises(Conflict) as refused:
        reassign(db, step_id=step["id"], to="p-gov", by="p-zhou", reason="外出", now=story.now)
    assert refused.value.code == "already_decided"


def test_what_lies_open_before_somebody_who_was_disabled_goes_to_whoever_may_take_it(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", guides("990700188000"))
    story.says("p-wen", "submit")
    disable(db, "p-zhou", story)
    with db.writer() as connection:
        connection.execute(insert(table(Person)).values(id="p-next", name="后任"))
        post = {"person_id": "p-next", "department_id": "d-service", "role": "coordinator", "from_on": date(2026, 1, 1)}
        connection.execute(insert(table(Post)).values(id="p-next", level="2", region="990000", **post))
    recompute_due(db, change_id=story.change_id, now=story.now)
    story.later(seconds=6)
    assert [wake.change_id for wake in changes_to_wake(db, now=story.now)] == [story.change_id]
    story.wake()
    (mine,) = story.open_for("p-next")
    assert mine["stage"] == "form"
    query = select(ASSIGNMENT).where(ASSIGNMENT.c.person_id.in_(["p-zhou", "p-next"]))
    moved, taken = sorted(all_rows(db, query), key=lambda row: row["opened_at"])
    assert (moved["state"], taken["from_id"]) == ("moved", moved["id"])
    told = all_rows(db, select(NOTICE).where(NOTICE.c.kind == "reassigned_to"))
    assert [row["person_id"] for row in told] == ["p-next"]


def test_where_nobody_may_take_over_from_one_who_left_the_step_stands_without_an_owner(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", guides("990700188000"))
    end_posts(db, "p-wen")
    story.wake()
    assert "没有在任的" in open_step(db)["no_owner"]
    (told,) = all_rows(db, select(NOTICE).where(NOTICE.c.kind == "no_owner"))
    assert told["person_id"] == "p-zhou"
    story.wake()
    assert len(all_rows(db, select(LOG).where(LOG.c.verb == "离任转交"))) == 1


def test_one_who_was_disabled_decides_nothing_and_is_given_nothing(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", guides("990100342001"))
    disable(db, "p-he", story)
    with pytest.raises(Forbidden) as refused:
        story.says("p-he", "submit")
    assert refused.value.code == "not_your_seat"
    with pytest.raises(Forbidden) as given:
        reassign(db, step_id=open_step(db)["id"], to="p-he", by="p-zhou", reason="代办", now=story.now)
    assert given.value.code == "not_your_seat"


def test_a_scope_without_any_coordinator_says_that_nobody_holds_it(db: Database, office: Office) -> None:
    end_posts(db, "p-zhou")
    story = Story(db)
    story.start("law_change", LAW_CHANGE, by=None)
    assert "没有在任的统筹" in open_step(db)["no_owner"]


def test_what_is_taken_out_while_a_pass_ends_is_ended_by_the_next_pass_with_its_steps(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(db)
    story.start("agency_request", guides("990700188000", "990100342001"))
    story.later(days=40)  # the rungs of the other sheet are due: the pass ends in a transaction of its own
    due = is_due

    def meanwhile(*arguments: Any) -> bool:
        monkeypatch.setattr(legs, "is_due", due)
        for row in all_rows(db, select(ADJUSTMENT)):
            take_out(db, adjustment_id=row["id"], by="p-zhou", reason="另案办理", now=story.now)
        return due(*arguments)

    monkeypatch.setattr(legs, "is_due", meanwhile)
    story.says("p-wen", "submit")
    if story.passes[-1].state == "open":
        story.wake()
    assert story.passes[-1].phase == "closed"
    assert all_rows(db, select(STEP).where(STEP.c.state == "open")) == []
    assert all_rows(db, select(SHEET).where(SHEET.c.state == "open")) == []


def test_both_who_review_side_by_side_are_told_that_the_change_is_withdrawn(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    for person, verdict in (("p-zhou", "confirm"), ("p-he", "submit"), ("p-wen", "submit"), ("p-zhou", "pass")):
        story.says(person, verdict)
    asked = {row["person_id"] for row in all_rows(db, select(ASSIGNMENT).where(ASSIGNMENT.c.state == "open"))}
    assert asked >= {"p-lu", "p-gao"}
    withdraw(db, change_id=story.change_id, by="p-zhou", reason="不再办理", now=story.now)
    told = {notice["person_id"] for notice in all_rows(db, select(NOTICE).where(NOTICE.c.kind == "withdrawn"))}
    assert told == asked
    assert all_rows(db, select(ASSIGNMENT).where(ASSIGNMENT.c.state == "open")) == []


def test_what_was_taken_out_after_the_scope_was_decided_stays_taken_out(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    first, second = all_rows(db, select(ADJUSTMENT).order_by(ADJUSTMENT.c.id))[:2]
    lines = {row["id"]: {"verdict": "no_adjustment", "remark": "不涉及"} for row in (first, second)}
    story.says("p-zhou", "confirm", lines=lines, wake=False)
    take_out(db, adjustment_id=first["id"], by="p-zhou", reason="另案办理", now=story.now)
    story.wake()
    there = {row["id"]: row for row in all_rows(db, select(ADJUSTMENT))}
    assert (there[first["id"]]["state"], there[first["id"]]["reason"]) == ("removed", "另案办理")
    assert there[second["id"]]["state"] == "declined"


def test_who_sends_a_page_from_before_his_task_went_away_and_came_back_is_told_that_it_is_his(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", guides("990700188000"))
    (shown,) = story.open_for("p-wen")
    (step,) = all_rows(db, select(STEP).where(STEP.c.state == "open"))
    for to in ("p-jiang", "p-wen"):
        reassign(db, step_id=step["id"], to=to, by="p-zhou", reason="休假", now=story.now)
    one = {"assignment": shown["id"], "revision": shown["revision"], "verdict": "submit"}
    with pytest.raises(Conflict) as refused:
        decide(
            db,
            person_id="p-wen",
            change_id=story.change_id,
            body={"request_id": "q-old", "decisions": [one]},
            via="link",
            now=story.now,
        )
    assert refused.value.message == "该件曾转交他人，现在又由您办理，本次提交未记录。请刷新页面后重新办理。"
    story.says("p-wen", "submit")
