"""Poisoned data: exactly one sheet is stuck with a sentence, the others publish, and the coordinator mends it himself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text, update

from models.actions import legs
from models.actions.moving import move_sheet
from models.actions.steering import retry, take_out
from models.actions.views import board, change_page
from models.domain.errors import Conflict
from models.domain.procedure import ProcedureVersion
from models.reference.procedures import procedure_for
from models.store import catalogue
from models.store.change import PROPOSAL, adjustments, change_row, sheets
from models.store.database import Database
from models.store.sql import table
from models.tables import Person, Post
from tests.factories import LAW_CHANGE, Office, small_office
from tests.stories.driver import START, Story
from tests.stories.test_first_month import log
from tests.stories.test_found import naming_story
from tests.stories.test_spine import notices

MARKET = "市市场监管局"


@pytest.fixture
def office(db: Database) -> Office:
    return small_office(db, START)


def marks(db: Database, story: Story) -> dict[tuple[str, str], str | None]:
    """What every sheet is marked with, by department and procedure."""
    with db.reader() as connection:
        return {(s["department_id"], s["procedure_key"]): s["stuck"] for s in sheets(connection, story.change_id)}


def states(db: Database, story: Story) -> dict[str, str]:
    with db.reader() as connection:
        return {row["code"]: row["state"] for row in adjustments(connection, change_id=story.change_id)}


def sheet_of(db: Database, story: Story, department: str, procedure: str) -> dict[str, Any]:
    with db.reader() as connection:
        return next(
            sheet
            for sheet in sheets(connection, story.change_id)
            if (sheet["department_id"], sheet["procedure_key"]) == (department, procedure)
        )


@contextmanager
def by_hand(db: Database) -> Iterator[Connection]:
    """Somebody at the database itself, past every check."""
    with db.engine.connect() as connection:
        if db.sqlite:
            connection.exec_driver_sql("pragma foreign_keys=off")
        else:
            connection.execute(text("set session_replication_role = replica"))
        connection.commit()
        yield connection
        connection.commit()
        if db.sqlite:
            connection.exec_driver_sql("pragma foreign_keys=on")
        else:
            connection.execute(text("set session_replication_role = default"))
        connection.commit()


def reviews(story: Story) -> None:
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")


def everybody_else(story: Story) -> None:
    """The trade department's sheets go through all their stages."""
    story.says("p-wen", "submit")
    if story.open_for("p-zhou"):
        reviews(story)
    story.says("p-jiang", "approve")
    story.says("p-gov", "approve")


