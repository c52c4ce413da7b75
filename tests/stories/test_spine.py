"""The spine told through the verbs: two kinds of change from trigger to publication."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from models.actions.desk import decide, desk
from models.actions.legs import TERMINAL, begin_leg, park, run_pass
from models.actions.load import load
from models.actions.signing import is_coordinator
from models.actions.starting import preview, register
from models.actions.steering import reassign, take_out, urge
from models.actions.views import change_show
from models.domain.errors import BadInput, Conflict, Forbidden
from models.domain.seals import line_hash
from models.store import catalogue, quick
from models.store.change import ADJUSTMENT, ASSIGNMENT, LOG, SHEET, STEP, adjustments, change_row, rows, sheets
from models.store.database import Database
from models.store.outbox import NOTICE
from models.store.sql import table
from models.tables import Post, metadata
from tests.bench.large import Large, write_office
from tests.factories import LAW, LAW_CHANGE, NEW, OLD, Office, small_office
from tests.stories.driver import START, Story

pytestmark = pytest.mark.usefixtures("the_log_replays")


@pytest.fixture
def office(db: Database) -> Office:
    return small_office(db, START)


def rename(code: str, name: str) -> dict[str, Any]:
    return {
        "title": "更正事项名称",
        "reason": "与条例用语一致",
        "effective_on": None,
        "items": [{"target": {"kind": "item", "code": code}, "outcomes": ["rename"], "set": {"name": name}}],
    }


def current(db: Database, item_id: str) -> Any:
    with db.reader() as connection:
        return catalogue.current_versions(connection, [item_id])[item_id]


def notices(db: Database, kind: str) -> list[dict[str, Any]]:
    with db.reader() as connection:
        return rows(connection, select(NOTICE).where(NOTICE.c.kind == kind))


def test_preview_shows_the_reach_and_writes_nothing(db: Database, office: Office) -> None:
    shown = preview(db, trigger="law_change", params=LAW_CHANGE, now=START)
    assert shown.count == 4
    assert {row["code"]: row["outcomes"] for row in shown.rows}["990100356000"] == ["cancel"]
    with db.reader() as connection:
        assert connection.execute(select(LOG)).first() is None


def test_an_agency_request_by_a_coordinator_goes_to_the_drafter_at_once_and_ends_as_a_new_version(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    assert [a["stage"] for a in story.open_for("p-wen")] == ["draft"]
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    story.says("p-bian", "pass")
    story.says("p-naming", "pass")
    story.says("p-zhou", "approve")
    with db.reader() as connection:
        change = change_row(connection, story.change_id)
    assert (change["state"], change["phase"]) == ("closed", "closed")
    version = current(db, office.items["990700188000"])
    assert (version.name, version.no, version.state) == ("便民早餐服务点认定", 2, "active")


def law_story(db: Database) -> Story:
    """A law change whose scope is confirmed."""
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    return story


def pass_reviews(story: Story) -> None:
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")


def test_a_law_change_asks_for_its_scope_and_then_sheets_move_independently(db: Database, office: Office) -> None:
    story = law_story(db)
    with db.reader() as connection:
        made = sheets(connection, story.change_id)
    assert sorted((sheet["department_id"], sheet["procedure_key"]) for sheet in made) == [
        ("d-market", "change_basis"),
        ("d-trade", "cancel"),
        ("d-trade", "change_basis"),
    ]
    story.says("p-he", "submit")
    pass_reviews(story)
    story.says("p-shen", "approve")
    assert current(db, office.items["990100342001"]).content["bases"][0]["article"] == 3
    assert current(db, office.items["990700188000"]).no == 1


def test_the_whole_law_change_ends_closed_with_the_cancelled_item_cancelled(db: Database, office: Office) -> None:
    story = law_story(db)
    story.says("p-he", "submit")
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    story.says("p-shen", "approve")
    story.says("p-jiang", "approve")
    story.says("p-gov", "approve")
    with db.reader() as connection:
        assert change_row(connection, story.change_id)["state"] == "closed"
        assert {row["state"] for row in adjustments(connection, change_id=story.change_id)} <= TERMINAL
        assert catalogue.find_target(connection, "item", "990100356000").state == "cancelled"  # type: ignore[union-attr]


def test_a_return_goes_back_with_its_remark_and_the_next_round_shows_what_was_returned(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "早餐点认定"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "return", comment="名称应与条例用语一致", only="form")
    again = story.open_for("p-wen")[0]
    assert (again["stage"], again["round"]) == ("draft", 2)
    assert again["adjustments"][0]["remarks"][0]["text"] == "名称应与条例用语一致"
    assert notices(db, "returned")[0]["payload"]["comment"] == "名称应与条例用语一致"
    line = again["adjustments"][0]["id"]
    story.says("p-wen", "submit", lines={line: {"proposal": {"name": "便民早餐服务点认定"}}})
    seen = story.open_for("p-zhou")[0]["adjustments"][0]
    assert (seen["last_returned"]["name"], seen["proposed"]["name"]) == ("早餐点认定", "便民早餐服务点认定")
    assert seen["before"]["name"] == "早餐工程示范网点认定"


def test_a_change_read_without_the_table_classes_is_the_same(db: Database, tmp_path: Path) -> None:
    if db.url == "sqlite://":
        db = Database(f"sqlite:///{tmp_path / 'file.db'}")
    small_office(db, START)
    story = law_story(db)
    story.says("p-he", "submit")
    bad = story.adjustment("p-zhou", "核发")["id"]
    story.says("p-zhou", "pass", lines={bad: {"verdict": "return", "remark": "引用请写到款"}}, only="form")
    shown = change_show(db, change_id=story.change_id, now=story.now)
    with quick.reading(db.url) as read:
        assert quick.change(read, story.change_id) == quick.change(read, shown["number"]) == shown
        assert quick.change(read, "2026-9999") is None
    assert len(shown["sheets"]) > 1 and shown["decisions"] and shown["log"]
    if db.sqlite:
        db.close()


def test_who_was_asked_is_told_when_everything_before_him_is_taken_out(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "早餐点认定"))
    line = story.open_for("p-wen")[0]["adjustments"][0]["id"]
    take_out(db, adjustment_id=line, by="p-zhou", reason="已另案办理", now=story.now)
    story.wake()
    assert story.passes[-1].state == "closed"
    assert story.open_for("p-wen") == []
    (told,) = notices(db, "taken_out")
    assert (told["person_id"], told["payload"]["count"], told["payload"]["reason"]) == ("p-wen", 1, "已另案办理")
    with db.reader() as connection:
        assert rows(connection, select(STEP).where(STEP.c.state == "open")) == []


def test_mixed_verdicts_split_the_sheet_and_the_passed_lines_go_on(db: Database, office: Office) -> None:
    story = law_story(db)
    story.says("p-he", "submit")
    bad = story.adjustment("p-zhou", "核发")["id"]
    story.says("p-zhou", "pass", lines={bad: {"verdict": "return", "remark": "引用请写到款"}}, only="form")
    assert [a["adjustments"][0]["id"] for a in story.open_for("p-he")] == [bad]
    assert len(story.open_for("p-lu")[0]["adjustments"]) == 1


def test_a_parallel_return_waits_for_the_other_reviewer_and_comes_back_once(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "return", comment="理由一")
    assert story.open_for("p-wen") == []
    story.says("p-gao", "return", comment="理由二")
    assert len(story.open_for("p-wen")) == 1
    assert notices(db, "returned")[-1]["payload"]["comment"] == "理由一；理由二"


def test_a_decline_passes_the_same_reviews_and_publishes_nothing(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "decline", comment="现名称沿用多年，没有必要调整")
    story.says("p-zhou", "pass", only="form")
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    story.says("p-bian", "pass")
    story.says("p-naming", "pass")
    story.says("p-zhou", "approve")
    with db.reader() as connection:
        assert [row["state"] for row in adjustments(connection, change_id=story.change_id)] == ["declined"]
    assert current(db, office.items["990700188000"]).no == 1


def test_a_second_click_hears_who_decided_and_the_same_request_hears_the_same_answer(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    open_one = story.open_for("p-wen")[0]
    body: dict[str, Any] = {
        "request_id": "q-same",
        "decisions": [{"assignment": open_one["id"], "revision": open_one["revision"], "verdict": "submit"}],
    }
    first = decide(db, person_id="p-wen", change_id=story.change_id, body=body, via="link", now=story.now)
    again = decide(db, person_id="p-wen", change_id=story.change_id, body=body, via="link", now=story.now)
    assert again.answer == first.answer
    with pytest.raises(Conflict) as refused:
        decide(
            db,
            person_id="p-wen",
            change_id=story.change_id,
            body={**body, "request_id": "q-new"},
            via="link",
            now=story.now,
        )
    assert refused.value.code == "already_decided"
    changed = {**body, "decisions": []}
    changed["decisions"] = [{"assignment": open_one["id"], "verdict": "submit", "comment": "另一份"}]
    with pytest.raises(Conflict) as reused:
        decide(db, person_id="p-wen", change_id=story.change_id, body=changed, via="link", now=story.now)
    assert reused.value.code == "request_reused"


def test_one_of_two_legality_reviewers_is_enough_and_the_other_is_told(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    (seen,) = story.open_for("p-ding")
    story.says("p-lu", "pass", wake=False)
    assert story.open_for("p-ding") == [], "nobody works in vain, however long no leg takes it up"
    shown = desk(db, person_id="p-ding", change_id=story.change_id, now=story.now)["decided"]
    assert [(one["by"]["name"], one["verdict"]) for one in shown] == [("陆清", "pass")]
    late = {"assignment": seen["id"], "revision": seen["revision"], "verdict": "return", "comment": "太晚"}
    with pytest.raises(Conflict) as refused:
        decide(
            db,
            person_id="p-ding",
            change_id=story.change_id,
            body={"request_id": "q-late", "decisions": [late]},
            via="link",
            now=story.now,
        )
    assert refused.value.code == "already_decided"
    with db.reader() as connection:
        step = connection.execute(select(ASSIGNMENT.c.step_id).where(ASSIGNMENT.c.id == seen["id"])).scalar_one()
    for act in (partial(reassign, to="p-jiang"), urge):
        with pytest.raises(Conflict) as late_too:
            act(db, step_id=step, by="p-zhou", reason="催一下", now=story.now)
        assert (late_too.value.code, "陆清已经办理" in late_too.value.message) == ("already_decided", True)
    story.wake()
    assert story.open_for("p-ding") == []


def test_two_drafters_on_one_adjustment_see_both_texts_and_on_two_adjustments_do_not_collide(
    db: Database, office: Office
) -> None:
    story = Story(db)
    wanted = [
        {"target": {"kind": "item", "code": code}, "outcomes": ["change_guide"], "set": {}}
        for code in ("990100342001", "990100342002")
    ]
    story.start("agency_request", {"title": "压缩时限", "reason": "", "effective_on": None, "items": wanted})
    mine, theirs = story.open_for("p-he")[0], story.open_for("p-xu")[0]
    first, second = (a["id"] for a in mine["adjustments"])

    def save(person: str, seen: dict[str, Any], line: str, days: int, request: str) -> None:
        body = {
            "request_id": request,
            "decisions": [
                {
                    "assignment": seen["id"],
                    "revision": seen["revision"],
                    "verdict": "save",
                    "adjustments": {line: {"proposal": {"promised_days": days}}},
                }
            ],
        }
        decide(db, person_id=person, change_id=story.change_id, body=body, via="link", now=story.now)

    story.later(minutes=1)
    save("p-he", mine, first, 8, "q-a")
    story.later(minutes=1)
    save("p-xu", theirs, second, 9, "q-b")
    with pytest.raises(Conflict) as refused:
        save("p-xu", theirs, first, 7, "q-c")
    assert refused.value.code == "revision_changed"
    conflict = refused.value.details["conflicts"][0]
    assert (conflict["field"], conflict["yours"], conflict["theirs"]) == ("promised_days", 7, 8)


@pytest.mark.by_hand
def test_nobody_reviews_what_he_drafted(db: Database, office: Office) -> None:
    from sqlalchemy import update

    from models.store.change import ASSIGNMENT

    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    held = story.open_for("p-zhou")[0]
    with db.writer() as connection:
        connection.execute(update(ASSIGNMENT).where(ASSIGNMENT.c.id == held["id"]).values(person_id="p-wen"))
    with pytest.raises(Forbidden) as refused:
        story.says("p-wen", "pass")
    assert refused.value.code == "four_eyes"


def test_a_return_without_a_word_is_refused(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.says("p-wen", "submit")
    with pytest.raises(BadInput) as refused:
        story.says("p-zhou", "return")
    assert refused.value.code == "comment_required"


def test_a_department_without_a_drafter_opens_to_no_owner_and_the_coordinator_is_told(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990100400000", "烟花爆竹零售许可"))
    with db.reader() as connection:
        assert rows(connection, select(STEP))[0]["no_owner"]
    assert notices(db, "no_owner")[0]["person_id"] == "p-zhou"


def test_deadline_rungs_fire_once_in_order_and_never_after_a_decision(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    story.later(days=5)
    story.wake()
    story.wake()
    assert len(notices(db, "reminder")) == 1
    story.later(days=4)
    story.wake()
    assert len(notices(db, "overdue_superior")) == 1
    story.says("p-wen", "submit")
    story.later(days=1)
    story.wake()
    assert len(notices(db, "supervise")) == 0


def test_the_coordinator_is_told_when_the_person_was_reminded_and_the_superior_told(
    db: Database, office: Office
) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    for days in (5, 4, 5):
        story.later(days=days)
        story.wake()
    payload = notices(db, "supervise")[0]["payload"]
    assert payload["reminded_at"].startswith("11月28日")
    assert payload["told_at"].startswith("12月2日")
    assert notices(db, "reminder")[0]["payload"]["next_day"] == "12月1日"


def test_a_change_parks_only_if_no_work_came_and_a_stale_leg_touches_nothing(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("agency_request", rename("990700188000", "便民早餐服务点认定"))
    assert park(db, change_id=story.change_id, leg_no=story.leg)
    story.says("p-wen", "submit", wake=False)
    assert not park(db, change_id=story.change_id, leg_no=story.leg)
    old = story.leg
    story.wake()
    with pytest.raises(Conflict) as refused:
        run_pass(db, change_id=story.change_id, leg_no=old, attempt=1, now=story.now, collect_minutes=20)
    assert refused.value.code == "run_stale"


def test_two_changes_of_one_item_publish_once_and_block_the_second(db: Database, office: Office) -> None:
    stories = [Story(db), Story(db)]
    for story, name in zip(stories, ("甲名", "乙名"), strict=True):
        story.start("agency_request", rename("990700188000", name))
    for story in stories:
        story.says("p-wen", "submit")
        story.says("p-zhou", "pass", only="form")
        for person in ("p-lu", "p-gao", "p-bian", "p-naming"):
            story.says(person, "pass")
        story.says("p-zhou", "approve")
    with db.reader() as connection:
        states = [adjustments(connection, change_id=story.change_id)[0]["state"] for story in stories]
    assert states == ["published", "blocked"]
    assert current(db, office.items["990700188000"]).name == "甲名"
    assert len(notices(db, "publication_blocked")) == 1


def test_a_new_item_gets_a_code_never_given_before_when_it_is_published(db: Database, office: Office) -> None:
    story = Story(db)
    wanted = {
        "name": "集体用餐配送备案",
        "type": "10",
        "department": "d-trade",
        "organs": ["d-trade"],
        "bases": [{"law": LAW, "edition": NEW.isoformat(), "article": 2}],
    }
    story.start(
        "agency_request",
        {
            "title": "新增事项",
            "reason": "条例新设",
            "effective_on": None,
            "items": [{"target": None, "outcomes": ["add"], "set": wanted}],
        },
    )
    story.says("p-wen", "submit")
    story.says("p-zhou", "pass", only="form")
    for person in ("p-lu", "p-gao"):
        story.says(person, "pass")
    if story.open_for("p-bian"):
        story.says("p-bian", "pass")
        story.says("p-naming", "pass")
    story.says("p-gov", "approve")
    with db.reader() as connection:
        row = adjustments(connection, change_id=story.change_id)[0]
        assert row["state"] == "published"
        found = catalogue.find_target(connection, "item", row["code"])
    assert found is not None
    assert found.name == "集体用餐配送备案"


def test_the_same_law_and_versions_answer_with_the_open_change_unless_told_again(db: Database, office: Office) -> None:
    first = register(db, trigger="law_change", params=LAW_CHANGE, by=None, via="test", now=START)
    second = register(db, trigger="law_change", params=LAW_CHANGE, by=None, via="test", now=START)
    third = register(db, trigger="law_change", params=LAW_CHANGE, by=None, via="test", again=True, now=START)
    assert (second.id, second.existing) == (first.id, True)
    assert third.id != first.id


def test_a_law_change_without_an_item_closes_with_the_reason(db: Database, office: Office) -> None:
    from models.store import laws
    from tests.factories import law_text

    with db.writer() as connection:
        other = law_text(OLD, ["只有一条，没有事项引用。"]).model_copy(update={"title": "示例市养老服务条例"})
        laws.save_law(connection, other)
    story = Story(db)
    made = register(
        db,
        trigger="law_change",
        params={
            "title": "废止养老条例",
            "law": "示例市养老服务条例",
            "from_version": OLD.isoformat(),
            "to_version": None,
        },
        by=None,
        via="test",
        now=START,
    )
    leg = begin_leg(db, change_id=made.id, attempt=1, flow_run_id="r", engine_id="e", now=START)
    result = run_pass(db, change_id=made.id, leg_no=leg, attempt=1, now=story.now, collect_minutes=20)
    assert result.ended
    with db.reader() as connection:
        assert (
            rows(connection, select(LOG).where(LOG.c.change_id == made.id))[-1]["data"]["reason"]
            == "没有找到涉及的事项"
        )


def test_the_log_of_a_change_is_a_chain_of_hashes(db: Database, office: Office) -> None:
    story = law_story(db)
    with db.reader() as connection:
        entries = rows(connection, select(LOG).where(LOG.c.change_id == story.change_id).order_by(LOG.c.seq))
    previous = ""
    for entry in entries:
        assert entry["prev_hash"] == previous
        assert line_hash(entry) == entry["hash"]
        previous = entry["hash"]


def test_a_sheet_that_raises_is_stuck_with_a_sentence_and_the_others_go_on(
    db: Database, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.actions import legs, moving

    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    real = moving.move_sheet

    def broken(room: Any, sheet: Any) -> Any:
        if sheet["department_id"] == "d-market":
            raise RuntimeError("boom")
        return real(room, sheet)

    monkeypatch.setattr(legs, "move_sheet", broken)
    story.says("p-zhou", "confirm")
    with db.reader() as connection:
        marks = {row["department_id"]: row["stuck"] for row in rows(connection, select(SHEET))}
        assert marks["d-market"]
        assert marks["d-trade"] is None
        assert len(rows(connection, select(ADJUSTMENT).where(ADJUSTMENT.c.state == "drafting"))) == 4
    told = notices(db, "sheet_stuck")
    assert [notice["payload"]["next_at"] for notice in told] == ["09:02"]  # in Shanghai, wherever the machine stands
    assert story.open_for("p-wen")


def test_many_sheets_are_moved_ten_at_a_time_and_one_that_raises_among_them_sticks_alone(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.actions import legs, moving

    metadata.create_all(db.engine)
    load(db, paths=write_office(tmp_path, 24, 12), now=START)
    large = Large(db, 24, 12)
    together: list[list[str]] = []
    poisoned = ""
    last: list[Any] = []

    def watched(room: Any, sheet: Any) -> Any:
        if last[-1:] != [room]:
            last.append(room)
            together.append([])
        together[-1].append(sheet["id"])
        if sheet["department_id"] == poisoned:
            raise RuntimeError("poison")
        return moving.move_sheet(room, sheet)

    monkeypatch.setattr(legs, "move_sheet", watched)
    large.begin()
    assert [len(sheets) for sheets in together] == [10, 2]
    together.clear()
    for n in range(12):
        large.decide(f"p-d{n}", "draft", "submit")
    poisoned = "d-3"
    large.carry("draft")
    first, *others = [len(sheets) for sheets in together]
    assert first > 1
    assert others == [*[1] * 10, 2]
    with db.reader() as connection:
        stuck = {row["department_id"] for row in sheets(connection, large.story.change_id) if row["stuck"]}
    assert stuck == {"d-3"}
    assert len(large.story.open_for("p-zhou")) == 11


def test_a_submission_that_names_an_assignment_twice_is_refused_whole(db: Database, office: Office) -> None:
    story = Story(db)
    story.start("law_change", LAW_CHANGE)
    story.says("p-zhou", "confirm")
    story.says("p-wen", "submit")
    [task, *_] = story.open_for("p-zhou")
    said = {"assignment": task["id"], "revision": task["revision"], "verdict": "pass"}
    body = {"request_id": "r-twice", "decisions": [said, said]}
    with pytest.raises(Conflict) as refused:
        decide(db, person_id="p-zhou", change_id=story.change_id, body=body, via="link", now=story.now)
    assert refused.value.code == "already_decided"
    assert task["id"] in {one["id"] for one in story.open_for("p-zhou")}


def test_a_post_that_begins_today_counts_from_midnight_in_shanghai(db: Database, office: Office) -> None:
    with db.writer() as connection:
        connection.execute(
            update(table(Post)).where(table(Post).c.role == "coordinator").values(from_on=date(2026, 11, 24))
        )
    assert not is_coordinator(db, person_id="p-zhou", now=datetime(2026, 11, 23, 15, 59, tzinfo=UTC))
    assert is_coordinator(db, person_id="p-zhou", now=datetime(2026, 11, 23, 16, 0, tzinfo=UTC))
