"""Links: what a superior's link offers, and what a dead one still says and does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select, update

from models.actions.steering import reassign
from models.actions.views import change_show
from models.store.outbox import LINK, NOTICE
from models.store.sql import table
from models.tables import Contact, Person, Post
from tests.portal.conftest import Office
from tests.portal.test_desk import drafting, reviewing

RENEWED = "如果您在本变更中仍有待办，新链接已发到您登记的邮箱"


def superiors(office: Office) -> None:
    """沈知秋 stands above the market department's drafters."""
    posts = table(Post)
    with office.story.db.writer() as connection:
        connection.execute(
            update(posts).where(posts.c.person_id.in_(["p-he", "p-xu"])).values(superior_person_id="p-shen")
        )


def late(office: Office) -> dict[str, Any]:
    """The market department's draft is late; what its superior sees."""
    superiors(office)
    drafting(office)
    office.story.later(days=16)
    office.story.wake()
    (shown,) = office.desk("p-shen")["supervised"]
    found: dict[str, Any] = shown
    return found


def mails(office: Office, kind: str) -> list[str]:
    """To whom mails of a kind went."""
    office.deliver()
    return [claimed.person_id for claimed, _ in office.mails if claimed.kind == kind]


# --- what is late --------------------------------------------------------------------------------------------------


def test_a_superior_urges_from_the_page_his_mail_leads_to(office: Office) -> None:
    late(office)
    link = office.newest_link("p-shen")
    page = office.client.get(link).text
    assert "待您督促：1 件" in page
    assert "何晓岚、许同" in page
    assert "逾期" in page
    answer = office.client.post(f"{link}/urge", data={"step": office.desk("p-shen")["supervised"][0]["step"]})
    assert "已催办" in answer.text
    assert sorted(mails(office, "urged")) == ["p-he", "p-xu"]
    again = office.client.post(f"{link}/urge", data={"step": office.desk("p-shen")["supervised"][0]["step"]})
    assert again.status_code == 409
    assert "一天只催办一次" in again.text
    assert f'action="{link}"' in again.text or "待您督促" in again.text


def test_a_superior_hands_on_by_json_and_hears_what_is_left(office: Office) -> None:
    shown = late(office)
    link = office.newest_link("p-shen")
    held = shown["assignments"][0]
    assert [to["id"] for to in held["to"]] == ["p-shen"]
    said = {"step": shown["step"], "assignment": held["id"], "to": "p-shen"}
    refused = office.client.post(f"{link}/reassign", json=said)
    assert (refused.status_code, refused.json()["error"]) == (422, "comment_required")
    done = office.client.post(f"{link}/reassign", json={**said, "reason": "本人办理"})
    assert done.status_code == 200
    left = [one["person"]["id"] for one in done.json()["supervised"][0]["assignments"]]
    assert sorted([*left, held["person"]["id"]]) == ["p-he", "p-xu"]
    assert [a["stage"] for a in office.desk("p-shen")["assignments"]] == ["draft"]
    assert office.woken[-1] == office.story.change_id


def test_from_a_shared_mailbox_nobody_urges_or_hands_on_without_signing_in(office: Office) -> None:
    shown = late(office)
    link, held = office.newest_link("p-shen"), shown["assignments"][0]
    said = {"step": shown["step"], "assignment": held["id"], "to": "p-shen", "reason": "本人办理"}
    contact = table(Contact)
    with office.story.db.writer() as connection:
        connection.execute(update(contact).where(contact.c.person_id == "p-shen").values(shared=True))
    for act in ("urge", "reassign"):
        refused = office.client.post(f"{link}/{act}", json=said)
        assert (refused.status_code, refused.json()["error"]) == (401, "proof_needed")
        assert "登录" in refused.json()["message"]
    assert mails(office, "urged") == []
    assert len(office.desk("p-shen")["supervised"][0]["assignments"]) == len(shown["assignments"])


