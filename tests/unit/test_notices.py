"""What the mails say, from the payloads the verbs really freeze."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from models.actions.restoring import resume
from models.actions.steering import reassign, take_out, urge, withdraw
from models.domain.errors import Unknown
from models.store.change import STEP, rows
from models.store.database import Database
from models.store.outbox import NOTICE, SqlOutbox, enqueue
from notifications.links import check_token, load_secrets, make_token, read_token
from notifications.render import kinds, render
from tests.factories import LAW, NEW, OLD, small_office
from tests.stories.driver import START, Story

LINK = "http://127.0.0.1:8080/d/token"


def everything_told() -> list[dict[str, Any]]:
    """Walk stories that make the office write every kind of notice it has."""
    db = Database("sqlite://")
    small_office(db, START)
    law = Story(db)
    law.start(
        "law_change",
        {"title": "条例2026修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": NEW.isoformat()},
    )
    law.says("p-zhou", "confirm")
    law.says("p-he", "submit")
    law.says("p-zhou", "return", comment="请核对", only="form")
    with db.reader() as connection:
        step = next(row for row in rows(connection, select(STEP)) if row["stage"] == "draft" and row["state"] == "open")
    urge(db, step_id=step["id"], by="p-zhou", reason="请抓紧", now=law.now)
    reassign(db, step_id=step["id"], to="p-jiang", by="p-zhou", reason="岗位调整", now=law.now)
    law.later(days=30)
    law.wake()
    withdraw(db, change_id=law.change_id, by="p-zhou", reason="条例暂缓施行", now=law.now)
    for name, code in (("甲名", "990700188000"), ("乙名", "990700188000"), ("空缺", "990100400000")):
        story = Story(db)
        item = {"target": {"kind": "item", "code": code}, "outcomes": ["rename"], "set": {"name": name}}
        story.start("agency_request", {"title": "更正名称", "items": [item]})
        if code.startswith("9907"):
            story.says("p-wen", "submit")
            story.says("p-zhou", "pass", only="form")
            for person in ("p-lu", "p-gao", "p-bian", "p-naming"):
                story.says(person, "pass")
            if name == "甲名":
                first = story
                continue
            first.says("p-zhou", "approve")
            story.says("p-zhou", "approve")
    emptied = Story(db)
    item = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["rename"], "set": {"name": "丙名"}}
    emptied.start("agency_request", {"title": "另行更正名称", "items": [item]})
    line = emptied.open_for("p-wen")[0]["adjustments"][0]["id"]
    take_out(db, adjustment_id=line, by="p-zhou", reason="已另案办理", now=emptied.now)
    emptied.wake()
    item = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["rename"], "set": {"name": "丁名"}}
    Story(db, now=emptied.now).start("agency_request", {"title": "再次更正名称", "items": [item]})
    resume(db, taken_at=emptied.now, archive="a.tar.gz", good_keys=["k1"], now=emptied.now + timedelta(days=7))
    with db.reader() as connection:
        told = rows(connection, select(NOTICE))
    db.close()
    return told


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    return everything_told()


def test_every_notice_the_verbs_write_can_be_rendered_with_the_link_alone_on_line_three(
    told: list[dict[str, Any]],
) -> None:
    for notice in told:
        message = render(notice["kind"], notice["payload"], LINK)
        lines = message.body.splitlines()
        assert lines[2] == LINK, notice["kind"]
        assert lines[3] == ""
        assert message.subject.startswith("【")
        assert "\n" not in message.subject
        assert lines[0].startswith(notice["payload"]["person"]["name"] + "同志，")


def test_the_stories_write_nearly_every_kind(told: list[dict[str, Any]]) -> None:
    written = {notice["kind"] for notice in told}
    assert set(kinds()) - written <= {
        "access_task", "code", "countersign_opened", "deadline_recomputed", "digest", "reminder", "sheet_stuck", "sign_in", "supervise",
        "undeliverable",
    }  # fmt: skip


#: A name for everything a text may name.
EVERYTHING: dict[str, Any] = {
    "sample": True, "person": {"id": "p", "name": "王芳"}, "acting_for": {"id": "q", "name": "张三"},
    "change": {"id": "c", "number": "2026-0015", "title": "条例修订", "reason": "与上位法一致"},
    "sheet": {"department": "市商务局", "round": 2}, "stage": {"code": "list", "name": "权责清单审核", "verb": "审核"},
    "count": 42, "n": 7, "due": "12月8日（周二）24:00前", "due_day": "12月8日", "due_old": "12月7日（周一）24:00前（暂定）",
    "at": "11月23日 10:42", "by": {"id": "b", "name": "李四"}, "contact": {"name": "周敏", "phone": "", "email": "zhou@x.example"},
    "can_reassign": True, "silence": True, "items": [{"n": 1, "name": "事项", "code": "1", "outcomes": "取消"}], "more": 870,
    "opinions": "通过", "delta": "减少 1 项", "procedure": {"basis": "办法第十条"}, "departments": 2, "uncertain": 1,
    "comment": "请写到款", "passed": 3, "next_day": "12月9日", "superior": {"name": "赵敏"}, "assignee": {"name": "王芳"},
    "reminded_at": "12月4日 09:00", "told_at": "12月9日 09:00", "to": {"name": "钱"}, "from": {"name": "孙"}, "reason": "调岗",
    "verdict": "通过", "lines": [{"i": 1, "stage": {"name": "起草"}, "sheet": {"department": "局"}, "count": 1, "due": "12月8日"}],
    "more_lines": 3, "year": 2027, "document": {"number": "国办发明电〔2026〕7号"}, "effective_day": "1月1日",
    "effective_at": "2027年1月1日 00:00", "publication": {"number": "F2026-0007"}, "late": 2, "legal_since": "2026年12月1日",
    "blocked": 2, "published": 5, "system": {"name": "一网通办"}, "recipient": {"name": "贺"}, "subject": "【请起草】条例",
    "short": True, "error": "550 没有这个用户", "tries": 20, "role": {"name": "起草"}, "next_at": "09:31", "code": "012345",
}  # fmt: skip
#: The kinds of the wording table; a draft, a review and so on open under names of their own.
KINDS = {
    "draft_opened", "review_opened", "countersign_opened", "naming_opened", "approval_opened", "scope_to_confirm", "returned",
    "reminder", "overdue_superior", "supervise", "urged", "reassigned_to", "reassigned_from", "decided_elsewhere", "digest",
    "deadline_recomputed", "published", "publication_blocked", "access_task", "undeliverable", "no_owner", "sheet_stuck",
    "withdrawn", "taken_out", "sign_in", "code",
}  # fmt: skip


def test_every_kind_of_the_wording_table_has_a_text() -> None:
    assert set(kinds()) >= KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_text_says_what_to_do_by_when_and_has_the_link_alone_on_its_line(kind: str) -> None:
    for repeat, payload in ((0, {**EVERYTHING, "acting_for": None, "more": 0, "items": []}), (1, EVERYTHING)):
        message = render(kind, payload, LINK, repeat)
        lines = message.body.splitlines()
        assert lines[0].startswith("王芳同志，")
        assert lines[1].endswith("。")
        if kind == "code":
            assert LINK not in message.body and "012345" in lines[0]
        else:
            assert lines[2] == LINK
            assert {line for line in lines if LINK in line} == {LINK}
            assert lines[3] == ""
        assert lines[-1] or payload["more"] == 0
        assert "{" not in message.body + message.subject and "\n\n\n" not in message.body
        assert message.subject.startswith("【示例】【")


def test_no_text_has_more_than_one_blank_line_together_or_a_stray_brace(told: list[dict[str, Any]]) -> None:
    for notice in told:
        body = render(notice["kind"], notice["payload"], LINK).body
        assert "\n\n\n" not in body, (notice["kind"], body)
        assert "\n\n咨询：" in body, (notice["kind"], body)
        assert "{" not in body


def test_a_name_never_begins_a_new_line_or_a_header(told: list[dict[str, Any]]) -> None:
    notice = next(row for row in told if row["kind"] == "draft_opened")
    payload = {**notice["payload"], "change": {**notice["payload"]["change"], "title": "标题\r\nBcc: x@example.org"}}
    message = render("draft_opened", payload, LINK)
    assert "\n" not in message.subject
    assert "\r" not in message.subject + message.body


def test_a_long_title_is_cut_at_twenty_four_characters(told: list[dict[str, Any]]) -> None:
    notice = next(row for row in told if row["kind"] == "draft_opened")
    payload = {**notice["payload"], "change": {**notice["payload"]["change"], "title": "字" * 60}}
    assert "字" * 24 + "…" in render("draft_opened", payload, LINK).subject
    assert "字" * 25 not in render("draft_opened", payload, LINK).subject


def test_the_sample_office_says_so_in_every_subject(told: list[dict[str, Any]]) -> None:
    notice = told[0]
    assert render(notice["kind"], {**notice["payload"], "sample": True}, LINK).subject.startswith("【示例】【")


def test_a_token_belongs_to_its_row_alone(tmp_path: Any) -> None:
    key, secrets = load_secrets(tmp_path)
    row = {"id": "lnk-1", "purpose": "desk", "person_id": "p-1", "nonce": "n", "expires_at": START, "key_id": key}
    parts = read_token(make_token(row, secrets))
    assert parts.link_id == "lnk-1"
    check_token(parts, row, secrets)
    for other in (
        {"person_id": "p-2"},
        {"nonce": "m"},
        {"expires_at": START + timedelta(days=1)},
        {"purpose": "sign_in"},
    ):
        with pytest.raises(Unknown):
            check_token(parts, {**row, **other}, secrets)


def test_one_link_has_one_token(tmp_path: Any) -> None:
    """The last sign of a token holds bits that mean nothing; it must still be the one that was written."""
    key, secrets = load_secrets(tmp_path)
    row = {"id": "lnk-1", "purpose": "desk", "person_id": "p-1", "nonce": "n", "expires_at": START, "key_id": key}
    token = make_token(row, secrets)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for other in set(alphabet) - {token[-1]}:
        with pytest.raises(Unknown):
            check_token(read_token(token[:-1] + other), row, secrets)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "链接", "a" * 500, "YQ.YQ", "azEuAA.YQ"])
def test_a_token_that_is_none_is_a_bad_link(token: str) -> None:
    with pytest.raises(Unknown) as refused:
        read_token(token)
    assert refused.value.code == "bad_link"


def test_the_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Any) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert (tmp_path / "secret.json").stat().st_mode & 0o777 == 0o600


def test_the_first_notice_leaves_at_once_and_the_next_when_the_collecting_time_is_over() -> None:
    db = Database("sqlite://")
    small_office(db, START)
    story = Story(db)
    wanted = [("990100342001", "rename"), ("990100342002", "change_guide")]
    items = [{"target": {"kind": "item", "code": code}, "outcomes": [o], "set": {}} for code, o in wanted]
    story.start("agency_request", {"title": "两份单", "items": items})
    outbox = SqlOutbox(db, "k1", dict)

    def claimed(minutes: float) -> list[str]:
        return [
            row["kind"]
            for row in outbox.claim(START + timedelta(minutes=minutes), 50, 7200)
            if row["person_id"] == "p-he"
        ]

    assert claimed(0) == ["draft_opened"]
    assert claimed(19) == []
    assert claimed(21) == ["draft_opened"]
    db.close()


def test_several_held_notices_leave_as_one_digest_with_the_earliest_due_day_first() -> None:
    db = Database("sqlite://")
    small_office(db, START)
    story = Story(db)
    story.start(
        "agency_request",
        {
            "title": "一份单",
            "items": [{"target": {"kind": "item", "code": "990100342001"}, "outcomes": ["change_guide"], "set": {}}],
        },
    )
    with db.writer() as connection:
        payload = rows(connection, select(NOTICE).where(NOTICE.c.person_id == "p-he"))[0]["payload"]
        more = [
            {
                "key": f"k{n}",
                "person_id": "p-he",
                "change_id": story.change_id,
                "step_id": None,
                "kind": "draft_opened",
                "payload": {**payload, "due_on": f"2026-12-0{9 - n}", "due": f"12月{9 - n}日"},
            }
            for n in (1, 2)
        ]
        assert enqueue(connection, notices=more, now=START, collect_minutes=20).count == 2
        assert enqueue(connection, notices=more, now=START, collect_minutes=20).count == 0
    outbox = SqlOutbox(db, "k1", dict)
    outbox.claim(START, 50, 7200)
    left = [row for row in outbox.claim(START + timedelta(minutes=21), 50, 7200) if row["person_id"] == "p-he"]
    assert [row["kind"] for row in left] == ["digest"]
    message = render("digest", left[0]["payload"], LINK)
    assert "您在本次变更中有 2 件待办" in message.body
    assert message.body.index("12月7日") < message.body.index("12月8日")
    db.close()
