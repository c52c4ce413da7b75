"""Sign-in, board, change, start pages, catalogue and mailbox as a coordinator meets them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.actions.views import change_list, change_show
from notifications.mailbox_files import store_mail
from tests.bench.copies import copy_changes
from tests.factories import LAW, NEW, OLD
from tests.portal.conftest import Office
from tests.portal.test_desk import drafting


def hidden(page: str) -> dict[str, str]:
    """The hidden fields every form of a page carries."""
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page))


def start_form(office: Office, path: str, **fields: str) -> dict[str, str]:
    page = office.client.get(path).text
    return {"csrf": hidden(page)["csrf"], "idempotency_key": hidden(page)["idempotency_key"], **fields}


# --- sign-in -------------------------------------------------------------------------------------------------------


def test_an_unknown_address_gets_the_same_answer_and_no_mail(office: Office) -> None:
    known = office.client.post("/sign-in", data={"email": "p-zhou@shili.example"}).text
    unknown = office.client.post("/sign-in", data={"email": "p-nobody@shili.example"}).text
    office.deliver()
    assert [claimed.person_id for claimed, _ in office.mails] == ["p-zhou"]
    assert known.replace("p-zhou", "") == unknown.replace("p-nobody", "")


def test_a_sign_in_link_is_spent_by_its_button_alone_and_once(office: Office) -> None:
    office.client.post("/sign-in", data={"email": "p-zhou@shili.example"})
    link = office.newest_link("p-zhou")
    for _ in range(3):
        assert "周敏" in office.client.get(link).text
    answer = office.client.post(link, follow_redirects=False)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    office.client.cookies.clear()
    assert office.client.post(link, follow_redirects=False).status_code == 410


def test_a_sign_in_link_is_over_after_ten_minutes(office: Office) -> None:
    office.client.post("/sign-in", data={"email": "p-zhou@shili.example"})
    link = office.newest_link("p-zhou")
    office.story.later(minutes=11)
    assert office.client.get(link).status_code == 410
    assert office.client.post(link).status_code == 410


def test_pages_of_coordinators_lead_to_the_sign_in_and_refuse_others(office: Office) -> None:
    for path in ("/board", "/start", "/start/law_change", "/start/agency_request", "/rules"):
        assert office.client.get(path, follow_redirects=False).headers["location"] == "/sign-in"
    office.sign_in("p-lu@shili.example", "p-lu")
    answer = office.client.get("/board")
    assert answer.status_code == 403
    assert "统筹协调人" in answer.text


def test_forms_without_the_mark_of_the_session_are_refused(office: Office) -> None:
    office.sign_in()
    drafting(office)
    change = office.story.change_id
    for path in (f"/changes/{change}/withdraw", "/start/law_change", "/start/agency_request", "/rules", "/sign-out"):
        answer = office.client.post(path, data={"reason": "试", "csrf": "0" * 32})
        assert answer.status_code == 403, path
        assert "刷新" in answer.text
    assert change_show(office.story.db, change_id=change, now=office.story.now)["state"] == "open"


def test_signing_out_ends_the_session(office: Office) -> None:
    office.sign_in()
    office.client.post("/sign-out", data={"csrf": office.csrf("/board")})
    assert office.client.get("/board", follow_redirects=False).status_code == 303


# --- the board and a change ----------------------------------------------------------------------------------------


def test_an_empty_board_says_where_to_begin(office: Office) -> None:
    office.sign_in()
    assert "没有办理中的变更。可以从“发起变更”开始。" in office.client.get("/board").text


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", True), ("trigger=law_change", True), ("trigger=agency_request", False), ("department=d-market", True),
        ("department=d-law", False), ("person=p-he", True), ("person=p-lu", False), ("person=me", False),
        ("person=none", False), ("late=1", False), ("stage=draft", True), ("stage=approval", False), ("q=2026修订", True),
        ("q=别的", False), ("due=today", False),
    ],
)  # fmt: skip
def test_the_board_filters_by_trigger_department_person_lateness_stage_and_words(
    office: Office, query: str, shown: bool
) -> None:
    office.sign_in()
    drafting(office)
    assert ("餐饮服务管理条例2026修订" in office.client.get(f"/board?{query}").text) is shown


def test_a_long_board_comes_in_pages_with_counts_over_all_of_them(office: Office) -> None:
    drafting(office)
    copy_changes(office.story.db, [office.story.change_id], 120)
    office.sign_in()
    pages = [office.client.get(f"/board?page={n}", headers={"Accept": "application/json"}).json() for n in (1, 2, 3)]
    assert [len(page["rows"]) for page in pages] == [50, 50, 20]
    assert len({row["id"] for page in pages for row in page["rows"]}) == 120
    assert {(page["fitting"], page["total"], page["pages"]) for page in pages} == {(120, 120, 3)}
    text = office.client.get("/board?trigger=law_change&person=p-he&page=2").text
    assert "共 120 件" in text and "<b>120</b>" in text
    assert "trigger=law_change&amp;department=&amp;person=p-he" in text and "page=3" in text
    assert "没有符合条件的变更" in office.client.get("/board?q=没有的").text


def test_a_late_change_is_late_in_words_on_board_and_page(office: Office) -> None:
    office.sign_in()
    drafting(office)
    office.story.later(days=25)
    office.sign_in()
    assert "逾期" in office.client.get("/board?late=1").text
    page = office.client.get(f"/changes/{office.story.change_id}").text
    assert re.search(r"逾期 \d+ 个工作日", page)


def test_the_page_of_a_change_shows_sheets_people_and_the_run(office: Office) -> None:
    from models.actions.starting import started

    office.sign_in()
    drafting(office)
    started(office.story.db, change_id=office.story.change_id, attempt=1, flow_run_id="run-7")
    page = office.client.get(f"/changes/{office.story.change_id}").text
    assert "3 份调整单各到哪个环节" in page
    assert "何晓岚、许同" in page
    assert "/v2/runs/flow-run/run-7?tab=Artifacts" in page
    assert "周敏" in page and "确认范围" in page


@pytest.mark.parametrize("act", ["take_out", "reassign", "urge", "withdraw"])
def test_each_act_of_the_coordinator_that_ends_or_moves_something_needs_a_reason(office: Office, act: str) -> None:
    office.sign_in()
    drafting(office)
    change = office.story.change_id
    shown = change_show(office.story.db, change_id=change, now=office.story.now)
    step = shown["sheets"][0]["steps"][0]["id"]
    form = {
        "csrf": office.csrf("/board"), "step": step, "to": "p-wen", "adjustment": shown["adjustments"][0]["id"],
    }  # fmt: skip
    if act != "urge":
        refused = office.client.post(f"/changes/{change}/{act}", data={**form, "reason": "  "})
        assert refused.status_code == 422
        assert "须写明理由" in refused.text
    done = office.client.post(f"/changes/{change}/{act}", data={**form, "reason": "岗位调整"}, follow_redirects=False)
    assert done.status_code == 303
    assert office.woken[-1] == change
    after = change_show(office.story.db, change_id=change, now=office.story.now)
    if act == "take_out":
        assert after["adjustments"][0]["state"] == "removed"
    elif act == "withdraw":
        assert after["state"] == "withdrawn"
    elif act == "reassign":
        assert [w["person"]["id"] for w in after["sheets"][0]["steps"][0]["waits_for"]] == ["p-wen"]
    else:
        office.deliver()
        assert "urged" in {claimed.kind for claimed, _ in office.mails}


def test_a_department_without_a_drafter_stands_on_the_board_and_can_be_given_one(office: Office) -> None:
    office.sign_in()
    office.story.start(
        "agency_request",
        {"title": "改期限", "reason": "优化", "effective_on": None, "items": [
            {"target": {"kind": "item", "code": "990100400000"}, "outcomes": ["change_guide"], "set": {"promised_days": 8}}]},
    )  # fmt: skip
    assert "无人办理" in office.client.get("/board?person=none").text
    change = office.story.change_id
    page = office.client.get(f"/changes/{change}").text
    assert "指定办理人" in page
    step = change_show(office.story.db, change_id=change, now=office.story.now)["sheets"][0]["steps"][0]["id"]
    form = {"csrf": office.csrf("/board"), "step": step, "to": "p-wen", "reason": "代管"}
    assert office.client.post(f"/changes/{change}/reassign", data=form, follow_redirects=False).status_code == 303
    assert [a["stage"] for a in office.story.open_for("p-wen")] == ["draft"]


def test_an_unknown_change_is_a_page_that_says_so(office: Office) -> None:
    office.sign_in()
    answer = office.client.get("/changes/chg-unknown")
    assert answer.status_code == 404
    assert "没有编号为 chg-unknown 的变更" in answer.text


# --- starting ------------------------------------------------------------------------------------------------------


def law_form(office: Office, **more: str) -> dict[str, str]:
    fields = {"law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat(), "title": "条例修订", **more}
    return start_form(office, "/start/law_change", **fields)


def test_a_preview_of_a_law_change_shows_its_reach_and_registers_nothing(office: Office) -> None:
    office.sign_in()
    page = office.client.post("/start/law_change", data=law_form(office, do="preview")).text
    assert "波及 4 项，2 个部门" in page
    assert "早餐车临时占道许可" in page
    assert change_list(office.story.db, now=office.story.now) == []


def test_the_texts_of_a_law_are_listed_with_the_two_newest_chosen(office: Office) -> None:
    office.sign_in()
    form = start_form(office, "/start/law_change", law=LAW, from_version="", to_version="", do="law")
    page = office.client.post("/start/law_change", data=form).text
    assert re.findall(r"<option selected>([\d-]+)</option>", page) == [OLD.isoformat(), NEW.isoformat()]
    repeal = office.client.post("/start/law_change", data=law_form(office, to_version="", do="preview")).text
    assert '<option value="" selected>废止' in repeal


def test_a_started_law_change_opens_its_page_and_says_that_the_engine_is_away(office: Office) -> None:
    office.sign_in()
    answer = office.client.post("/start/law_change", data=law_form(office, do="start"))
    assert answer.status_code == 200
    assert "流程引擎目前连不上，连上后自动开始" in answer.text
    assert [c["title"] for c in change_list(office.story.db, now=office.story.now)] == ["条例修订"]


def test_the_same_law_and_texts_open_the_change_that_stands_unless_told_again(office: Office) -> None:
    office.sign_in()
    office.client.post("/start/law_change", data=law_form(office, do="start"))
    assert "另行发起" in office.client.post("/start/law_change", data=law_form(office, do="preview")).text
    again = office.client.post("/start/law_change", data=law_form(office, do="start"))
    assert "已为您打开该变更" in again.text
    assert len(change_list(office.story.db, now=office.story.now)) == 1
    office.client.post("/start/law_change", data=law_form(office, do="start", again="1"))
    assert len(change_list(office.story.db, now=office.story.now)) == 2


def test_an_unknown_law_is_refused_with_the_way_out_and_the_form_keeps_its_fields(office: Office) -> None:
    office.sign_in()
    answer = office.client.post("/start/law_change", data=law_form(office, law="没有的条例", do="preview"))
    assert answer.status_code == 404
    assert "法规库中没有《没有的条例》" in answer.text
    assert 'value="没有的条例"' in answer.text


def test_an_agency_request_is_put_together_item_by_item_previewed_and_started(office: Office) -> None:
    office.sign_in()
    path = "/start/agency_request"
    form = start_form(office, path, code="990700188000", outcome="rename", do="add", title="更名", reason="随条例")
    page = office.client.post(path, data=form).text
    assert 'name="set-1-name" value="早餐工程示范网点认定"' in page
    form |= {
        "outcome-1": "rename",
        "code-1": "990700188000",
        "set-1-name": "便民早餐服务点认定",
        "code": "",
        "outcome": "",
    }
    assert "波及 1 项" in office.client.post(path, data={**form, "do": "preview"}).text
    answer = office.client.post(path, data={**form, "do": "start"}, follow_redirects=False)
    assert answer.status_code == 303
    twice = office.client.post(path, data={**form, "do": "start"}, follow_redirects=False)
    assert twice.headers["location"].split("?")[0] == answer.headers["location"].split("?")[0]
    office.story.change_id = answer.headers["location"].split("/changes/")[1].split("?")[0]
    office.story.wake()
    assert office.story.open_for("p-wen")[0]["adjustments"][0]["proposed"]["name"] == "便民早餐服务点认定"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"code": "123", "outcome": "rename", "do": "add"}, "没有编码为 123 的事项"),
        ({"code": "990700188000", "outcome": "", "do": "add"}, "请选择调整类型"),
        ({"title": "空的", "do": "start"}, "还没有加入事项"),
    ],
)
def test_faults_of_an_agency_request_are_named(office: Office, fields: dict[str, str], sentence: str) -> None:
    office.sign_in()
    answer = office.client.post("/start/agency_request", data=start_form(office, "/start/agency_request", **fields))
    assert 400 <= answer.status_code < 500
    assert sentence in answer.text


# --- what everybody sees -------------------------------------------------------------------------------------------


def test_the_catalogue_is_searched_by_words_codes_and_department(office: Office) -> None:
    assert "共 5 项" in office.client.get("/items").text
    found = office.client.get("/items?q=早餐").text
    assert "早餐工程示范网点认定" in found and "烟花爆竹" not in found
    assert "共 2 项" in office.client.get("/items?department=d-trade").text
    assert "没有找到“没有的”" in office.client.get("/items?q=没有的").text


def test_an_items_guide_has_its_sections_in_order_and_its_history(office: Office) -> None:
    drafting(office)
    page = office.client.get("/i/990100342001").text
    titles = re.findall(r"<h3>(\d+) (.+?)</h3>", page)
    assert [title for _, title in titles][:4] == ["适用范围", "事项名称和代码", "办理依据", "办理机构"]
    assert len(titles) == 16
    assert "即将变化" in page
    assert office.client.get("/i/990100342001?on=2026-99-01").status_code == 422
    assert office.client.get("/i/990100342001?on=1999-01-01").status_code == 404
    assert office.client.get("/i/nothing").status_code == 404


def test_the_laws_and_robots_and_an_unknown_page(office: Office) -> None:
    assert LAW in office.client.get("/laws").text
    assert "Disallow: /d/" in office.client.get("/robots.txt").text
    missing = office.client.get("/nothing-here")
    assert missing.status_code == 404
    assert "没有这个页面" in missing.text


def test_the_mailbox_shows_mails_with_their_link_and_escapes_what_they_hold(office: Office) -> None:
    folder: Path = office.settings.home_path / "mailbox"
    assert "还没有邮件" in office.client.get("/mailbox").text
    store_mail(
        folder,
        b"From: a@b.example\r\nTo: lu@shili.example\r\nSubject: <b>x</b>\r\nX-Shixiang-Kind: sign_in\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\nhttp://testserver/s/abc\r\n<script>\r\n",
    )
    page = office.client.get("/mailbox").text
    assert 'href="http://testserver/s/abc"' in page
    assert "<script>" not in page and "<b>x</b>" not in page
    assert "还没有邮件" in office.client.get("/mailbox?kind=returned").text


def test_the_history_does_not_name_a_stage_twice(office: Office) -> None:
    drafting(office)
    office.sign_in()
    page = office.client.get(f"/changes/{office.story.change_id}").text
    assert "打开 确认范围，办理时限" in re.sub(r"<[^>]+>", "", page)


def test_a_stuck_sheet_stands_on_board_and_page_and_its_button_tries_it_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.actions import legs

    office.sign_in()
    with monkeypatch.context() as broken:
        broken.setattr(legs, "move_sheet", lambda *_: 1 / 0)
        drafting(office)
    assert "异常" in office.client.get("/board").text
    change = office.story.change_id
    page = office.client.get(f"/changes/{change}").text
    assert "市商务局的调整单处理异常，其他调整单不受影响" in page
    assert "ZeroDivisionError" not in page
    sheets = re.findall(r'name="sheet" value="([^"]+)"', page)
    assert len(sheets) == 3
    for sheet in sheets:
        form = {"csrf": office.csrf("/board"), "sheet": sheet}
        assert office.client.post(f"/changes/{change}/retry", data=form, follow_redirects=False).status_code == 303
    office.story.wake()
    assert "处理异常" not in office.client.get(f"/changes/{change}").text.split('<ol class="line"')[0]
    assert office.client.post(f"/changes/{change}/retry", data=form).status_code == 409