@pytest.mark.parametrize("act", ["urge", "reassign"])
def test_who_answers_for_nobody_can_neither_urge_nor_hand_on_by_his_link(office: Office, act: str) -> None:
    shown = late(office)
    form = {"step": shown["step"], "to": "p-wen", "reason": "试"}
    link = office.newest_link("p-wen")
    answer = office.client.post(f"{link}/{act}", json=form)
    assert (answer.status_code, answer.json()["error"]) == (403, "not_your_seat")
    wrong = office.client.post(f"{link}/{act}", json=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert wrong.status_code == 403
    for odd in ({}, {"step": 3}, {"step": "stp-none", "to": ["x"]}):
        assert 400 <= office.client.post(f"{link}/{act}", json=odd).status_code < 500
    assert office.client.post(f"{link}/withdraw", json=form).status_code == 404
    assert mails(office, "urged") == []


# --- dead links ----------------------------------------------------------------------------------------------------


def test_a_link_that_was_silent_too_long_offers_a_new_one_that_goes_to_the_registered_address(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    office.story.later(days=91)
    page = office.client.get(old)
    assert page.status_code == 410
    assert "重新发送链接" in page.text
    assert "周敏" in page.text
    assert RENEWED in office.client.post(f"{old}/renew").text
    fresh = office.newest_link("p-lu")
    assert fresh != old
    assert office.mails[-1][0].address == "p-lu@shili.example"
    assert "您在本次变更中有 1 件待办" in office.mails[-1][1].body
    assert office.client.get(fresh).status_code == 200
    assert office.client.get(old).status_code == 410


def test_a_new_link_is_sent_once_an_hour_however_often_it_is_asked_for(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    office.story.later(days=91)
    answers = {office.client.post(f"{old}/renew").status_code for _ in range(9)}
    assert answers == {200, 429}
    assert mails(office, "digest") == ["p-lu"]
    shown = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)
    assert [line["who"]["id"] for line in shown["log"] if line["verb"] == "重新发送"] == ["p-lu"]


def test_who_has_nothing_open_gets_the_same_answer_and_no_mail(office: Office) -> None:
    drafting(office)
    old = office.newest_link("p-he")
    office.story.says("p-he", "submit")
    office.story.later(days=91)
    page = office.client.get(old)
    assert "该件已由何晓岚于" in page.text
    assert RENEWED in office.client.post(f"{old}/renew").text
    assert mails(office, "digest") == []


def test_a_forged_token_hears_nothing_and_causes_nothing(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    office.story.later(days=91)
    body, mac = old.removeprefix("/d/").split(".")
    with office.story.db.reader() as connection:
        before = connection.execute(select(func.count()).select_from(NOTICE)).scalar()
    for forged in (f"/d/{body}.{'A' * len(mac)}", "/d/abc", f"/d/{body}", "/d/%00", f"/d/{'x' * 3000}"):
        for answer in (office.client.get(forged), office.client.post(f"{forged}/renew")):
            assert answer.status_code in (404, 405), forged
            assert "陆清" not in answer.text
            assert "餐饮" not in answer.text
    with office.story.db.reader() as connection:
        assert connection.execute(select(func.count()).select_from(NOTICE)).scalar() == before


def test_a_disabled_persons_link_says_whom_to_ask_and_offers_nothing(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    with office.story.db.writer() as connection:
        connection.execute(
            update(table(Person)).where(table(Person).c.id == "p-lu").values(disabled_at=office.story.now)
        )
    page = office.client.get(old)
    assert page.status_code == 410
    assert "账号已停用" in page.text and "请联系周敏" in page.text
    assert "重新发送链接" not in page.text
    assert RENEWED in office.client.post(f"{old}/renew").text
    assert mails(office, "digest") == []


def test_a_revoked_link_offers_a_new_one_and_the_json_says_so(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    with office.story.db.writer() as connection:
        connection.execute(update(LINK).where(LINK.c.person_id == "p-lu").values(revoked_at=office.story.now))
    answer = office.client.get(old, headers={"Accept": "application/json"})
    assert answer.status_code == 410
    assert answer.json().items() >= {"error": "dead_link", "renew": True, "by": None}.items()
    assert office.client.post(f"{old}/renew", json={}).json() == {"done": "renew"}
    assert office.client.get(office.newest_link("p-lu")).status_code == 200


def test_who_left_the_office_and_holds_nothing_is_told_who_has_it_now(office: Office) -> None:
    reviewing(office)
    old = office.newest_link("p-lu")
    posts = table(Post)
    with office.story.db.writer() as connection:
        connection.execute(update(posts).where(posts.c.person_id == "p-lu").values(to_on=date(2026, 11, 22)))
    assert office.client.get(old).status_code == 200
    with office.story.db.writer() as connection:
        connection.execute(update(posts).where(posts.c.id == "p-gao-list_reviewer").values(role="legality_reviewer"))
    shown = change_show(office.story.db, change_id=office.story.change_id, now=office.story.now)
    (step,) = [s["id"] for sheet in shown["sheets"] for s in sheet["steps"] if s["stage"] == "legality"]
    assignment = office.desk("p-lu")["assignments"][0]["id"]
    reassign(
        office.story.db,
        step_id=step,
        to="p-gao",
        by="p-zhou",
        reason="调离",
        assignment_id=assignment,
        now=office.story.now,
    )
    page = office.client.get(old)
    assert page.status_code == 410
    assert "不在任" in page.text and "转交高远办理" in page.text


def test_a_dead_link_of_a_closed_change_says_so_and_offers_nothing(office: Office) -> None:
    from models.actions.steering import withdraw

    reviewing(office)
    old = office.newest_link("p-lu")
    withdraw(office.story.db, change_id=office.story.change_id, by="p-zhou", reason="暂缓", now=office.story.now)
    office.story.later(days=91)
    page = office.client.get(old).text
    assert "本次变更已于" in page and "撤回" in page
    assert "重新发送链接" not in page


# --- what did not arrive -------------------------------------------------------------------------------------------


def test_a_coordinator_sends_again_from_the_board_what_did_not_arrive(office: Office) -> None:
    from models.store.outbox import SqlOutbox

    reviewing(office)
    outbox = SqlOutbox(office.story.db, office.secrets[0], dict)
    (lost,) = [row for row in outbox.claim(office.story.now, 50, 60) if row["person_id"] == "p-lu"]
    outbox.undeliverable(lost["id"], "550 没有这个用户", office.story.now, "【请审查】")
    office.sign_in()
    assert "550 没有这个用户" in office.client.get("/board").text
    assert mails(office, "undeliverable") == ["p-zhou"]
    path = f"/notices/{lost['id']}/resend"
    assert office.client.post(path, data={"csrf": "0"}).status_code == 403
    done = office.client.post(path, data={"csrf": office.csrf("/board")}, follow_redirects=False)
    assert done.headers["location"] == "/board#undelivered"
    assert mails(office, "review_opened").count("p-lu") == 1
    assert office.client.post(path, data={"csrf": office.csrf("/board")}).status_code == 409
