"""The language of a page: asked for in the address, preferred by the browser, else Chinese; handed on by its links."""

from __future__ import annotations

import re

import pytest
from starlette.datastructures import Headers

from models.domain.content import ITEM_TYPES
from portal.language import LANGUAGES, wanted, with_language
from portal.pages import law_address
from portal.texts import kept
from tests.factories import LAW, LAW_CHANGE, OLD
from tests.portal.conftest import Office

ENGLISH = {"Accept-Language": "en-GB,en;q=0.9"}


@pytest.mark.parametrize(
    ("query", "header", "code"),
    [
        ("", "", "zh"),
        ("", "en", "en"),
        ("", "en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "fr,en;q=0.4,zh;q=0.6", "zh"),
        ("", "en;q=0,fr", "zh"),
        ("", "fr-FR,de;q=0.5,*;q=0.1", "zh"),
        ("", "en;q=viel", "zh"),
        ("lang=en", "zh", "en"),
        ("lang=zh", "en", "zh"),
        ("lang=tlh", "en", "en"),
    ],
)
def test_the_address_goes_before_the_browser_and_chinese_is_the_rest(query: str, header: str, code: str) -> None:
    scope = {"type": "http", "query_string": query.encode(), "headers": Headers({"Accept-Language": header}).raw}
    assert wanted(scope) == code


def test_an_address_in_another_language_keeps_everything_else() -> None:
    assert (
        with_language("/items?q=%E5%85%BB%E8%80%81&page=2#list", "en")
        == "/items?q=%E5%85%BB%E8%80%81&page=2&lang=en#list"
    )
    assert with_language("/items?lang=en&department=", "zh") == "/items?department=&lang=zh"
    assert with_language("/", "en") == "/?lang=en"


def test_the_switch_never_leads_to_another_host(office: Office) -> None:
    page = office.client.get(f"{office.client.base_url}//evil.example/x").text
    assert "evil.example/x?lang=en" in page and '"//' not in page


def test_every_page_can_be_switched_and_says_its_language(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    office.story.says("p-zhou", "confirm")
    desk = office.newest_link("p-he")
    office.sign_in()
    pages = [desk, "/board?q=1&late=", f"/changes/{office.story.change_id}", "/start", "/start/law_change",
             "/start/agency_request", "/items?q=x", "/i/990100342001", "/laws", law_address(LAW),
             law_address(LAW, OLD, 3), "/rules", "/mailbox", "/nothing"]  # fmt: skip
    for path in pages:
        chinese = office.client.get(path).text
        assert '<html lang="zh-CN">' in chinese
        switch = re.search(r'<a href="([^"]*)" lang="en" hreflang="en">English</a>', chinese)
        assert switch is not None, path
        address = switch[1].replace("&amp;", "&")
        assert address == with_language(path, "en")
        english = office.client.get(address).text
        assert '<html lang="en">' in english
        assert (
            f'<a href="{with_language(path, "zh").replace("&", "&amp;")}" lang="zh" hreflang="zh">中文</a>' in english
        )


def test_no_word_of_ours_is_left_in_chinese_on_an_english_page(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    office.story.says("p-zhou", "confirm")
    office.deliver()
    office.story.says("p-he", "submit")
    office.story.says("p-zhou", "pass", only="form")
    links = [office.newest_link(person) for person in ("p-lu", "p-he")]
    office.sign_in()
    ours = {
        str(m.id) for m in kept("zh") if m.id and isinstance(m.id, str) and re.search(r"[\u4e00-\u9fff]", str(m.id))
    }
    places = re.compile(r">([^<]+)<|(?:data-th|aria-label|title)=\"([^\"]*)\"")
    pages = [*links, "/board", f"/changes/{office.story.change_id}", "/start", "/start/law_change",
             "/start/agency_request", "/items", "/i/990100342001", "/laws", law_address(LAW),
             law_address(LAW, OLD, 3), "/rules", "/nothing"]  # fmt: skip
    for path in pages:
        page = office.client.get(path, headers=ENGLISH).text
        page = re.sub(r"<blockquote>.*?</blockquote>", "", page, flags=re.DOTALL)
        left = {(a or b).strip() for a, b in places.findall(page)} & ours - set(ITEM_TYPES.values())
        assert left == set(), path


def test_a_page_asked_for_in_english_hands_the_language_on(office: Office) -> None:
    page = office.client.get("/items?lang=en&q=x").text
    assert 'href="/laws?lang=en"' in page
    assert 'href="/static/style.css"' in page
    assert '<input type="hidden" name="lang" value="en">' in page
    assert "lang=en" not in office.client.get("/items", headers=ENGLISH).text


def test_an_act_in_english_is_answered_in_english(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    office.story.says("p-zhou", "confirm")
    desk = office.newest_link("p-he")
    body = office.client.get(desk, headers={"Accept": "application/json"}).json()["assignments"][0]
    form = {"request_id": "r-1", f"revision-{body['id']}": body["revision"], f"verdict-{body['id']}": "save"}
    answer = office.client.post(f"{desk}?lang=en", data=form, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("&lang=en")
    assert "Saved, not submitted yet." in office.client.get(answer.headers["location"]).text


def test_a_refusal_is_explained_in_english_and_keeps_its_own_sentence(office: Office) -> None:
    page = office.client.get("/i/990199999999", headers=ENGLISH)
    assert page.status_code == 404
    assert "No item with this code." in page.text
    assert '<span lang="zh-CN" class="own">没有编码为 990199999999 的事项。</span>' in page.text
    said = office.client.get("/api/v1/items/990199999999", headers=ENGLISH).json()
    assert (said["error"], said["message"]) == ("item_unknown", "No item with this code.")
    assert office.client.get("/api/v1/items/990199999999").json()["message"] == "没有编码为 990199999999 的事项。"


def test_what_is_mailed_stays_chinese_however_the_page_was_read(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    office.story.says("p-zhou", "confirm")
    desk = office.newest_link("p-he")
    body = office.client.get(desk, headers={"Accept": "application/json"}).json()["assignments"][0]
    form = {"request_id": "r-1", f"revision-{body['id']}": body["revision"], f"verdict-{body['id']}": "submit"}
    office.client.post(f"{desk}?lang=en", data=form)
    office.story.wake()
    office.story.says("p-zhou", "pass", only="form")
    office.deliver()
    opened = [message for claimed, message in office.mails if claimed.kind == "review_opened"]
    assert opened
    assert all(re.search(r"办理时限：.*月.*日（周.）24:00前", message.body) for message in opened)


def test_answers_differ_by_language_and_say_so(office: Office) -> None:
    assert set(LANGUAGES) == {"zh", "en"}
    assert "Accept-Language" in office.client.get("/items").headers["vary"]
