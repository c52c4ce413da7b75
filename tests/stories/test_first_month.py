"""The office's first month: small stories in time, numbered as in the model. Those that are missing wait for what they
need (suspension, paper decisions, rebase, backup, access tasks).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from models.actions.deadlines import Recomputed, recompute_deadlines
from models.actions.load import load
from models.actions.steering import reassign
from models.actions.views import change_show, item_page, item_versions
from models.store import catalogue
from models.store import office as store
from models.store.change import LOG, RUNG, STEP, adjustments, change_row, rows, sheets
from models.store.database import Database
from models.store.publication import new_publication
from models.store.sql import table
from models.tables import Item, Person, Post
from tests.factories import LAW, LAW_CHANGE, OLD, Office, item_content, small_office
from tests.stories.driver import START, Story
from tests.stories.test_spine import current, notices, pass_reviews, rename

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


def more_items(db: Database, count: int) -> list[str]:
    """So many further items of the trade department, each with a basis; their codes."""
    codes = [f"9901{n:08d}" for n in range(1, count + 1)]
    with db.writer() as connection:
        connection.execute(
            insert(table(Item)), [{"id": f"itm-{code}", "kind": "item", "identity": f"own:{code}"} for code in codes]
        )
        versions = []
        for code in codes:
            content = item_content(code, f"示例事项{code[-4:]}", "01", "d-trade", 4)
            versions.append(catalogue.NewVersion.of(f"itm-{code}", content))
        publication_id, _ = new_publication(
            connection, change_id=None, title="补充目录", effective_at=START - timedelta(days=1), now=START
        )
        catalogue.write_versions(
            connection,
            publication_id=publication_id,
            versions=versions,
            effective_at=START - timedelta(days=1),
            now=START,
        )
    return codes


def request(codes: list[str], outcome: str, **values: Any) -> dict[str, Any]:
    """An agency request that does the same with several items."""
    items = [{"target": {"kind": "item", "code": code}, "outcomes": [outcome], "set": values} for code in codes]
    return {"title": "成批调整", "reason": "随条例", "effective_on": None, "items": items}


# --- 2: a drafter saves for nine days and is replaced on the tenth -------------------------------------------------


def test_02_what_a_drafter_saved_belongs_to_the_item_and_stays_when_he_is_replaced(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "早餐点认定"))
    line = story.open_for("p-wen")[0]["adjustments"][0]["id"]
    for day in range(9):
        story.says("p-wen", "save", lines={line: {"proposal": {"name": f"便民早餐服务点认定{day}"}}})
        story.later(days=1)
    with db.reader() as connection:
        step = rows(connection, select(STEP).where(STEP.c.state == "open"))[0]
    reassign(db, step_id=step["id"], to="p-he", by="p-zhou", reason="调离", now=story.now)
    (taken,) = story.open_for("p-he")
    assert taken["adjustments"][0]["proposed"]["name"] == "便民早餐服务点认定8"
    assert taken["due"] == step["due_on"].isoformat()
    story.says("p-he", "submit")
    assert [row["person_id"] for row in notices(db, "reassigned_from")] == ["p-wen"]
    shown = change_show(db, change_id=story.change_id, now=story.now)
    assert [(one["person"]["id"], one["verdict"]) for one in shown["decisions"]] == [("p-he", "submit")]


# --- 4: 900 items on one desk --------------------------------------------------------------------------------------


def test_04_nine_hundred_items_lie_on_one_desk_and_one_verdict_is_for_all_of_them(db: Database, office: Office) -> None:
    codes = more_items(db, 900)
    story = Story(db)
    story.start("agency_request", request(codes, "change_guide", promised_days=8))
    (sheet,) = story.open_for("p-wen")
    assert len(sheet["adjustments"]) == 900
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-jiang", "approve")
    with db.reader() as connection:
        lines = adjustments(connection, change_id=story.change_id)
        assert {line["state"] for line in lines} == {"published"}
        standing = catalogue.current_versions(connection, [f"itm-{code}" for code in codes])
    assert {version.content["promised_days"] for version in standing.values()} == {8}


# --- 5: the government approves 38 of 40 ---------------------------------------------------------------------------


def test_05_the_government_approves_38_of_40_and_the_other_two_go_back_in_a_sheet_of_their_own(
    db: Database, office: Office
) -> None:
    codes = more_items(db, 40)
    story = Story(db)
    story.start("agency_request", request(codes, "cancel"))
    story.says("p-wen", "submit")
    pass_reviews(story)
    two = [line["id"] for line in story.open_for("p-gov")[0]["adjustments"][:2]]
    story.says("p-gov", "approve", lines={key: {"verdict": "return", "remark": "请补充论证"} for key in two})
    with db.reader() as connection:
        found = {line["id"]: line for line in adjustments(connection, change_id=story.change_id)}
        made = sheets(connection, story.change_id)
    assert sum(line["state"] == "published" for line in found.values()) == 38
    assert [found[key]["state"] for key in two] == ["drafting", "drafting"]
    assert sorted((sheet["round"], sheet["parent_id"] is None) for sheet in made) == [(1, True), (2, False)]
    (again,) = story.open_for("p-wen")
    assert (again["round"], sorted(line["id"] for line in again["adjustments"])) == (2, sorted(two))
    assert notices(db, "returned")[0]["payload"]["passed"] == 38


# --- 9: a department is renamed while its sheet is open ------------------------------------------------------------


def test_09_a_department_renamed_while_its_sheet_is_open_goes_on_and_what_was_written_keeps_its_name(
    db: Database, office: Office, tmp_path: Path
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    renamed = tmp_path / "departments.csv"
    renamed.write_text(
        "id,full,short,level,region\nd-trade,示例市商务和粮食局,市商务和粮食局,2,990000\n", encoding="utf-8"
    )
    assert load(db, paths=[renamed], now=story.now).files[0].changed == 1
    story.says("p-zhou", "return", comment="请核对", only="form")
    assert [row["payload"]["sheet"]["department"] for row in notices(db, "draft_opened")] == ["市商务局"]
    story.says("p-wen", "submit")
    pass_reviews(story)
    for person, verdict in (("p-bian", "pass"), ("p-naming", "pass"), ("p-zhou", "approve")):
        story.says(person, verdict)
    assert current(db, office.items["990700188000"]).department_id == "d-trade"
    shown = change_show(db, change_id=story.change_id, now=story.now)
    assert shown["sheets"][0]["department"] == {"id": "d-trade", "name": "市商务局"}
    assert item_page(db, code="990700188000", now=story.now)["department"] == "市商务和粮食局"


# --- 11, 13: the moment of publication -----------------------------------------------------------------------------


def decided_before(db: Database, effective_on: str) -> Story:
    """A change all of whose sheets are approved and wait for their day."""
    story = Story(db)
    story.start("agency_request", {**rename("990700188000", "便民早餐服务点认定"), "effective_on": effective_on})
    story.says("p-wen", "submit")
    pass_reviews(story)
    for person, verdict in (("p-bian", "pass"), ("p-naming", "pass"), ("p-zhou", "approve")):
        story.says(person, verdict)
    return story


def test_11_what_was_due_while_everything_was_off_is_published_at_the_start_marked_late_and_told(
    db: Database, office: Office
) -> None:
    story = decided_before(db, "2026-12-01")
    story.now = datetime(2026, 12, 3, 1, 30, tzinfo=UTC)
    story.wake()
    version = current(db, office.items["990700188000"])
    (shown, before) = item_versions(db, code="990700188000")
    assert version.name == "便民早餐服务点认定"
    assert shown["valid_from"] == "2026-12-03T09:30:00+08:00"
    assert (before["valid_to"], shown["legal_since"]) == (shown["valid_from"], "2026-12-01")
    (told,) = notices(db, "published")
    assert (told["payload"]["late"], told["payload"]["legal_since"]) == (2, "12月1日")


def test_11_what_is_switched_within_five_minutes_is_in_time_and_begins_at_the_moment(
    db: Database, office: Office
) -> None:
    story = decided_before(db, "2026-12-01")
    story.now = datetime(2026, 11, 30, 16, 4, tzinfo=UTC)
    story.wake()
    shown = item_versions(db, code="990700188000")[0]
    assert (shown["valid_from"], shown["legal_since"]) == ("2026-12-01T00:00:00+08:00", None)
    assert notices(db, "published")[0]["payload"]["late"] == 0


def test_13_an_effective_date_on_a_saturday_is_kept_and_no_rung_falls_on_a_day_of_rest(
    db: Database, office: Office
) -> None:
    story = decided_before(db, "2026-12-05")
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["next_due"] == datetime(2026, 12, 4, 16, 0, tzinfo=UTC)
        fired = [row["due_at"] for row in rows(connection, select(RUNG))]
        calendar = store.calendar(connection)
    assert fired and all(calendar.is_workday((at + timedelta(hours=8)).date()) for at in fired)
    story.now = datetime(2026, 12, 4, 16, 0, tzinfo=UTC)
    story.wake()
    assert item_versions(db, code="990700188000")[0]["valid_from"] == "2026-12-05T00:00:00+08:00"


# --- 14: one person holds two seats --------------------------------------------------------------------------------


def test_14_one_person_who_holds_two_seats_has_one_desk_and_decides_twice(db: Database, office: Office) -> None:
    with db.writer() as connection:
        connection.execute(table(Post).delete().where(table(Post).c.id == "p-naming-naming_reviewer"))
        connection.execute(
            insert(table(Post)).values(
                id="both",
                person_id="p-bian",
                department_id="d-service",
                role="naming_reviewer",
                from_on=date(2020, 1, 1),
            )
        )
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    pass_reviews(story)
    assert [a["stage"] for a in story.open_for("p-bian")] == ["naming", "naming"]
    story.says("p-bian", "pass")
    shown = change_show(db, change_id=story.change_id, now=story.now)
    assert [one["person"]["id"] for one in shown["decisions"] if one["stage"] == "naming"] == ["p-bian", "p-bian"]
    assert [a["stage"] for a in story.open_for("p-zhou")] == ["approval"]


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


# --- 21: who told you to change this? ------------------------------------------------------------------------------


def test_21_two_years_later_an_item_leads_to_who_changed_it_why_and_on_which_law(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", {**LAW_CHANGE, "reason": "条例修订"})
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    bad = story.adjustment("p-zhou", "核发")["id"]
    story.says("p-zhou", "pass", lines={bad: {"verdict": "return", "remark": "引用请写到款"}}, only="form")
    story.says("p-he", "submit")
    pass_reviews(story)
    story.says("p-shen", "approve")
    with db.writer() as connection:
        connection.execute(table(Person).update().where(table(Person).c.id == "p-he").values(disabled_at=story.now))
    later = story.now + timedelta(days=730)
    page = item_page(db, code="990100342001", now=later)
    number = page["versions"][0]["change"]
    shown = change_show(db, change_id=number, now=later)
    assert re.fullmatch(r"2026-\d{4}", number)
    assert shown["starter"] == {"id": "p-zhou", "name": "周敏"}
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["params"]["law"] == LAW
    assert item_versions(db, code="990100342001")[-1]["bases"][0]["edition"] == OLD.isoformat()
    said = [(one["person"]["name"], one["stage"], one["verdict"], one["comment"]) for one in shown["decisions"]]
    assert ("何晓岚", "draft", "submit", "") in said
    assert ("沈知秋", "approval", "approve", "") in said
    assert [line["verb"] for line in shown["log"]].count("退回") == 1
    assert any("引用请写到款" in str(line["data"]) for line in shown["log"])
