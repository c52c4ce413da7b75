"""A link is not a person: codes and sign-ins at the desk, in JSON and without JavaScript, and shared mailboxes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sqlalchemy import select, text, update

from models.actions.proving import MOST, TRIES
from models.actions.views import change_show
from models.store.change import _EDITIONS, rows
from models.store.sql import table
from models.tables import Contact, Decision, Post, ProofCode
from tests.factories import LAW_CHANGE
from tests.portal.conftest import Office
from tests.portal.test_desk import body, drafting, fields_of, reviewing

JSON = {"Accept": "application/json"}


@pytest.fixture
def office(office: Office) -> Office:
    """The office with proof on."""
    office.settings.proof = "code"
    return office


def code_of(office: Office, person: str = "p-lu") -> str:
    """The code in the newest mail to a person."""
    office.deliver()
    message = next(m for c, m in reversed(office.mails) if c.person_id == person and c.kind == "code")
    found = re.search(r"验证码 (\d{6})，", message.body)
    assert found is not None and "http" not in message.body
    return found.group(1)


def share(office: Office, *people: str) -> None:
    """Give these people one mailbox."""
    with office.story.db.writer() as connection:
        contact = table(Contact)
        connection.execute(
            update(contact).where(contact.c.person_id.in_(people)).values(address="Office@shili.example", shared=True)
        )


def decisions(office: Office) -> list[dict[str, Any]]:
    with office.story.db.reader() as connection:
        return rows(connection, select(table(Decision)).order_by(table(Decision).c.at))


def test_json_gets_401_and_the_way_to_prove_who_it_is_and_decides_with_the_code(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    assert [a["proof"] for a in desk["assignments"]] == ["code"] and desk["proved"] is None
    refused = office.client.post(link, json=body(desk, "pass"))
    assert (refused.status_code, refused.json()["error"]) == (401, "proof_needed")
    ways = refused.json()["ways"]
    sent = office.client.post(f"{link}/{ways['send']}", headers=JSON)
    assert (sent.status_code, sent.json()["sent_to"]) == (202, "p***@shili.example")
    proved = office.client.post(f"{link}/{ways['prove']}", json={"code": code_of(office)})
    assert (proved.status_code, proved.json()["proof"]) == (200, "code")
    answer = office.client.post(link, json=body(desk, "pass"), headers={"User-Agent": "an office's own client"})
    assert answer.status_code == 200
    made = decisions(office)[-1]
    assert (made["via"], made["proof"], made["address"]) == ("link", "code", "testclient")
    assert made["agent"] == "an office's own client"
    shown = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)["decisions"]
    assert [(one["proof"], one["via"]) for one in shown if one["person"]["id"] == "p-lu"] == [("code", "link")]


def test_a_code_stands_in_no_table_and_belongs_to_the_browser_that_asked(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    office.client.post(f"{link}/code")
    code = code_of(office)
    with office.story.db.reader() as connection:
        for name in ("proof_code", "notice", "link", "change_log", "session"):
            assert code not in str(connection.execute(text(f"select * from {name}")).all())
    cookie = office.client.cookies.get("shixiang_browser", path="/d")
    assert cookie
    office.client.cookies.clear()
    other = office.client.post(f"{link}/proof", json={"code": code})
    assert (other.status_code, other.json()["error"]) == (401, "code_expired")
    office.client.cookies.set("shixiang_browser", cookie, path="/d")
    assert office.client.post(f"{link}/proof", json={"code": code}).status_code == 200
    office.client.cookies.clear()
    assert office.client.post(link, json=body(desk, "pass")).status_code == 401


def test_five_wrong_tries_end_a_code_and_ten_minutes_do_too(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    office.client.post(f"{link}/code")
    code = code_of(office)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    left = [office.client.post(f"{link}/proof", json={"code": wrong}).json().get("left") for _ in range(TRIES)]
    assert left == [4, 3, 2, 1, None]
    ended = office.client.post(f"{link}/proof", json={"code": code})
    assert (ended.status_code, ended.json()["error"]) == (401, "code_expired")
    office.client.post(f"{link}/code")
    fresh = code_of(office)
    office.story.later(minutes=10)
    assert office.client.post(f"{link}/proof", json={"code": fresh}).json()["error"] == "code_expired"


def test_a_code_is_spent_once_and_a_newer_one_ends_it(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    office.client.post(f"{link}/code")
    first = code_of(office)
    office.story.later(seconds=5)
    office.client.post(f"{link}/code")
    second = code_of(office)
    if first != second:
        assert office.client.post(f"{link}/proof", json={"code": first}).json()["error"] == "code_wrong"
    assert office.client.post(f"{link}/proof", json={"code": f" {second[:3]} {second[3:]} "}).status_code == 200
    assert office.client.post(f"{link}/proof", json={"code": second}).json()["error"] == "code_expired"


def test_proof_holds_for_twelve_hours(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    office.client.post(f"{link}/code")
    office.client.post(f"{link}/proof", json={"code": code_of(office)})
    office.story.later(hours=11, minutes=59)
    assert office.client.get(link, headers=JSON).json()["proved"]["proof"] == "code"
    office.story.later(minutes=1)
    assert office.client.get(link, headers=JSON).json()["proved"] is None
    assert office.client.post(link, json=body(desk, "pass")).status_code == 401


def test_so_many_codes_an_hour_and_no_more(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    span, most = MOST[0]
    answers = [office.client.post(f"{link}/code") for _ in range(most + 1)]
    assert [one.status_code for one in answers] == [202] * most + [429]
    assert 3500 <= int(answers[-1].headers["Retry-After"]) <= span.total_seconds() + 1
    office.story.later(hours=1, seconds=1)
    assert office.client.post(f"{link}/code").status_code == 202
    with office.story.db.reader() as connection:
        assert len(rows(connection, select(table(ProofCode)))) == most + 1


def test_a_code_mail_never_waits_and_holds_back_no_notice(office: Office) -> None:
    office.settings.collect_minutes = 20
    reviewing(office)
    office.deliver()
    before = len(office.mails)
    office.client.post(f"{office.newest_link('p-lu')}/code")
    office.deliver()
    assert [claimed.kind for claimed, _ in office.mails[before:]] == ["code"]
    assert "【验证码】用于合法性审查" in office.mails[-1][1].subject


def test_the_page_proves_in_its_own_form_and_nothing_typed_is_lost(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    assignment, line = desk["assignments"][0]["id"], desk["assignments"][0]["adjustments"][0]["id"]
    page = office.client.get(link).text
    assert "身份核验" in page and "获取验证码" in page
    typed = {
        **fields_of(page),
        f"verdict-{assignment}": "pass",
        f"verdict-{assignment}-{line}": "object",
        f"remark-{line}": "保留意见的理由",
    }
    refused = office.client.post(link, data=typed)
    assert refused.status_code == 401 and "须核验身份" in refused.text

    def kept(answer: Any) -> dict[str, str]:
        assert "保留意见的理由" in answer.text
        assert re.search(rf'name="verdict-{assignment}" value="pass" checked', answer.text)
        assert re.search(rf'name="verdict-{assignment}-{line}" value="object" checked', answer.text)
        return {**typed, **{k: v for k, v in fields_of(answer.text).items() if k not in typed}}

    kept(refused)
    sent = office.client.post(link, data={**typed, "prove": "send"})
    assert sent.status_code == 200 and "p***@shili.example" in sent.text
    kept(sent)
    wrong = office.client.post(link, data={**typed, "prove": "check", "code": ""})
    assert wrong.status_code == 422 and "“验证码”未填写" in wrong.text
    kept(wrong)
    checked = office.client.post(link, data={**typed, "prove": "check", "code": code_of(office)})
    assert checked.status_code == 200 and "已核验" in checked.text
    answer = office.client.post(link, data=kept(checked), follow_redirects=False)
    assert answer.status_code == 303
    assert [(d["verdict"], d["proof"]) for d in decisions(office)][-1] == ("pass", "code")


def test_a_code_beside_the_verdict_proves_and_decides_at_once(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    typed = {**fields_of(office.client.get(link).text), f"verdict-{desk['assignments'][0]['id']}": "pass"}
    office.client.post(link, data={**typed, "prove": "send"})
    answer = office.client.post(link, data={**typed, "code": code_of(office)}, follow_redirects=False)
    assert answer.status_code == 303


def test_a_signed_in_session_is_proof_for_its_own_person_alone(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    office.sign_in("p-gao@shili.example", "p-gao")
    assert office.client.post(link, json=body(desk, "pass")).status_code == 401
    office.client.cookies.clear()
    office.sign_in("P-Lu@shili.example", "p-lu")
    assert office.client.post(link, json=body(desk, "pass")).status_code == 200
    assert decisions(office)[-1]["proof"] == "session"


def test_the_desk_mails_a_sign_in_link_and_keeps_what_was_typed(office: Office) -> None:
    reviewing(office)
    link = office.newest_link("p-lu")
    typed = fields_of(office.client.get(link).text)
    remark = next(name for name in typed if name.startswith("remark-"))
    answer = office.client.post(link, data={**typed, remark: "写了一半", "prove": "sign_in"})
    assert (
        answer.status_code == 200 and "登录链接已发往 p***@shili.example" in answer.text and "写了一半" in answer.text
    )
    way = office.newest_link("p-lu")
    assert way.startswith("/s/")
    home = office.client.post(way)
    assert "您已登录" in home.text
    assert "已核验（登录）" in office.client.get(link).text


def test_drafting_asks_for_nothing_and_the_scope_does(office: Office) -> None:
    office.story.start("law_change", LAW_CHANGE)
    scope = office.desk("p-zhou")
    assert [a["proof"] for a in scope["assignments"]] == ["code"]
    assert office.client.post(office.newest_link("p-zhou"), json=body(scope, "confirm")).status_code == 401
    office.settings.proof = "none"
    office.story.says("p-zhou", "confirm")
    office.settings.proof = "code"
    desk = office.desk("p-he")
    assert [a["proof"] for a in desk["assignments"]] == ["none"]
    assert office.client.post(office.newest_link("p-he"), json=body(desk, "submit")).status_code == 200
    assert decisions(office)[-1]["proof"] == "none"


def test_with_proof_off_nothing_is_asked_and_no_code_is_sent(office: Office) -> None:
    office.settings.proof = "none"
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    assert "身份核验" not in office.client.get(link).text
    assert office.client.post(f"{link}/code").json()["error"] == "nothing_to_decide"
    assert office.client.post(link, json=body(desk, "pass")).status_code == 200


def test_a_shared_mailbox_shows_the_desk_and_decides_only_for_whom_one_signs_in_as(office: Office) -> None:
    office.settings.proof = "none"
    reviewing(office)
    share(office, "p-lu", "p-gov")
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    assert desk["shared"] and [a["proof"] for a in desk["assignments"]] == ["session"]
    refused = office.client.post(link, json=body(desk, "pass"))
    assert (refused.status_code, refused.json()["ways"]) == (401, {"sign_in": "/sign-in"})
    assert office.client.post(f"{link}/code").json()["error"] == "shared_address"
    page = office.client.get(link).text
    assert "多人共用" in page and "获取验证码" not in page
    office.client.post("/sign-in", data={"email": "office@shili.example"})
    way = max(
        (c.created_at, re.search(r"^http://testserver(/s/\S+)$", m.body, re.MULTILINE)) for c, m in sent_mails(office)
    )[1]
    assert way is not None
    choosing = office.client.get(way.group(1)).text
    assert "陆清" in choosing and "郑府" in choosing and "checked" not in choosing
    assert office.client.post(way.group(1)).status_code == 422
    assert office.client.post(way.group(1), data={"person": "p-zhou"}).status_code == 422
    assert office.client.post(way.group(1), data={"person": "p-gov"}).status_code == 200
    assert office.client.post(link, json=body(desk, "pass")).status_code == 401, "signed in as the other one"
    office.client.cookies.clear()
    office.client.post(link, data={"prove": "sign_in"})
    office.deliver()
    again = re.search(r"(/s/\S+)", office.mails[-1][1].body)
    assert again is not None
    assert office.client.post(again.group(1), data={"person": "p-lu"}).status_code == 200
    assert office.client.post(link, json=body(desk, "pass")).status_code == 200
    assert (decisions(office)[-1]["person_id"], decisions(office)[-1]["proof"]) == ("p-lu", "session")


def sent_mails(office: Office) -> list[Any]:
    office.deliver()
    return [pair for pair in office.mails if pair[0].kind == "sign_in"]


def test_signing_in_says_the_same_of_every_address(office: Office) -> None:
    answers = [
        office.client.post("/sign-in", data={"email": address})
        for address in ("p-lu@shili.example", "nobody@shili.example", "p-lu@shili.example ")
    ]
    texts = {re.sub(r"\S+@shili.example", "X", re.sub(r"<time.*?</time>", "", one.text)) for one in answers}
    assert {one.status_code for one in answers} == {200} and len(texts) == 1
    office.deliver()
    assert [claimed.person_id for claimed, _ in office.mails] == ["p-lu", "p-lu"]


def test_a_forwarded_link_alone_decides_nothing_however_it_is_sent(office: Office) -> None:
    reviewing(office)
    link, desk = office.newest_link("p-lu"), office.desk("p-lu")
    before = decisions(office)
    form = {**fields_of(office.client.get(link).text), f"verdict-{desk['assignments'][0]['id']}": "pass"}
    for sent in (
        {"json": body(desk, "pass", "q-1")},
        {"json": {**body(desk, "pass", "q-2"), "proof": "code", "code": "000000"}},
        {"data": form},
        {"data": {**form, "prove": "check", "code": "000000"}},
        {"json": body(desk, "pass", "q-3"), "headers": {"Cookie": "shixiang_browser=guess; shixiang_session=guess"}},
    ):
        assert office.client.post(link, **sent).status_code == 401
    assert decisions(office) == before


def test_a_procedure_may_ask_otherwise_than_the_office(office: Office) -> None:
    office.settings.proof = "none"
    drafting(office)
    with office.story.db.writer() as connection:
        for row in connection.execute(text("select key, no, body from procedure")).all():
            data = json.loads(row.body)
            for stage in data["stages"]:
                stage["proof"] = {"draft": "session", "legality": "none"}.get(stage["code"])
            connection.execute(
                text("update procedure set body = :b where key = :k and no = :n"),
                {"b": json.dumps(data), "k": row.key, "n": row.no},
            )
    _EDITIONS.clear()
    desk = office.desk("p-he")
    assert [a["proof"] for a in desk["assignments"]] == ["session"]
    assert office.client.post(office.newest_link("p-he"), json=body(desk, "submit")).status_code == 401


# --- what others are late with -------------------------------------------------------------------------------------


def reviews_late(office: Office) -> tuple[str, dict[str, Any]]:
    """The legality review is late; the page of the reviewers' superior, and what it shows of it."""
    posts = table(Post)
    with office.story.db.writer() as connection:
        connection.execute(
            update(posts).where(posts.c.person_id.in_(["p-lu", "p-ding"])).values(superior_person_id="p-gov")
        )
    reviewing(office)
    office.story.later(days=20)
    office.story.wake()
    office.client.cookies.clear()
    (shown,) = [one for one in office.desk("p-gov")["supervised"] if one["stage"] == "legality"]
    return office.newest_link("p-gov"), shown


