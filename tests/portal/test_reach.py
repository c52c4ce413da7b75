"""The reach of a law change on pages: seen and cut before the start, confirmed in the scope, the short road in one act."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from docx import Document

from models.actions.law_table import MEDIA_TYPE
from models.actions.rules import switch_rule
from models.actions.tokens import issue
from models.store.change import adjustments
from tests.law_office import CHANGE, LEFT
from tests.portal.conftest import Office


@pytest.fixture
def office(law_office_portal: Office) -> Office:
    return law_office_portal


def form(office: Office, **more: Any) -> dict[str, Any]:
    fields = {name: CHANGE[name] for name in ("title", "law", "from_version", "to_version")}
    return {"csrf": office.csrf("/start/law_change"), "idempotency_key": "k-1", **fields, **more}


def start(office: Office) -> None:
    office.story.start("law_change", CHANGE)


def states(office: Office) -> dict[str, str]:
    with office.story.db.reader() as connection:
        return {row["name"]: row["state"] for row in adjustments(connection, change_id=office.story.change_id)}


def desk_form(office: Office, person: str) -> tuple[str, dict[str, str]]:
    """A person's desk and the hidden fields of its form."""
    path = office.newest_link(person)
    page = office.client.get(path).text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    return path, hidden


def test_before_the_start_the_page_counts_by_rule_kind_department_and_certainty(office: Office) -> None:
    office.sign_in()
    page = office.client.post("/start/law_change", data=form(office, do="preview")).text
    for words in ("波及 5 项，2 个部门", "按涉及规则", "所引条文移条", "时限变更", "把握：确定 4 项，待核对 1 项"):
        assert words in page
    assert "预选为“不调整”的 4 项" in page
    assert all(name in page for name in LEFT)
    assert "简易流程" in page
    english = office.client.post("/start/law_change?lang=en", data=form(office, do="preview")).text
    assert "4 items pre-selected as “no adjustment”" in english and "cited article renumbered" in english


def test_rows_are_taken_out_before_the_start_with_a_reason(office: Office) -> None:
    office.sign_in()
    page = office.client.post("/start/law_change", data=form(office, do="preview")).text
    item = re.findall(r'name="out" value="([^"]+)"', page)[0]
    refused = office.client.post("/start/law_change", data=form(office, do="start", out=[item]))
    assert refused.status_code == 422 and "移出事项须写明理由" in refused.text
    assert f'name="out" value="{item}" checked' in refused.text
    started = office.client.post(
        "/start/law_change", data=form(office, do="start", out=[item], out_reason="另行办理"), follow_redirects=False
    )
    office.story.change_id = started.headers["location"].split("/")[2].split("?")[0]
    office.story.wake()
    [scope] = office.desk("p-zhou")["assignments"]
    assert [line["preset_reason"] for line in scope["adjustments"] if line["preset"] == "take_out"] == ["另行办理"]