# --- a sheet that raises -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["draft", "form", "legality", "approval"])
def test_a_sheet_that_raises_at_a_stage_is_stuck_alone_and_goes_on_when_it_is_mended(
    db: Database, office: Office, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    order = ["draft", "form", "legality", "approval"]
    broken = {"is": True}

    def poisoned(room: Any, sheet: Any) -> Any:
        if broken["is"] and sheet["department_id"] == "d-market" and sheet["position"] == order.index(stage):
            raise KeyError("stage")
        return move_sheet(room, sheet)

    monkeypatch.setattr(legs, "move_sheet", poisoned)
    story.says("p-zhou", "confirm")
    reached = order.index(stage)
    if reached > 0:
        story.says("p-he", "submit")
    story.says("p-wen", "submit")
    reviews(story)
    story.says("p-jiang", "approve")
    story.says("p-gov", "approve")
    if reached > 2:
        story.says("p-shen", "approve")
    assert {code: state for code, state in states(db, story).items() if code in ("990700188000", "990100356000")} == {
        "990700188000": "published",
        "990100356000": "published",
    }
    found = marks(db, story)
    stuck = found.pop(("d-market", "change_basis"))
    assert set(found.values()) == {None}
    assert stuck is not None
    assert "编号" in stuck and "KeyError" not in stuck
    (told,) = notices(db, "sheet_stuck")
    assert (told["person_id"], told["payload"]["sheet"]["department"]) == ("p-zhou", MARKET)
    broken["is"] = False
    retry(db, sheet_id=sheet_of(db, story, "d-market", "change_basis")["id"], by="p-zhou", now=story.now)
    story.wake()
    assert set(marks(db, story).values()) == {None}
    finish(story)
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["state"] == "closed"
    assert set(states(db, story).values()) == {"published"}
    assert [(row["who"], row["via"]) for row in log(db, "重试")] == [("p-zhou", "portal")]


def finish(story: Story) -> None:
    """Whoever is waited for passes, until nobody is."""
    ways = {"p-he": "submit", "p-zhou": "pass", "p-lu": "pass", "p-gao": "pass", "p-shen": "approve"}
    for _ in range(6):
        for person, verdict in ways.items():
            if story.open_for(person):
                story.says(person, verdict)


def test_a_sheet_that_is_stuck_is_tried_after_1_5_and_30_minutes_and_then_every_hour_and_told_of_once(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    tries: list[Any] = []

    def poisoned(room: Any, sheet: Any) -> Any:
        if sheet["department_id"] != "d-market":
            return move_sheet(room, sheet)
        if room.case.now not in tries:  # at first among several sheets, then by itself
            tries.append(room.case.now)
        raise RuntimeError("poison")

    monkeypatch.setattr(legs, "move_sheet", poisoned)
    story.says("p-zhou", "confirm")
    for _ in range(6 * 60):
        with db.reader() as connection:
            due = change_row(connection, story.change_id)["next_due"]
        if due > story.now:
            story.now = due
        story.wake()
        if len(tries) > 5:
            break
    waits = [(later - earlier) / timedelta(minutes=1) for earlier, later in zip(tries, tries[1:], strict=False)]
    assert waits == [1, 5, 30, 60, 60]
    assert len(notices(db, "sheet_stuck")) == 1
    assert len(log(db, "处理异常")) == 6


# --- what was deleted by hand --------------------------------------------------------------------------------------


@pytest.mark.by_hand
def test_an_item_deleted_by_hand_sticks_its_sheet_until_the_line_is_taken_out(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    with by_hand(db) as connection:
        connection.execute(text(f"delete from item where id = '{office.items['990100342001']}'"))
        connection.execute(text(f"delete from item_version where item_id = '{office.items['990100342001']}'"))
    assert story.open_for("p-he")[0]["adjustments"]
    story.says("p-he", "submit")
    everybody_else(story)
    stuck = marks(db, story)[("d-market", "change_basis")]
    assert stuck == "“小型餐饮服务提供者登记（核发）”已不在事项目录中，不能继续。请移出后点“重试”。"
    assert [value for value in marks(db, story).values() if value] == [stuck]
    assert {states(db, story)[code] for code in ("990700188000", "990100356000")} == {"published"}
    with db.reader() as connection:
        line = next(r for r in adjustments(connection, change_id=story.change_id) if r["code"] == "990100342001")
    take_out(db, adjustment_id=line["id"], by="p-zhou", reason="目录中已不存在", now=story.now)
    story.wake()
    assert set(marks(db, story).values()) == {None}
    finish(story)
    assert states(db, story) == {
        "990100342001": "removed",
        "990100342002": "published",
        "990700188000": "published",
        "990100356000": "published",
    }
    assert len(notices(db, "sheet_stuck")) == 1


@pytest.mark.by_hand
def test_an_item_deleted_by_hand_before_its_publication_blocks_its_line_alone(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", {**LAW_CHANGE, "effective_on": "2026-12-25"})
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    story.says("p-wen", "submit")
    reviews(story)
    for person in ("p-shen", "p-jiang", "p-gov"):
        story.says(person, "approve")
    with by_hand(db) as connection:
        connection.execute(text(f"delete from item where id = '{office.items['990100342001']}'"))
        connection.execute(text(f"delete from item_version where item_id = '{office.items['990100342001']}'"))
    story.later(days=35)
    story.wake()
    assert states(db, story) == {
        "990100342001": "blocked",
        "990100342002": "published",
        "990700188000": "published",
        "990100356000": "published",
    }
    (told,) = notices(db, "publication_blocked")
    assert told["payload"]["reason"] == "“小型餐饮服务提供者登记（核发）”已不在事项目录中，请移出"


@pytest.mark.by_hand
def test_a_content_broken_by_hand_holds_back_its_sheet_alone_and_is_mended_by_taking_the_line_out(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("law_change", {**LAW_CHANGE, "effective_on": "2026-12-25"})
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    story.says("p-wen", "submit")
    reviews(story)
    for person in ("p-shen", "p-jiang", "p-gov"):
        story.says(person, "approve")
    with db.reader() as connection:
        line = next(r for r in adjustments(connection, change_id=story.change_id) if r["code"] == "990100342001")
    with db.writer() as connection:
        connection.execute(
            update(PROPOSAL).where(PROPOSAL.c.adjustment_id == line["id"]).values(content={"promised_days": "zehn"})
        )
    story.later(days=35)
    story.wake()
    assert states(db, story) == {
        "990100342001": "scheduled",
        "990100342002": "scheduled",
        "990700188000": "published",
        "990100356000": "published",
    }
    stuck = marks(db, story)[("d-market", "change_basis")]
    assert stuck is not None
    assert stuck.startswith("“小型餐饮服务提供者登记（核发）”的拟调整内容不完整或者已损坏，不能发布。")
    assert len(notices(db, "sheet_stuck")) == 1
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["next_due"] > story.now
    story.later(minutes=2)
    story.wake()
    assert len(notices(db, "sheet_stuck")) == 1
    take_out(db, adjustment_id=line["id"], by="p-zhou", reason="内容已损坏，另案办理", now=story.now)
    story.wake()
    assert states(db, story)["990100342002"] == "published"
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["state"] == "closed"


def test_a_publication_that_raises_for_no_single_sheet_leaves_all_of_them_stuck_and_is_tried_again(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    reviews(story)
    with monkeypatch.context() as broken:
        broken.setattr(catalogue, "snapshot_list", lambda *_, **__: 1 / 0)
        story.says("p-shen", "approve")
        assert states(db, story)["990100342001"] == "scheduled"
        assert marks(db, story)[("d-market", "change_basis")]
    story.later(minutes=1)
    story.wake()
    assert states(db, story)["990100342001"] == "published"
    assert set(marks(db, story).values()) == {None}


# --- a role nobody knows -------------------------------------------------------------------------------------------


def test_a_procedure_that_names_a_missing_role_says_which_and_goes_on_once_somebody_has_it(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(outcomes: Any) -> ProcedureVersion:
        procedure = procedure_for(outcomes)
        if procedure.key != "cancel":
            return procedure
        stages = tuple(
            s.model_copy(update={"role": "ghost_reviewer"}) if s.code == "form" else s for s in procedure.stages
        )
        return procedure.model_copy(update={"stages": stages})

    monkeypatch.setattr(legs, "procedure_for", wrong)
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-he", "submit")
    story.says("p-wen", "submit")
    reviews(story)
    for person in ("p-shen", "p-jiang"):
        story.says(person, "approve")
    assert marks(db, story)[("d-trade", "cancel")] == (
        "流程“cancel”缺少岗位“ghost_reviewer”：请补任职后在统筹台点“重试”。"
    )
    assert states(db, story)["990700188000"] == states(db, story)["990100342001"] == "published"
    sheet = sheet_of(db, story, "d-trade", "cancel")
    with db.writer() as connection:
        connection.execute(insert(table(Person)).values(id="p-ghost", name="补任"))
        connection.execute(
            insert(table(Post)).values(
                id="ghost", person_id="p-ghost", department_id="d-law", role="ghost_reviewer", from_on=date(2026, 1, 1)
            )
        )
    retry(db, sheet_id=sheet["id"], by="p-zhou", now=story.now)
    story.wake()
    assert [a["stage"] for a in story.open_for("p-ghost")] == ["form"]
    with pytest.raises(Conflict) as over:
        retry(db, sheet_id=sheet["id"], by="p-zhou", now=story.now)
    assert over.value.code == "superseded"


# --- what the coordinator sees -------------------------------------------------------------------------------------


def test_the_board_and_the_page_show_what_is_stuck_and_a_stuck_sheets_people_still_decide(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = naming_story(db)

    def poisoned(room: Any, sheet: Any) -> Any:
        raise RuntimeError("poison")

    with monkeypatch.context() as broken:
        broken.setattr(legs, "move_sheet", poisoned)
        story.says("p-bian", "pass")
    (row,) = board(db, person_id="p-zhou", now=story.now)["rows"]
    assert row["stuck"]
    (shown,) = change_page(db, change_id=story.change_id, now=story.now)["stuck"]
    assert (shown["department_name"], shown["retry_at"]) == ("市商务局", story.now + timedelta(minutes=1))
    story.says("p-naming", "pass")
    assert [a["stage"] for a in story.open_for("p-zhou")] == ["approval"]
    assert set(marks(db, story).values()) == {None}
