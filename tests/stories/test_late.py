"""Late: the superior is told and acts on his own link, the coordinator after him."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from models.actions.desk import desk
from models.actions.steering import reassign, urge
from models.domain.errors import BadInput, Conflict, Forbidden
from models.store.change import ASSIGNMENT, LOG, rows
from models.store.database import Database
from models.store.sql import table
from models.tables import Person, Post
from tests.factories import Office, small_office
from tests.stories.driver import START, Story
from tests.stories.test_spine import notices, rename

pytestmark = pytest.mark.usefixtures("the_log_replays")


@pytest.fixture
def office(db: Database) -> Office:
    """The small office; 沈知秋 is the superior of the market department's drafters, 江明远 that of trade's."""
    made = small_office(db, START)
    with db.writer() as connection:
        for people, superior in ((("p-he", "p-xu"), "p-shen"), (("p-wen",), "p-jiang")):
            connection.execute(
                update(table(Post)).where(table(Post).c.person_id.in_(people)).values(superior_person_id=superior)
            )
    return made


def join(db: Database, person: str, name: str, department: str, role: str, *, superior: str | None = None) -> None:
    """Somebody new in the office."""
    with db.writer() as connection:
        connection.execute(insert(table(Person)).values(id=person, name=name))
        connection.execute(
            insert(table(Post)).values(
                id=f"{person}-{role}",
                person_id=person,
                department_id=department,
                role=role,
                from_on=date(2026, 1, 1),
                superior_person_id=superior,
            )
        )


def late_story(db: Database) -> tuple[Story, dict[str, Any]]:
    """A draft of the trade department one working day late, as its superior sees it."""
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.later(days=8)
    story.wake()
    (shown,) = seen(story, "p-jiang")
    return story, shown


def seen(story: Story, person: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk(story.db, person_id=person, change_id=story.change_id, now=story.now)[
        "supervised"
    ]
    return found


def log(db: Database, verb: str) -> list[dict[str, Any]]:
    with db.reader() as connection:
        return rows(connection, select(LOG).where(LOG.c.verb == verb).order_by(LOG.c.seq))


def test_a_superior_sees_on_his_link_what_his_people_are_late_with_and_may_do(db: Database, office: Office) -> None:
    story, shown = late_story(db)
    assert [row["person_id"] for row in notices(db, "overdue_superior")] == ["p-jiang"]
    assert (shown["stage"], shown["late"], shown["count"], shown["acts"]) == ("draft", 1, 1, ["urge", "reassign"])
    assert [(held["person"]["name"], [to["id"] for to in held["to"]]) for held in shown["assignments"]] == [
        ("贺文博", ["p-jiang"])
    ]
    assert seen(story, "p-shen") == []


def test_nothing_lies_before_a_superior_that_one_of_his_people_settled(db: Database, office: Office) -> None:
    join(db, "p-ma", "马越", "d-trade", "drafter", superior="p-jiang")
    story, shown = late_story(db)
    assert [held["person"]["name"] for held in shown["assignments"]] == ["马越", "贺文博"]
    story.says("p-wen", "submit", wake=False)
    assert seen(story, "p-jiang") == []
    with pytest.raises(Conflict) as refused:
        urge(db, step_id=shown["step"], by="p-jiang", now=story.now)
    assert refused.value.code == "already_decided"


def test_nothing_lies_before_a_superior_while_his_people_are_in_time(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    assert seen(story, "p-jiang") == []
    step = story.open_for("p-wen")[0]
    with db.reader() as connection:
        step_id = rows(connection, select(ASSIGNMENT).where(ASSIGNMENT.c.id == step["id"]))[0]["step_id"]
    said: dict[str, Any] = {"step_id": step_id, "by": "p-jiang", "reason": "请抓紧", "via": "link", "now": story.now}
    with pytest.raises(Forbidden) as refused:
        urge(db, **said)
    assert refused.value.code == "not_your_seat"
    with pytest.raises(Forbidden):
        reassign(db, to="p-jiang", **said)


def test_a_superior_urges_once_a_day_and_it_is_recorded(db: Database, office: Office) -> None:
    story, shown = late_story(db)
    urge(db, step_id=shown["step"], by="p-jiang", reason="请今天办结", via="link", now=story.now)
    (told,) = notices(db, "urged")
    assert (told["person_id"], told["payload"]["by"]["name"], told["payload"]["comment"]) == (
        "p-wen",
        "江明远",
        "请今天办结",
    )
    assert [(row["who"], row["via"], row["object"]) for row in log(db, "催办")] == [("p-jiang", "link", shown["step"])]
    assert seen(story, "p-jiang")[0]["urged"]["by"]["name"] == "江明远"
    with pytest.raises(Conflict) as refused:
        urge(db, step_id=shown["step"], by="p-zhou", now=story.now + timedelta(hours=2))
    assert refused.value.code == "urged_today"
    assert "江明远" in refused.value.message
    urge(db, step_id=shown["step"], by="p-zhou", now=story.now + timedelta(days=1))
    assert len(notices(db, "urged")) == 2


def test_a_superior_hands_a_late_task_to_somebody_who_may_hold_it_and_its_deadline_stays(
    db: Database, office: Office
) -> None:
    story, shown = late_story(db)
    join(db, "p-neu", "新人", "d-trade", "drafter")
    held = seen(story, "p-jiang")[0]["assignments"][0]
    assert [to["id"] for to in held["to"]] == ["p-neu", "p-jiang"]
    said: dict[str, Any] = {"assignment_id": held["id"], "by": "p-jiang", "via": "link", "now": story.now}
    with pytest.raises(BadInput) as silent:
        reassign(db, step_id=shown["step"], to="p-neu", reason=" ", **said)
    assert silent.value.code == "comment_required"
    for stranger in ("p-he", "p-lu"):
        with pytest.raises(Forbidden) as refused:
            reassign(db, step_id=shown["step"], to=stranger, reason="试", **said)
        assert refused.value.code == "not_your_seat"
    reassign(db, step_id=shown["step"], to="p-neu", reason="贺文博在外办案", **said)
    assert story.open_for("p-wen") == []
    assert story.open_for("p-neu")[0]["due"] == shown["due"]
    with db.reader() as connection:
        chain = {row["id"]: row for row in rows(connection, select(ASSIGNMENT))}
    assert chain[held["id"]]["state"] == "moved"
    assert [row["from_id"] for row in chain.values() if row["person_id"] == "p-neu"] == [held["id"]]
    assert (notices(db, "reassigned_from")[0]["person_id"], notices(db, "reassigned_to")[0]["person_id"]) == (
        "p-wen",
        "p-neu",
    )
    assert (log(db, "转交")[0]["who"], log(db, "转交")[0]["via"]) == ("p-jiang", "link")
    with pytest.raises(Conflict) as again:
        reassign(db, step_id=shown["step"], to="p-jiang", reason="再点一次", **{**said, "by": "p-zhou"})
    assert again.value.code == "superseded"


def test_nobody_gets_by_reassignment_what_he_drafted(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    join(db, "p-wen-too", "贺二", "d-law", "legality_reviewer")
    with db.writer() as connection:
        connection.execute(
            insert(table(Post)).values(
                id="p-wen-law",
                person_id="p-wen",
                department_id="d-law",
                role="legality_reviewer",
                from_on=date(2026, 1, 1),
            )
        )
        connection.execute(
            update(table(Post)).where(table(Post).c.person_id == "p-lu").values(superior_person_id="p-shen")
        )
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.later(days=12)
    (shown,) = seen(story, "p-shen")
    assert "p-wen" not in {to["id"] for held in shown["assignments"] for to in held["to"]}
    for by, via in (("p-shen", "link"), ("p-zhou", "portal")):
        with pytest.raises(Forbidden) as refused:
            reassign(db, step_id=shown["step"], to="p-wen", by=by, reason="人手不足", via=via, now=story.now)
        assert refused.value.code == "four_eyes"


def test_the_coordinator_finds_on_his_link_what_he_is_asked_to_supervise(db: Database, office: Office) -> None:
    story, _ = late_story(db)
    story.later(days=3)
    story.wake()
    assert [row["person_id"] for row in notices(db, "supervise")] == ["p-zhou"]
    (shown,) = seen(story, "p-zhou")
    assert shown["acts"] == ["urge", "reassign"]
    with pytest.raises(Forbidden):
        reassign(db, step_id=shown["step"], to="p-he", by="p-zhou", reason="代管", via="link", now=story.now)
    reassign(db, step_id=shown["step"], to="p-he", by="p-zhou", reason="代管", now=story.now)
    assert [a["stage"] for a in story.open_for("p-he")] == ["draft"]


def test_two_seats_handed_to_one_person_stay_two_decisions(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    for person in ("p-lu", "p-gao"):
        story.says(person, "pass")
    with db.reader() as connection:
        step = rows(connection, select(ASSIGNMENT).where(ASSIGNMENT.c.seat == "naming:list"))[0]["step_id"]
    reassign(db, step_id=step, to="p-ding", by="p-zhou", reason="两家合署办公", now=story.now)
    assert len(story.open_for("p-ding")) == 2
    story.says("p-ding", "pass")
    assert [a["stage"] for a in story.open_for("p-zhou")] == ["approval"]


def test_a_step_of_another_change_is_not_reached_through_a_link(db: Database, office: Office) -> None:
    story, shown = late_story(db)
    other = Story(db, now=story.now)
    other.start("agency_request", rename("990100356000", "早餐车临时占道许可（新）"))
    with pytest.raises(BadInput) as refused:
        urge(db, step_id=shown["step"], by="p-jiang", via="link", change_id=other.change_id, now=story.now)
    assert refused.value.code == "nothing_to_decide"