def test_by_the_interface_rows_are_taken_out_in_the_same_words_and_nothing_is_decided(office: Office) -> None:
    _, token = issue(office.story.db, person="p-zhou", scopes=["start"], expires=None, now=office.story.now)
    body = {"trigger": "law_change", "params": {**CHANGE, "take_out": [{"item": "itm-2", "reason": "另行办理"}]}}
    answer = office.client.post("/api/v1/changes", json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (201, 202), answer.text
    shown = office.client.post(
        "/api/v1/changes/preview", json=body, headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert (shown["count"], len(shown["left"]), shown["counts"]["roads"]["short"]) == (5, 4, 2)
    assert [row["item"] for row in shown["rows"] if row["taken_out"]] == ["itm-2"]
    office.story.change_id = answer.json()["id"]
    office.story.wake()
    assert set(states(office).values()) == {"proposed"}


def test_a_rule_that_is_off_is_named_on_the_page_with_who_did_it_and_why(office: Office) -> None:
    switch_rule(office.story.db, rule="whole_law", off=True, by="p-zhou", reason="均已核对", now=office.story.now)
    office.sign_in()
    page = office.client.post("/start/law_change", data=form(office, do="preview")).text
    assert "规则“引用整部法规”已停用，未列入 1 项" in page
    assert "周敏" in page and "均已核对" in page


def test_a_coordinator_switches_a_rule_off_and_on_with_a_reason_and_sees_its_figures(office: Office) -> None:
    start(office)
    office.sign_in()
    fields = {"csrf": office.csrf("/rules"), "do": "off-whole_law"}
    refused = office.client.post("/rules", data={**fields, "reason": " "})
    assert refused.status_code == 422 and "须写明理由" in refused.text
    page = office.client.post("/rules", data={**fields, "reason": "<b>均已核对</b>"}).text
    assert "已停用" in page and "&lt;b&gt;均已核对&lt;/b&gt;" in page
    assert re.search(r"所引条文移条</th><td class=\"num\"[^>]*>2</td>", page)
    again = office.client.post("/rules", data={**fields, "do": "on-whole_law", "reason": "重新启用"}).text
    assert "启用：周敏" in again and "已停用" not in again


def test_the_scope_shows_what_is_pre_selected_and_a_form_confirms_it(office: Office) -> None:
    start(office)
    path, hidden = desk_form(office, "p-zhou")
    page = office.client.get(path).text
    assert page.count("<strong>预选：不调整") == 4
    assert "引用整部法规（1 项）全部：" in page
    [assignment] = [name.removeprefix("revision-") for name in hidden if name.startswith("revision-")]
    answer = office.client.post(path, data={**hidden, f"verdict-{assignment}": "confirm"}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    office.story.wake()
    assert {name for name, state in states(office).items() if state == "declined"} == LEFT


def test_all_rows_of_a_sort_are_decided_at_once(office: Office) -> None:
    start(office)
    path, hidden = desk_form(office, "p-zhou")
    [assignment] = [name.removeprefix("revision-") for name in hidden if name.startswith("revision-")]
    said = {
        f"verdict-{assignment}": "confirm",
        f"all-{assignment}-rows": "no_adjustment",
        f"all-{assignment}-editorial": "confirm",
        f"comment-{assignment}": "整体清理时一并调整",
    }
    assert office.client.post(path, data={**hidden, **said}, follow_redirects=False).status_code == 303
    office.story.wake()
    found = states(office)
    assert found["餐厨废弃物收运核准"] == "in_review"
    assert found["中央厨房设立审批"] == found["大型活动供餐报告"] == "declined"
    assert found["集体用餐名录登记"] == "drafting"


def test_who_confirms_on_the_short_road_has_the_list_of_words_before_him(office: Office) -> None:
    start(office)
    office.story.says("p-zhou", "confirm")
    path, hidden = desk_form(office, "p-lu")
    page = office.client.get(path).text
    assert "“相关”→“有关”" in page
    assert "转普通流程…" in page and "退回…" not in page
    [assignment] = [name.removeprefix("revision-") for name in hidden if name.startswith("revision-")]
    assert office.client.post(path, data={**hidden, f"verdict-{assignment}": "pass"}).status_code == 200
    office.story.wake()
    assert states(office)["集体用餐配送报告"] == "published"
    office.sign_in()
    page = office.client.get(f"/changes/{office.story.change_id}").text
    assert "简易流程" in page and "2 个部门" in page


def test_the_desk_of_a_change_without_a_law_has_no_articles_to_show(office: Office) -> None:
    wanted = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["rename"], "set": {"name": "甲"}}
    office.story.start("agency_request", {"title": "更正名称", "reason": "", "items": [wanted]}, by=None)
    for person, verdict in (("p-zhou", "confirm"), ("p-wen", "submit")):
        page = office.client.get(office.newest_link(person))
        assert page.status_code == 200
        assert "所引条文的变动" not in page.text
        office.story.says(person, verdict)


def test_the_coordinator_downloads_the_table_of_articles_from_the_page_of_the_change(office: Office) -> None:
    start(office)
    path = f"/changes/{office.story.change_id}/table"
    assert office.client.get(path, follow_redirects=False).status_code in (303, 401)
    office.sign_in()
    assert f'href="{path}"' in office.client.get(path.removesuffix("/table")).text
    answer = office.client.get(path)
    assert answer.status_code == 200 and answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["content-disposition"].startswith("attachment; filename=\"table.docx\"; filename*=UTF-8''%E7")
    rows = [[cell.text for cell in row.cells] for row in Document(io.BytesIO(answer.content)).tables[0].rows]
    assert [row[4:] for row in rows if row[1].startswith("第七条")] == [["流动摊贩经营许可", "取消（待确认）"]]
    assert len(Document(io.BytesIO(office.client.get(path + "?whole=1").content)).tables[0].rows) == len(rows) + 1
    assert office.client.get("/changes/2026-9999/table").status_code == 404
