"""The operators' page: what stands where, what an operator switched off, and five acts that change no case."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from models.actions.engine import engine_seen, new_attempt, watched
from models.actions.starting import started
from models.actions.views import change_show
from models.store.change import CHANGE
from models.store.outbox import NOTICE
from portal.operators import ALARMS
from portal.state import Alarm
from tests.portal.conftest import Office


class Engine:
    """The engine's surroundings as the page sees them."""

    def __init__(self) -> None:
        self.said: list[Alarm] = []
        self.retired: list[str] = []
        self.states: dict[str, tuple[str, bool]] | None = {}
        self.listens = True

    def alarms(self) -> list[Alarm]:
        return self.said

    def run_states(self, flow_run_ids: Sequence[str]) -> dict[str, tuple[str, bool]] | None:
        return self.states

    def retire(self, flow_run_id: str) -> None:
        self.retired.append(flow_run_id)

    def deploy(self) -> bool:
        return self.listens


@pytest.fixture
def engine(office: Office) -> Engine:
    made = Engine()
    portal: Any = office.client.app.state.portal  # type: ignore[attr-defined]
    object.__setattr__(portal, "operations", made)
    return made


def request(office: Office) -> str:
    item = {"target": {"kind": "item", "code": "990700188000"}, "outcomes": ["change_guide"]}
    office.story.start(
        "agency_request",
        {"title": "压缩时限", "reason": "", "effective_on": None, "items": [{**item, "set": {"promised_days": 7}}]},
    )
    return office.story.change_id


def show(office: Office, change: str) -> dict[str, Any]:
    return change_show(office.story.db, change_id=change, now=office.story.now)


def act(office: Office, name: str, **fields: str) -> Any:
    csrf = office.csrf("/operators")
    return office.client.post(f"/operators/{name}", data={"csrf": csrf, **fields})


def test_the_page_shows_engines_sweep_outbox_and_changes_with_a_run_that_disagrees(
    office: Office, engine: Engine
) -> None:
    change = request(office)
    db, now = office.story.db, office.story.now
    started(db, change_id=change, attempt=1, flow_run_id="run-1")
    new_attempt(db, change_id=change, attempt=1, why="原运行已结束（Cancelled）", now=now)
    started(db, change_id=change, attempt=2, flow_run_id="run-2")
    engine_seen(db, engine_id="eng-1", pid=4711, host="server", now=now - timedelta(seconds=90))
    watched(db, now=now - timedelta(minutes=7))
    engine.states = {"run-2": ("Cancelled", True)}
    engine.said = [Alarm(code, {"name": "shixiang", "n": 3, "minutes": 2}) for code in ALARMS]
    office.sign_in()
    page = office.client.get("/operators").text
    for words in (
        "90 秒前有心跳", "不在", "7 分钟前", "压缩时限", "Cancelled", "与变更不符", "第 2 次", "原运行已结束（Cancelled）",
        "工作池“shixiang”已停用", "待发",
    ):  # fmt: skip
        assert words in page, words
    assert "工作池“shixiang”已停用" in office.client.get("/board").text
    engine.states = None
    assert "运行状态未知" in office.client.get("/operators").text


def test_a_wake_gives_the_engine_work_and_decides_nothing(office: Office, engine: Engine) -> None:
    change = request(office)
    office.sign_in()
    before = show(office, change)
    assert "已唤醒" in act(office, "wake", change=change).text
    assert office.woken[-1] == change
    after = show(office, change)
    assert after["sheets"] == before["sheets"] and after["attempt"] == before["attempt"]
    with office.story.db.reader() as connection:
        row = connection.execute(select(CHANGE.c.work_seq, CHANGE.c.consumed_seq).where(CHANGE.c.id == change)).one()
    assert row.work_seq > row.consumed_seq


def test_a_new_attempt_ends_the_old_run_and_says_who_wanted_it(office: Office, engine: Engine) -> None:
    change = request(office)
    started(office.story.db, change_id=change, attempt=1, flow_run_id="run-1")
    office.sign_in()
    assert "已另开运行" in act(office, "renew", change=change).text
    assert engine.retired == ["run-1"]
    shown = show(office, change)
    assert (shown["attempt"], shown["flow_run_id"]) == (2, None)
    assert "运维人员要求另开运行" in office.client.get("/operators").text


def test_a_notice_given_up_is_sent_again_as_a_repeat_and_a_delivered_one_is_not(office: Office, engine: Engine) -> None:
    request(office)
    office.sign_in()
    with office.story.db.writer() as connection:
        notice = connection.execute(select(NOTICE.c.id).where(NOTICE.c.kind == "draft_opened")).scalar_one()
        given_up = {"state": "undeliverable", "error": "550 no such user", "tries": 3}
        connection.execute(update(NOTICE).where(NOTICE.c.id == notice).values(**given_up))
    assert "550 no such user" in office.client.get("/operators").text
    assert "已重新发送" in act(office, "send_again", notice=notice).text
    office.deliver()
    claimed = next(one for one, _ in reversed(office.mails) if one.id == notice)
    assert claimed.repeat == 1
    assert act(office, "send_again", notice=notice).status_code == 409


def test_new_starts_are_paused_with_a_reason_and_open_changes_go_on(office: Office, engine: Engine) -> None:
    change = request(office)
    office.sign_in()
    assert act(office, "pause", reason=" ").status_code == 422
    assert "已停止发起新的变更" in act(office, "pause", reason="升级").text
    with pytest.raises(Exception) as refused:
        request(office)
    assert getattr(refused.value, "code", "") == "starts_paused"
    assert "升级" in str(refused.value)
    assert show(office, change)["state"] == "open"
    assert "已可以继续发起" in act(office, "go_on").text
    assert request(office) != change


def test_deployments_are_made_again_where_an_engine_listens(office: Office, engine: Engine) -> None:
    office.sign_in()
    assert "重新建立部署" in act(office, "deploy").text
    engine.listens = False
    assert "流程引擎目前不在" in act(office, "deploy").text
    assert act(office, "anything").status_code == 422


def test_nobody_but_a_coordinator_sees_or_does_anything_here(office: Office, engine: Engine) -> None:
    assert office.client.get("/operators", follow_redirects=False).status_code == 303
    assert office.client.post("/operators/deploy", data={}).status_code in (401, 403)
    office.sign_in("p-he@shili.example", "p-he")
    assert office.client.get("/operators").status_code == 403
    office.sign_in()
    assert office.client.post("/operators/deploy", data={"csrf": "wrong"}).status_code == 403
