"""A law change told with a reach of every sort: each row gets an outcome, words and numbers go the short road."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, update

from models.actions.audit import verify
from models.actions.law_table import as_document, table_of_change
from models.actions.rules import rules, switch_rule
from models.actions.starting import preview, register
from models.actions.steering import take_out
from models.domain.errors import BadInput, Conflict, Forbidden
from models.domain.law_table import LawTable
from models.store import catalogue, laws, touched
from models.store.change import adjustments, change_row, decisions, rows, sheets, steps
from models.store.database import Database
from models.store.outbox import NOTICE
from models.store.sealing import OFFICE_LOG
from tests.factories import Office, dated_law
from tests.law_office import CHANGE, CITED, LEFT, TITLE, law_office
from tests.stories.driver import START, Story
from tests.unit.test_impact import NEW, NEW_DAY, OLD

LATER_DAY = date(2027, 3, 1)

pytestmark = pytest.mark.usefixtures("the_log_replays")


@pytest.fixture
def office(db: Database) -> Office:
    return law_office(db, START)


def started(db: Database, **more: Any) -> Story:
    story = Story(db)
    story.start("law_change", {**CHANGE, **more})
    return story


def states(story: Story) -> dict[str, str]:
    with story.db.reader() as connection:
        return {row["name"]: row["state"] for row in adjustments(connection, change_id=story.change_id)}


def state_of_change(story: Story) -> str:
    with story.db.reader() as connection:
        return str(change_row(connection, story.change_id)["state"])


def bases(db: Database, office: Office, name: str) -> list[tuple[int | None, str | None]]:
    with db.reader() as connection:
        version = catalogue.current_versions(connection, [office.items[name]])[office.items[name]]
    return [(basis["article"], basis["quoted"]) for basis in version.content["bases"] if basis["law"] == TITLE]


def finish(story: Story) -> None:
    """Everybody with a task lets it pass until nobody has one."""
    for _ in range(12):
        if not any(story.open_for(person) for person in EVERYBODY):
            return
        for person in EVERYBODY:
            for stage in sorted({one["stage"] for one in story.open_for(person)}):
                story.says(person, {"draft": "submit", "approval": "approve"}.get(stage, "pass"), only=stage)


EVERYBODY = ("p-he", "p-wen", "p-zhou", "p-lu", "p-gao", "p-shen", "p-jiang", "p-gov")


def test_the_preview_says_of_every_item_what_is_proposed_and_counts(db: Database, office: Office) -> None:
    shown = preview(db, trigger="law_change", params=CHANGE, now=START)
    assert {row["name"]: row["road"] for row in shown.rows} == {
        "中央厨房设立审批": None,
        "大型活动供餐报告": "short",
        "集体用餐配送报告": "short",
        "集体用餐名录登记": None,
        "流动摊贩经营许可": None,
    }
    assert {row["name"]: (row["list"], row["selected"]) for row in shown.left} == {
        "餐厨废弃物收运核准": ("editorial", False),
        "集体用餐统计报送": ("whole_law", False),
        "早餐车占道手续": ("indirect", False),
        "中央厨房备案": ("already_new", False),
    }
    assert [row["name"] for row in shown.whole_law] == ["集体用餐统计报送"]
    assert shown.counts["kinds"] == {"approval_to_filing": 1, "time_limit": 1, "editorial": 2}
    assert shown.counts["departments"] == [
        {"id": "d-market", "name": "市市场监管局", "count": 3},
        {"id": "d-trade", "name": "市商务局", "count": 2},
    ]
    assert shown.counts["confidence"] == {"certain": 4, "to_check": 1}
    assert shown.counts["roads"] == {"full": 3, "short": 2, "none": 4}
    assert shown.sheets[-1] == {
        "department": {"id": None, "name": "2 个部门"}, "procedure": "editorial", "count": 2
    }  # fmt: skip


def test_confirmed_as_shown_every_row_gets_its_outcome_and_the_change_closes(db: Database, office: Office) -> None:
    story = started(db)
    [scope] = story.open_for("p-zhou")
    assert {line["target"]["name"]: line["preset"] for line in scope["adjustments"]} == {
        name: "no_adjustment" if name in LEFT else "confirm" for name, *_ in CITED
    }
    story.says("p-zhou", "confirm")
    assert {name for name, state in states(story).items() if state == "declined"} == LEFT
    finish(story)
    assert state_of_change(story) == "closed"
    assert {state for name, state in states(story).items() if name not in LEFT} == {"published"}
    with db.reader() as connection:
        told = rows(connection, select(NOTICE).where(NOTICE.c.kind == "published"))
    mine = {
        row["person_id"]: {item["name"] for item in row["payload"]["items"]}
        for row in told
        if not row["payload"]["short"]
    }
    # Each hears of what he drafted, whatever else was published with it.
    assert mine == {"p-he": {"中央厨房设立审批", "集体用餐名录登记"}, "p-wen": {"流动摊贩经营许可"}}
    assert bases(db, office, "中央厨房设立审批") == [(2, NEW[1].text), (5, None)]
    assert bases(db, office, "集体用餐配送报告") == [(8, OLD[4].text), (6, NEW[5].text)]
    assert bases(db, office, "餐厨废弃物收运核准") == [(6, OLD[5].text)]
    assert verify(db).findings == []


def test_a_range_of_another_law_is_still_a_range_after_the_publication(db: Database, office: Office) -> None:
    with db.writer() as connection:
        here = catalogue.BASIS.c.canonical == "示例市食品安全条例"
        connection.execute(update(catalogue.BASIS).where(here).values(to_article=12))
    story = started(db)
    story.says("p-zhou", "confirm")
    finish(story)
    with db.reader() as connection:
        [cited] = catalogue.cited_bases(connection, "示例市食品安全条例")
        version = catalogue.current_versions(connection, [cited.item_id])[cited.item_id]
    assert (version.no, cited.article, cited.to_article) == (2, 8, 12)


def test_no_adjustment_is_a_decision_with_name_day_and_reason(db: Database, office: Office) -> None:
    story = started(db)
    story.says("p-zhou", "confirm", comment="已逐项核对")
    with db.reader() as connection:
        [step] = [row for row in steps(connection, story.change_id) if row["stage"] == "scope"]
        [decision] = decisions(connection, [step["id"]])[step["id"]]
        names = {row["id"]: row["name"] for row in adjustments(connection, change_id=story.change_id)}
    said = {names[key]: line["remark"] for key, line in decision["lines"].items() if line["verdict"] == "no_adjustment"}
    assert said.keys() == LEFT
    assert said["集体用餐统计报送"] == f"引用整部《{TITLE}》，没有写明条款"
    assert (decision["person_id"], decision["at"]) == ("p-zhou", story.now)


def test_the_coordinator_decides_many_rows_with_one_reason_and_none_without(db: Database, office: Office) -> None:
    story = started(db)
    [scope] = story.open_for("p-zhou")
    lines = {line["id"]: {"verdict": "no_adjustment"} for line in scope["adjustments"]}
    with pytest.raises(BadInput) as refused:
        story.says("p-zhou", "confirm", lines=lines)
    assert refused.value.code == "comment_required"
    story.says("p-zhou", "confirm", lines=lines, comment="事项正在整体清理，另行调整")
    assert set(states(story).values()) == {"declined"}
    with db.reader() as connection:
        change = change_row(connection, story.change_id)
        reasons = {row["name"]: row["reason"] for row in adjustments(connection, change_id=story.change_id)}
    assert change["state"] == "closed"
    assert reasons["大型活动供餐报告"] == "事项正在整体清理，另行调整"


def test_a_row_to_be_left_may_be_taken_in_and_goes_the_road_its_change_allows(db: Database, office: Office) -> None:
    story = started(db)
    wanted = {story.adjustment("p-zhou", name)["id"]: {"verdict": "confirm"} for name in ("餐厨废弃物", "统计报送")}
    story.says("p-zhou", "confirm", lines=wanted)
    with db.reader() as connection:
        keys = {sheet["id"]: sheet["procedure_key"] for sheet in sheets(connection, story.change_id)}
        found = adjustments(connection, change_id=story.change_id)
    assert {row["name"]: keys[row["sheet_id"]] for row in found if row["id"] in wanted} == {
        "餐厨废弃物收运核准": "editorial",
        "集体用餐统计报送": "change_basis",
    }


def test_on_the_short_road_one_person_confirms_all_rows_in_one_act_and_nobody_drafts(
    db: Database, office: Office
) -> None:
    story = started(db)
    story.says("p-zhou", "confirm")
    [mine] = story.open_for("p-lu")
    assert (mine["procedure"], mine["verdicts"], mine["department"]) == ("editorial", ["pass", "raise"], "2 个部门")
    words = {line["target"]["name"]: [one["words"] for one in line["hint"]["articles"]] for line in mine["adjustments"]}
    assert words == {"大型活动供餐报告": [[]], "集体用餐配送报告": [[], [["相关", "有关", "editorial"]]]}
    story.says("p-lu", "pass")
    with db.reader() as connection:
        told = rows(connection, select(NOTICE).where(NOTICE.c.kind == "published"))
    event = [{"n": 1, "name": "大型活动供餐报告", "code": "无编码", "outcomes": f"《{TITLE}》第五条改为第八条"}]
    assert {row["person_id"]: row["payload"]["items"] for row in told} == {
        "p-he": event,
        "p-xu": event,
        "p-wen": [
            {
                "n": 1,
                "name": "集体用餐配送报告",
                "code": "无编码",
                "outcomes": f"《{TITLE}》第五条改为第八条、第六条文字修改",
            }
        ],
    }
    assert bases(db, office, "大型活动供餐报告") == [(8, None)]
    assert states(story)["集体用餐配送报告"] == "published"
    drafted = [line["target"]["name"] for one in story.open_for("p-he") for line in one["adjustments"]]
    assert sorted(drafted) == ["中央厨房设立审批", "集体用餐名录登记"]


def test_a_reviewer_raises_a_row_to_the_full_procedure_with_a_reason(db: Database, office: Office) -> None:
    story = started(db)
    story.says("p-zhou", "confirm")
    row = story.adjustment("p-lu", "集体用餐配送报告")["id"]
    with pytest.raises(BadInput) as refused:
        story.says("p-lu", "pass", lines={row: {"verdict": "raise"}})
    assert refused.value.code == "comment_required"
    story.says("p-lu", "pass", lines={row: {"verdict": "raise", "remark": "“有关部门”范围有变化，须起草单位核对"}})
    assert states(story)["大型活动供餐报告"] == "published"
    [raised] = [line for one in story.open_for("p-wen") for line in one["adjustments"] if line["id"] == row]
    assert raised["remarks"][0]["text"] == "“有关部门”范围有变化，须起草单位核对"
    finish(story)
    assert (states(story)["集体用餐配送报告"], state_of_change(story)) == ("published", "closed")
    assert verify(db).findings == []


@pytest.mark.parametrize("verdict", ["raise", "return"])
def test_all_rows_raised_leave_nothing_on_the_short_road(db: Database, office: Office, verdict: str) -> None:
    story = started(db)
    story.says("p-zhou", "confirm")
    story.says("p-lu", verdict, comment="请各部门核对条文")
    with db.reader() as connection:
        found = {(s["procedure_key"], s["department_id"]): s["state"] for s in sheets(connection, story.change_id)}
        short = [s for s in sheets(connection, story.change_id) if s["procedure_key"] == "editorial"]
        raised = [s for s in sheets(connection, story.change_id) if s["parent_id"] == short[0]["id"]]
    assert found["editorial", None] == "dissolved"
    assert sorted(str(sheet["department_id"]) for sheet in raised) == ["d-market", "d-trade"]
    finish(story)
    assert state_of_change(story) == "closed"


def test_who_confirms_on_the_short_road_is_not_asked_twice_where_all_of_it_is_of_one_department(
    db: Database, office: Office
) -> None:
    story = started(db)
    story.says(
        "p-zhou",
        "confirm",
        lines={story.adjustment("p-zhou", "大型活动")["id"]: {"verdict": "take_out", "remark": "重复"}},
    )
    [mine] = story.open_for("p-lu")
    assert mine["department"] == "市商务局"


def test_what_was_decided_is_shown_when_the_same_article_changes_again(db: Database, office: Office) -> None:
    story = started(db)
    row = story.adjustment("p-zhou", "大型活动")["id"]
    story.says("p-zhou", "confirm", lines={row: {"verdict": "take_out", "remark": "事项已由行业规定覆盖"}})
    with db.writer() as connection:
        again = tuple(
            article.model_copy(update={"text": article.text.replace("集体用餐", "集体供餐").replace("有关", "相关")})
            for article in NEW
        )
        laws.save_law(connection, dated_law(TITLE, LATER_DAY, again))
    shown = preview(
        db,
        trigger="law_change",
        params={**CHANGE, "from_version": NEW_DAY.isoformat(), "to_version": LATER_DAY.isoformat()},
        now=story.now,
    )
    told = {row["name"]: row["earlier"] for row in [*shown.rows, *shown.left]}
    # Article 6 again: the item that was left still cites it by this number.
    [earlier] = told["餐厨废弃物收运核准"]
    assert (earlier["verdict"], earlier["person"]["name"], earlier["at"][:10]) == (
        "no_adjustment",
        "周敏",
        "2026-11-23",
    )
    assert earlier["reason"].endswith("相关→有关")
    with db.reader() as connection:
        number = change_row(connection, story.change_id)["number"]
        history = touched.history_of_article(connection, [TITLE], 6)
        taken = touched.left_before(connection, [office.items["大型活动供餐报告"]])
    assert earlier["number"] == number
    assert {(one["name"], one["state"]) for one in history} == {
        ("餐厨废弃物收运核准", "declined"),
        ("集体用餐配送报告", "in_review"),
    }
    [[once]] = taken.values()
    assert (once["verdict"], once["reason"]) == ("take_out", "事项已由行业规定覆盖")


def test_a_decline_and_a_later_taking_out_are_remembered_too(db: Database, office: Office) -> None:
    story = started(db)
    story.says("p-zhou", "confirm")
    line = story.adjustment("p-he", "名录登记")["id"]
    take_out(db, adjustment_id=line, by="p-zhou", reason="引用有误，另行更正", now=story.now)
    story.wake()
    story.says("p-he", "decline", comment="备案程序由规章另定")
    finish(story)
    with db.reader() as connection:
        found = touched.left_before(connection, list(office.items.values()))
    said = {(e["verdict"], e["person"]["id"], e["reason"]) for entries in found.values() for e in entries}
    assert ("take_out", "p-zhou", "引用有误，另行更正") in said
    assert ("decline", "p-he", "备案程序由规章另定") in said


def test_rows_taken_out_at_the_start_are_confirmed_by_the_coordinator_with_their_reason(
    db: Database, office: Office
) -> None:
    out = [
        {"item": office.items["流动摊贩经营许可"], "reason": "正在办理取消"},
        {"item": "itm-nowhere", "reason": "不存在"},
    ]
    shown = preview(db, trigger="law_change", params={**CHANGE, "take_out": out}, now=START)
    assert [row["name"] for row in shown.rows if not row["selected"]] == ["流动摊贩经营许可"]
    assert shown.not_found == ["itm-nowhere"]
    story = started(db, take_out=out)
    assert states(story)["流动摊贩经营许可"] == "proposed"
    line = story.adjustment("p-zhou", "流动摊贩")
    assert (line["preset"], line["preset_reason"]) == ("take_out", "正在办理取消")
    story.says("p-zhou", "confirm")
    with db.reader() as connection:
        [row] = [r for r in adjustments(connection, change_id=story.change_id) if r["name"] == "流动摊贩经营许可"]
    assert (row["state"], row["reason"]) == ("removed", "正在办理取消")


def test_a_change_of_which_nothing_is_to_be_adjusted_is_confirmed_and_closes(db: Database, office: Office) -> None:
    switch_all_off(db, but={"whole_law"})
    story = started(db)
    assert [line["target"]["name"] for line in story.open_for("p-zhou")[0]["adjustments"]] == ["集体用餐统计报送"]
    story.says("p-zhou", "confirm")
    assert (states(story), state_of_change(story)) == ({"集体用餐统计报送": "declined"}, "closed")


def switch_all_off(db: Database, but: set[str]) -> None:
    for rule in rules(db):
        if rule["rule"] not in but:
            switch_rule(db, rule=rule["rule"], off=True, by="p-zhou", reason="试行", now=START)


def test_the_scope_notice_counts_what_is_to_be_adjusted_and_says_what_is_to_be_left(
    db: Database, office: Office
) -> None:
    started(db)
    with db.reader() as connection:
        [notice] = rows(connection, select(NOTICE).where(NOTICE.c.kind == "scope_to_confirm"))
    payload = notice["payload"]
    assert (payload["count"], payload["departments"], payload["uncertain"], payload["left"]) == (5, 2, 1, 4)


def test_a_rule_that_is_off_finds_nothing_and_the_preview_says_what_that_hides(db: Database, office: Office) -> None:
    switch_rule(db, rule="whole_law", off=True, by="周敏", reason="整部引用均已核对", now=START)
    shown = preview(db, trigger="law_change", params=CHANGE, now=START)
    [hidden] = shown.hidden
    assert (hidden["rule"], hidden["rows"], hidden["items"]) == ("whole_law", 1, 1)
    assert (hidden["by"], hidden["reason"]) == ({"id": "p-zhou", "name": "周敏"}, "整部引用均已核对")
    story = started(db)
    assert "集体用餐统计报送" not in states(story)
    with db.reader() as connection:
        lines = rows(connection, select(OFFICE_LOG).where(OFFICE_LOG.c.verb == touched.OFF))
    assert [(line["object"], line["data"]["reason"]) for line in lines] == [("whole_law", "整部引用均已核对")]
    switch_rule(db, rule="whole_law", off=False, by="p-zhou", reason="恢复核对", now=START)
    assert preview(db, trigger="law_change", params=CHANGE, now=START).hidden == []
    assert [(act["off"], act["reason"]) for act in by_rule(db, "whole_law")["switched"]] == [
        (True, "整部引用均已核对"),
        (False, "恢复核对"),
    ]


def by_rule(db: Database, name: str) -> dict[str, Any]:
    [found] = [rule for rule in rules(db) if rule["rule"] == name]
    return found


def test_only_a_coordinator_switches_a_rule_and_only_with_a_reason(db: Database, office: Office) -> None:
    with pytest.raises(Forbidden):
        switch_rule(db, rule="moved", off=True, by="p-lu", reason="不用", now=START)
    with pytest.raises(BadInput) as refused:
        switch_rule(db, rule="moved", off=True, by="p-zhou", reason=" ", now=START)
    assert refused.value.code == "comment_required"
    with pytest.raises(BadInput):
        switch_rule(db, rule="nothing", off=True, by="p-zhou", reason="不用", now=START)
    with pytest.raises(Conflict):
        switch_rule(db, rule="moved", off=False, by="p-zhou", reason="已启用", now=START)


def test_what_was_proposed_kept_altered_and_dropped_is_counted_by_rule_and_kind(db: Database, office: Office) -> None:
    story = started(db)
    whole = story.adjustment("p-zhou", "统计报送")["id"]
    out = story.adjustment("p-zhou", "大型活动")["id"]
    story.says(
        "p-zhou", "confirm", lines={whole: {"verdict": "confirm"}, out: {"verdict": "take_out", "remark": "不涉及"}}
    )
    kitchen = story.adjustment("p-he", "中央厨房")
    changed = [{**basis, "quoted": None} for basis in kitchen["proposed"]["bases"]]
    story.says("p-he", "submit", lines={kitchen["id"]: {"proposal": {"bases": changed}}})
    finish(story)
    counted = {
        (rule["rule"], kind["kind"]): tuple(kind[name] for name in ("proposed", "kept", "altered", "dropped"))
        for rule in rules(db)
        for kind in rule["kinds"]
    }
    assert counted == {
        ("amended", "approval_to_filing"): (1, 0, 1, 0),
        # Of the same item another basis was altered: this one was published as proposed.
        ("amended", "time_limit"): (1, 1, 0, 0),
        ("moved", None): (2, 1, 0, 1),
        ("editorial", "editorial"): (2, 2, 0, 0),
        ("removed", None): (1, 1, 0, 0),
        ("not_in_old", None): (1, 1, 0, 0),
        ("whole_law", None): (1, 0, 1, 0),
        ("refers", None): (1, 1, 0, 0),
        ("already_new", None): (1, 1, 0, 0),
    }
    assert by_rule(db, "moved")["proposed"] == 2


def test_the_same_key_without_rows_taken_out_is_the_same_request_as_before_there_were_any(
    db: Database, office: Office
) -> None:
    first = register(db, trigger="law_change", params=CHANGE, by=None, via="test", key="k-1", now=START)
    again = register(
        db, trigger="law_change", params={**CHANGE, "take_out": []}, by=None, via="test", key="k-1", now=START
    )
    assert (again.id, again.existing) == (first.id, True)
    with db.reader() as connection:
        assert "take_out" not in change_row(connection, first.id)["params"]


def test_the_table_of_articles_names_the_items_and_what_became_of_them(db: Database, office: Office) -> None:
    story = started(db)
    before = table_of_change(db, change_id=story.change_id, now=story.now)
    assert said_of(before)["集体用餐统计报送"] == [("整部法规", "不作调整（待确认）")]
    story.says("p-zhou", "confirm")
    finish(story)
    table = table_of_change(db, change_id=story.change_id, now=story.now)
    assert {name: outcome for name, [(_, outcome), *_] in said_of(table).items()} == {
        name: "不作调整" if name in LEFT else "取消（已发布）" if name == "流动摊贩经营许可" else "依据变更（已发布）"
        for name, *_ in CITED
    }
    assert {name: [place for place, _ in said] for name, said in said_of(table).items()} == {
        "中央厨房设立审批": ["第二条→第二条", "第三条→第五条"],
        "大型活动供餐报告": ["第五条→第八条"],
        "集体用餐配送报告": ["第六条→第六条", "第五条→第八条"],
        "餐厨废弃物收运核准": ["第六条→第六条"],
        "集体用餐统计报送": ["整部法规"],
        "早餐车占道手续": ["第四条→第四条"],
        "中央厨房备案": ["第二条→第二条"],
        "集体用餐名录登记": ["第九十九条（旧文本中没有）"],
        "流动摊贩经营许可": ["第七条→—"],
    }
    assert table.left_out == 1 and as_document(table, now=story.now) == as_document(table, now=story.now)


def said_of(table: LawTable) -> dict[str, list[tuple[str, str]]]:
    """By item the articles it stands beside, and what becomes of it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in table.rows:
        numbers = "→".join("—" if side is None else side.number for side in (row.old, row.new))
        for one in row.concerned:
            found.setdefault(one.item, []).append((numbers, one.outcome))
    for cited, one in table.beside:
        found.setdefault(one.item, []).append((cited, one.outcome))
    return found


def test_of_a_repealed_law_the_table_has_the_articles_that_are_cited(db: Database, office: Office) -> None:
    story = started(db, to_version=None)
    table = table_of_change(db, change_id=story.change_id, now=story.now)
    assert {row.word for row in table.rows} == {"废止"} and all(row.new is None for row in table.rows)
    assert [row.old.number for row in table.rows if row.old] == [
        "第二条",
        "第三条",
        "第四条",
        "第五条",
        "第六条",
        "第七条",
    ]
