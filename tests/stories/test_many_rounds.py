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
OTHER: dict[str, Any] = {**GUIDE["items"][0], "target": {"kind": "item", "code": "990100356000"}}
RENAME: dict[str, Any] = {
    **GUIDE, "items": [{**GUIDE["items"][0], "outcomes": ["rename"], "set": {"name": "便民早餐服务点认定"}}]
}  # fmt: skip
#: So many rounds that a desk looks into the newest of them first.
VERY_MANY = 2 * REMARKS + 2


def returned(db: Database, params: dict[str, Any], times: int) -> Story:
    """A change returned so often, each time with its number."""
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", params)
    for number in range(1, times + 1):
        story.says("p-wen", "submit")
        story.says("p-zhou", "return", comment=f"第 {number} 次退回")
    return story


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
    story = returned(db, GUIDE, REMARKS + 3)
    shown = story.open_for("p-wen")[0]["adjustments"][0]["remarks"]
    assert [one["text"] for one in shown] == [f"第 {number} 次退回" for number in range(4, REMARKS + 4)]
    decided = desk(db, person_id="p-zhou", change_id=story.change_id, now=story.now)["decided"]
    assert len(decided) == DECIDED
    assert [one["at"] for one in decided] == sorted(one["at"] for one in decided)
    assert {one["by"]["id"] for one in decided} == {"p-zhou"}


def test_a_desk_shows_what_was_said_long_ago_of_an_adjustment_of_which_little_was_said_since(db: Database) -> None:
    """Beside one of which something was said in each of very many rounds."""
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", {**GUIDE, "items": [GUIDE["items"][0], OTHER]})
    often, seldom = (line["id"] for line in story.open_for("p-wen")[0]["adjustments"])
    for number in range(1, VERY_MANY + 1):
        lines = {often: {"remark": f"第 {number} 次退回"}}
        if number in {1, 3}:
            lines[seldom] = {"remark": f"另见第 {number} 条"}
        story.says("p-wen", "submit")
        story.says("p-zhou", "return", lines=lines)
    shown = {line["id"]: line["remarks"] for line in story.open_for("p-wen")[0]["adjustments"]}
    assert [one["text"] for one in shown[seldom]] == ["另见第 1 条", "另见第 3 条"]
    newest = range(VERY_MANY - REMARKS + 1, VERY_MANY + 1)
    assert [one["text"] for one in shown[often]] == [f"第 {number} 次退回" for number in newest]


def test_what_was_said_in_a_step_that_is_still_open_is_not_shown_after_very_many_rounds_either(db: Database) -> None:
    story = returned(db, RENAME, VERY_MANY)
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", comment="请审查")

    def shown() -> list[str]:
        return [one["text"] for one in story.open_for("p-gao")[0]["adjustments"][0]["remarks"]]

    newest = [f"第 {number} 次退回" for number in range(VERY_MANY - REMARKS + 2, VERY_MANY + 1)]
    assert shown() == [*newest, "请审查"]
    story.says("p-lu", "return", comment="依据不足", wake=False)
    assert shown() == [*newest, "请审查"]
    story.wake()
    assert shown() == [*newest[1:], "请审查", "依据不足"]


def test_what_was_returned_last_stays_in_sight_while_it_is_drafted_anew_and_reviewed_again(db: Database) -> None:
    small_office(db, START)
    story = Story(db)
    story.start("agency_request", GUIDE)
    for days in range(1, 8):
        [task] = story.open_for("p-wen")
        [line] = task["adjustments"]
        changed = {line["id"]: {"proposal": {"promised_days": days}}}
        story.says("p-wen", "save", lines=changed, wake=False)
        [saved] = story.open_for("p-wen")[0]["adjustments"]
        assert saved["last_returned"] == line["last_returned"]
        assert saved["proposed"]["promised_days"] == days
        story.says("p-wen", "submit")
        [reviewed] = story.open_for("p-zhou")[0]["adjustments"]
        assert reviewed["last_returned"] == line["last_returned"]
        story.says("p-zhou", "return", comment="请再压缩")
        [returned] = story.open_for("p-wen")[0]["adjustments"]
        assert returned["last_returned"]["promised_days"] == days
