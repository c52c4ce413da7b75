"""An adjustment that is returned again and again: later rounds cost no more questions than the first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from models.actions.desk import DECIDED, REMARKS, desk
from models.store.database import Database
from tests.factories import small_office
from tests.stories.driver import START, Story

GUIDE: dict[str, Any] = {
    "title": "压缩承诺办结时限", "reason": "优化流程", "effective_on": None,
    "items": [
        {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["change_guide"], "set": {"promised_days": 7}}
    ],
}  # fmt: skip


def questions(db: Database, story: Story, person: str) -> int:
    """How many statements a desk takes."""
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    event.listen(db.engine, "before_cursor_execute", note)
    desk(db, person_id=person, change_id=story.change_id, now=story.now)
    event.remove(db.engine, "before_cursor_execute", note)
    return len(asked)


def test_a_desk_asks_no_more_questions_after_many_rounds_and_shows_what_was_said_in_each(db: Database) -> None:
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", GUIDE)
    counts = []
    for number in range(5):
        story.says("p-wen", "submit")
        story.says("p-zhou", "return", comment=f"第 {number + 1} 次退回")
        counts.append(questions(db, story, "p-wen"))
    assert counts[4] == counts[0]
    shown = story.open_for("p-wen")[0]["adjustments"][0]["remarks"]
    assert [(one["person"]["name"], one["text"]) for one in shown] == [
        ("周敏", f"第 {number} 次退回") for number in range(1, 6)
    ]


def test_a_desk_shows_the_newest_remarks_and_decisions_of_a_change_with_very_many(db: Database) -> None:
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", GUIDE)
    for number in range(1, REMARKS + 4):
        story.says("p-wen", "submit")
        story.says("p-zhou", "return", comment=f"第 {number} 次退回")
    shown = story.open_for("p-wen")[0]["adjustments"][0]["remarks"]
    assert [one["text"] for one in shown] == [f"第 {number} 次退回" for number in range(4, REMARKS + 4)]
    decided = desk(db, person_id="p-zhou", change_id=story.change_id, now=story.now)["decided"]
    assert len(decided) == DECIDED
    assert [one["at"] for one in decided] == sorted(one["at"] for one in decided)
    assert {one["by"]["id"] for one in decided} == {"p-zhou"}