def handing_on(shown: dict[str, Any], **more: str) -> dict[str, str]:
    held = shown["assignments"][0]
    return {"step": shown["step"], "assignment": held["id"], "to": held["to"][0]["id"], "reason": "本人办理", **more}


@pytest.mark.parametrize(
    ("language", "button", "sent", "proved", "wrong", "asks"),
    [
        ("zh", "获取验证码", "验证码已发往 p***@shili.example", "已核验（", "验证码不正确，还可试 4 次。", "转交须核验身份。"),
        ("en", "Get a code", "A code is on its way to p***@shili.example", "Shown (", "", "Handing on needs proof of who you are."),
    ],
)  # fmt: skip
def test_a_superior_shows_who_he_is_in_the_form_in_which_he_hands_on(
    office: Office, language: str, button: str, sent: str, proved: str, wrong: str, asks: str
) -> None:
    link, shown = reviews_late(office)
    assert shown["proof"] == {"urge": "none", "reassign": "code"}
    here, held = f"{link}/reassign?lang={language}", shown["assignments"][0]
    page = office.client.get(f"{link}?lang={language}").text
    assert button in page and asks in page and f'id="proof-{held["id"]}"' in page
    refused = office.client.post(here, data=handing_on(shown))
    assert refused.status_code == 401 and f'href="#proof-{held["id"]}"' in refused.text and "本人办理" in refused.text
    asked = office.client.post(here, data=handing_on(shown, prove="send"))
    assert asked.status_code == 200 and sent in asked.text and "本人办理" in asked.text
    assert f'value="{held["to"][0]["id"]}" selected' in asked.text
    bad = "000000" if code_of(office, "p-gov") != "000000" else "111111"
    tried = office.client.post(here, data=handing_on(shown, code=bad))
    assert tried.status_code == 401 and wrong in tried.text and 'aria-invalid="true"' in tried.text
    checked = office.client.post(here, data=handing_on(shown, prove="check", code=code_of(office, "p-gov")))
    assert checked.status_code == 200 and proved in checked.text and button not in checked.text
    done = office.client.post(here, data=handing_on(shown), follow_redirects=False)
    assert done.status_code == 303
    left = [one["person"]["id"] for one in office.desk("p-gov")["supervised"][0]["assignments"]]
    assert held["person"]["id"] not in left


