"""The desk behind a link: page and JSON, GET shows and POST decides."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import insert, select

from models.actions import views
from models.actions.views import change_show
from models.store.change import ASSIGNMENT
from portal import desk
from portal.limits import Bucket, Limits
from tests.factories import LAW_CHANGE, OLD
from tests.portal.conftest import Office


def drafting(office: Office) -> None:
    """A law change whose scope is confirmed: two departments draft."""
    office.story.start("law_change", LAW_CHANGE)
    office.story.says("p-zhou", "confirm")


def reviewing(office: Office) -> None:
    """The market department's sheet lies at the legality reviewers."""
    drafting(office)
    office.story.says("p-he", "submit")
    office.story.says("p-zhou", "pass", only="form")


def body(desk: dict[str, Any], verdict: str, request: str = "q-1", **more: Any) -> dict[str, Any]:
    return {
        "request_id": request,
        "decisions": [
            {"assignment": a["id"], "revision": a["revision"], "verdict": verdict, **more} for a in desk["assignments"]
        ],
    }


def fields_of(page: str) -> dict[str, str]:
    """The form as a browser would send it, without any choice made."""
    found: dict[str, str] = {}
    for tag in re.findall(r"<input\b[^>]*>", page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and not re.search(r'type="(radio|checkbox)"', tag):
            found[name.group(1)] = unescape(value.group(1)) if value else ""
    for name_, text in re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>', page, re.DOTALL):
        found[name_] = unescape(text)
    return found


def test_looking_at_a_desk_decides_nothing_however_often(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    before = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)
    for _ in range(2):
        assert office.client.get(link).status_code == 200
        assert office.client.head(link).status_code == 200
        assert office.client.options(link).status_code in (204, 405)
    assert change_show(office.story.db, change_id=office.story.change_id, now=office.story.now) == before


def test_the_desk_as_json_has_the_keys_of_the_contract(office: Office) -> None:
    reviewing(office)
    desk = office.desk("p-lu")
    assert desk["person"] == {"id": "p-lu", "name": "陆清"}
    assert {"id", "number", "title"} <= desk["change"].keys()
    assignment = desk["assignments"][0]
    assert assignment.keys() >= {
        "id", "acting_for", "sheet", "stage", "round", "revision", "due", "verdicts", "proof", "adjustments",
    }  # fmt: skip
    assert assignment["verdicts"] == ["pass", "return", "object"]
    line = assignment["adjustments"][0]
    assert line.keys() >= {"id", "target", "outcomes", "before", "proposed", "last_returned", "remarks", "documents"}
    assert line["before"].keys() == line["proposed"].keys()


def test_the_page_marks_the_words_that_differ_and_shows_the_article_beside(office: Office) -> None:
    reviewing(office)
    page = office.client.get(office.newest_link("p-lu")).text
    assert "<del>二十日</del>" in page
    assert "<ins>十二个工作日</ins>" in page
    assert "法条对照：原第二条，现第三条" in page


def test_nothing_is_preselected(office: Office) -> None:
    reviewing(office)
    assert "checked" not in office.client.get(office.newest_link("p-lu")).text


def test_a_decision_by_json_is_recorded_and_the_change_is_woken(office: Office) -> None:
    reviewing(office)
    desk = office.desk("p-lu")
    answer = office.client.post(office.newest_link("p-lu"), json=body(desk, "pass"))
    assert answer.status_code == 200
    assert [(r["verdict"], r["person"]["id"]) for r in answer.json()["recorded"]] == [("pass", "p-lu")]
    assert office.woken == [office.story.change_id]


def test_the_same_request_gives_the_same_answer_and_another_body_is_refused(office: Office) -> None:
    reviewing(office)
    desk, link = office.desk("p-lu"), office.newest_link("p-lu")
    first = office.client.post(link, json=body(desk, "pass"))
    assert office.client.post(link, json=body(desk, "pass")).json() == first.json()
    refused = office.client.post(link, json=body(desk, "object", comment="另有看法"))
    assert (refused.status_code, refused.json()["error"]) == (409, "request_reused")


def test_the_second_reviewer_is_told_who_decided_what_and_when(office: Office) -> None:
    reviewing(office)
    mine, others = office.desk("p-lu"), office.desk("p-ding")
    office.client.post(office.newest_link("p-lu"), json=body(mine, "pass"))
    late = office.client.post(office.newest_link("p-ding"), json=body(others, "pass", "q-2"))
    assert (late.status_code, late.json()["error"]) == (409, "already_decided")
    assert late.json()["by"] == {"id": "p-lu", "name": "陆清"}
    assert "陆清" in late.json()["message"]


def test_a_form_decides_as_json_does_and_answers_with_a_redirect(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    desk = office.desk("p-lu")
    form = fields_of(office.client.get(link).text)
    assignment = desk["assignments"][0]["id"]
    returned = desk["assignments"][0]["adjustments"][0]["id"]
    form[f"verdict-{assignment}"] = "pass"
    form[f"verdict-{assignment}-{returned}"] = "return"
    form[f"remark-{returned}"] = "引用须写到款。"
    answer = office.client.post(link, data=form, follow_redirects=False)
    assert answer.status_code == 303
    assert "已记录" in office.client.get(answer.headers["location"]).text
    made = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)["decisions"]
    assert made[-1]["verdict"] == "pass"


def test_a_form_without_a_verdict_is_refused_and_keeps_what_was_typed(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    form = fields_of(office.client.get(link).text)
    remark = next(name for name in form if name.startswith("remark-"))
    form[remark] = "写了一半的意见"
    answer = office.client.post(link, data=form)
    assert answer.status_code == 422
    assert "尚未选择办理结论" in answer.text
    assert "写了一半的意见" in answer.text
    assert "<title>错误：" in answer.text


def test_a_return_without_a_reason_is_refused_with_the_sentence(office: Office) -> None:
    reviewing(office)
    desk = office.desk("p-lu")
    answer = office.client.post(office.newest_link("p-lu"), json=body(desk, "return"))
    assert (answer.status_code, answer.json()["error"]) == (422, "comment_required")
    assert "退回补正" in answer.json()["message"]


def test_saving_and_submitting_a_draft_changes_only_the_fields_that_were_edited(office: Office) -> None:
    drafting(office)
    link = office.newest_link("p-he")
    desk = office.desk("p-he")
    line = desk["assignments"][0]["adjustments"][0]
    form = fields_of(office.client.get(link).text)
    quoted = f"field-{line['id']}-bases-0-quoted"
    assert form[quoted] == line["proposed"]["bases"][0]["quoted"]
    form[quoted] = "申请从事小型餐饮服务的，应当提交材料。"
    form[f"verdict-{desk['assignments'][0]['id']}"] = "save"
    assert office.client.post(link, data=form, follow_redirects=False).status_code == 303
    again = office.desk("p-he")["assignments"][0]["adjustments"]
    assert again[0]["proposed"]["bases"][0]["quoted"] == "申请从事小型餐饮服务的，应当提交材料。"
    assert again[1]["revision"] == desk["assignments"][0]["adjustments"][1]["revision"]


def test_two_drafters_on_one_field_get_a_409_page_with_both_texts(office: Office) -> None:
    drafting(office)
    his, hers = office.newest_link("p-he"), office.newest_link("p-xu")
    line = office.desk("p-he")["assignments"][0]["adjustments"][0]["id"]
    first, second = fields_of(office.client.get(his).text), fields_of(office.client.get(hers).text)
    assignments = {who: office.desk(who)["assignments"][0]["id"] for who in ("p-he", "p-xu")}
    first[f"field-{line}-bases-0-quoted"] = "何晓岚的文字"
    first[f"verdict-{assignments['p-he']}"] = "save"
    office.story.later(seconds=1)
    assert office.client.post(his, data=first, follow_redirects=False).status_code == 303
    second[f"field-{line}-bases-0-quoted"] = "许同的文字"
    second[f"verdict-{assignments['p-xu']}"] = "save"
    office.story.later(seconds=1)
    answer = office.client.post(hers, data=second)
    assert answer.status_code == 409
    assert "何晓岚的文字" in answer.text
    assert "许同的文字" in answer.text


def test_two_drafters_on_different_items_do_not_collide(office: Office) -> None:
    drafting(office)
    his, hers = office.newest_link("p-he"), office.newest_link("p-xu")
    lines = [line["id"] for line in office.desk("p-he")["assignments"][0]["adjustments"]]
    first, second = fields_of(office.client.get(his).text), fields_of(office.client.get(hers).text)
    first[f"field-{lines[0]}-bases-0-quoted"] = "第一项的文字"
    first[f"verdict-{office.desk('p-he')['assignments'][0]['id']}"] = "save"
    second[f"field-{lines[1]}-bases-0-quoted"] = "第二项的文字"
    second[f"verdict-{office.desk('p-xu')['assignments'][0]['id']}"] = "save"
    for link, form in ((his, first), (hers, second)):
        office.story.later(seconds=1)
        assert office.client.post(link, data=form, follow_redirects=False).status_code == 303
    texts = [line["proposed"]["bases"][0]["quoted"] for line in office.desk("p-he")["assignments"][0]["adjustments"]]
    assert texts == ["第一项的文字", "第二项的文字"]


def test_a_bad_token_is_404_and_says_what_to_do(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    for wrong in ("/d/abc", link[:-2] + "xx", "/d/" + "a" * 5000, "/d/%00", "/d/é"):
        answer = office.client.get(wrong)
        assert answer.status_code == 404, wrong
        assert "链接不完整或者不正确" in answer.text


def test_a_dead_link_is_410(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    office.story.later(days=91)
    assert office.client.get(link).status_code == 410
    assert office.client.post(link, json={"request_id": "x", "decisions": []}).status_code == 410


def test_rubbish_never_answers_5xx(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    for sent in (b"", b"{", b"[]", b'{"request_id": 3}', b"\xff\xfe", b'{"request_id":"a","decisions":[{}]}'):
        for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
            answer = office.client.post(link, content=sent, headers={"Content-Type": kind})
            assert 400 <= answer.status_code < 500, (sent, kind, answer.status_code)


def test_a_form_of_another_site_is_refused(office: Office) -> None:
    reviewing(office)
    desk = office.desk("p-lu")
    answer = office.client.post(
        office.newest_link("p-lu"), json=body(desk, "pass"), headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "form_expired")


def test_pages_carry_the_headers_that_keep_links_secret(office: Office) -> None:
    reviewing(office)
    headers = office.client.get(office.newest_link("p-lu")).headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Accept" in headers["Vary"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_too_many_requests_on_one_link_are_429_with_the_time_to_wait(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    portal = office.client.app.state.portal  # type: ignore[attr-defined]
    object.__setattr__(portal, "limits", Limits(link=Bucket(burst=3, a_second=1 / 60)))
    answers = [office.client.head(link) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
    assert 50 <= int(answers[-1].headers["Retry-After"]) <= 60


def test_a_reviewer_may_not_review_what_he_drafted(office: Office) -> None:
    from sqlalchemy import insert

    from models.store.sql import table
    from models.tables import Post

    drafting(office)
    with office.story.db.writer() as connection:
        connection.execute(
            insert(table(Post)).values(
                id="p-he-legality", person_id="p-he", department_id="d-law", role="legality_reviewer",
                from_on=OLD, level="2", region="990000",
            )
        )  # fmt: skip
    office.story.says("p-he", "submit")
    office.story.says("p-zhou", "pass", only="form")
    assert [a["stage"] for a in office.story.open_for("p-he")] == []


def test_text_from_outside_is_escaped_everywhere(office: Office) -> None:
    drafting(office)
    link = office.newest_link("p-he")
    desk = office.desk("p-he")
    line = desk["assignments"][0]["adjustments"][0]
    form = fields_of(office.client.get(link).text)
    form[f"field-{line['id']}-bases-0-quoted"] = "<script>alert(1)</script>"
    form[f"remark-{line['id']}"] = '"><img src=x>'
    form[f"verdict-{desk['assignments'][0]['id']}"] = "submit"
    office.client.post(link, data=form)
    office.story.wake()
    office.story.says("p-zhou", "pass", only="form")
    page = office.client.get(office.newest_link("p-lu")).text
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_desk_says_how_many_working_days_are_left_and_afterwards_how_late_it_is(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    assert "还有 5 个工作日" in office.client.get(link).text
    office.story.later(days=9)
    assert "逾期 2 个工作日" in office.client.get(link).text


def test_who_countersigns_agrees_and_who_reviews_passes(office: Office) -> None:
    from portal.labels import button

    assert [button(stage, "pass") for stage in ("countersign", "legality")] == ["同意", "通过"]
    reviewing(office)
    assert re.search(r'value="pass">通过<', office.client.get(office.newest_link("p-lu")).text)


def test_law_texts_are_read_for_the_lines_of_the_page_alone(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    drafting(office)
    monkeypatch.setattr(desk, "ON_A_PAGE", 1)
    asked: list[str] = []
    beside = views.law_beside

    def counted(db: Any, *, lines: Any) -> Any:
        asked.extend(line["id"] for line in lines)
        return beside(db, lines=lines)

    monkeypatch.setattr(views, "law_beside", counted)
    link = office.newest_link("p-he")
    assert sum(len(one["adjustments"]) for one in office.desk("p-he")["assignments"]) > 1
    asked.clear()
    assert office.client.get(link).status_code == 200
    assert len(asked) == 1


@pytest.mark.parametrize("way", ["form", "json"])
def test_who_drafted_is_refused_when_he_judges_on_his_link(office: Office, way: str) -> None:
    """No verb asks him; the assignment is put before him by hand, so that only the last gate is left."""
    drafting(office)
    link = office.newest_link("p-he")
    office.story.says("p-he", "submit")
    office.story.says("p-zhou", "pass", only="form")
    with office.story.db.writer() as connection:
        row = connection.execute(select(ASSIGNMENT).where(ASSIGNMENT.c.person_id == "p-lu")).mappings().one()
        connection.execute(insert(ASSIGNMENT).values({**row, "id": "asg-forced", "person_id": "p-he"}))
    if way == "json":
        answer = office.client.post(link, json=body(office.desk("p-he"), "pass"))
        assert answer.json()["error"] == "four_eyes"
    else:
        form = fields_of(office.client.get(link).text)
        answer = office.client.post(link, data={**form, "verdict-asg-forced": "pass"})
        assert "起草与审核分离" in answer.text
    assert answer.status_code == 403
    made = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)["decisions"]
    assert [one["stage"] for one in made] == ["scope", "draft", "form"] and office.woken == []