def test_the_code_is_taken_with_the_act_itself_and_urging_needs_none(office: Office) -> None:
    link, shown = reviews_late(office)
    assert office.client.post(f"{link}/urge", data={"step": shown["step"]}, follow_redirects=False).status_code == 303
    office.client.post(f"{link}/reassign", data=handing_on(shown, prove="send"))
    code = code_of(office, "p-gov")
    done = office.client.post(f"{link}/reassign", data=handing_on(shown, code=code), follow_redirects=False)
    assert done.status_code == 303


def test_a_superior_by_json_gets_a_code_at_the_ways_he_is_told(office: Office) -> None:
    link, shown = reviews_late(office)
    refused = office.client.post(f"{link}/reassign", json=handing_on(shown, prove="send"))
    assert (refused.status_code, refused.json()["error"]) == (401, "proof_needed")
    ways = refused.json()["ways"]
    assert office.client.post(f"{link}/{ways['send']}", headers=JSON).status_code == 202
    proved = office.client.post(f"{link}/{ways['prove']}", json={"code": code_of(office, "p-gov")})
    assert proved.status_code == 200
    assert office.client.post(f"{link}/reassign", json=handing_on(shown)).status_code == 200


def test_from_a_shared_mailbox_the_superiors_page_offers_a_sign_in_in_each_form_and_no_code(office: Office) -> None:
    link, shown = reviews_late(office)
    share(office, "p-gov", "p-shen")
    page = office.client.get(link).text
    assert page.count("发送登录链接") == 1 + len(shown["assignments"]) and 'name="code"' not in page
    sent = office.client.post(f"{link}/urge", data={"step": shown["step"], "reason": "请尽快", "prove": "sign_in"})
    assert "登录链接已发往" in sent.text and "请尽快" in sent.text
    assert office.client.post(f"{link}/urge", data={"step": shown["step"]}).status_code == 401
