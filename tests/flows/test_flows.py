"""Flows on a real server, in the real engine process: start, suspend, resume, publish."""

from __future__ import annotations

import time
from typing import Any

import pytest

from deployments.deploy import form
from models import clock
from models.actions.engine import new_attempt, wake_for
from models.actions.views import change_list
from models.domain.requests import REQUESTS
from tests.factories import LAW_CHANGE
from tests.system import System, until

pytestmark = pytest.mark.server


def guide(code: str, days: int, title: str = "压缩承诺办结时限") -> dict[str, Any]:
    return {
        "title": title,
        "reason": "优化流程",
        "effective_on": None,
        "items": [
            {"target": {"kind": "item", "code": code}, "outcomes": ["change_guide"], "set": {"promised_days": days}}
        ],
    }


def task_runs(system: System, run: str) -> list[str]:
    found = system.read("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return [task["name"] for task in found]


def test_a_request_runs_from_its_start_to_its_publication_through_suspend_and_resume(system: System) -> None:
    change = system.change("agency_request", guide("990700188000", 7))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    system.says(change, "p-wen", "submit")
    system.says(change, "p-zhou", "pass")
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps again")
    system.says(change, "p-jiang", "approve")
    until(lambda: system.run_state(change) == "COMPLETED", 30, "the run is over")
    shown = system.show(change)
    assert (shown["state"], shown["adjustments"][0]["state"]) == ("closed", "published")
    assert {mail.kind for mail in until(lambda: system.mails(change, "published") and system.mails(change))} >= {
        "draft_opened",
        "review_opened",
        "approval_opened",
        "published",
    }


def test_the_run_shows_its_name_its_tags_its_status_page_and_few_task_runs(system: System) -> None:
    change = system.change("law_change", {**LAW_CHANGE, "title": "条例修订（看板）"})
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    found = system.read(f"flow_runs/{run}")
    assert found["name"] == "条例修订（看板） · 范围待确认"
    assert sorted(found["tags"]) == ["law_change", "环节:范围"]
    system.says(change, "p-zhou", "confirm")
    until(lambda: "起草 0/3" in system.read(f"flow_runs/{run}")["name"], 20, "the name follows")
    pages = system.read("artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert len(pages) == 1
    assert pages[0]["key"] == f"change-{change.replace('_', '-').lower()}-status"
    assert pages[0]["description"].startswith("在办：等待 ")
    assert "请在门户中办理" in pages[0]["data"]
    assert (
        set(task_runs(system, run))
        == {
            "范围 · 4 项",
            "起草 · 市市场监管局 · 2 项",
            "起草 · 市商务局 · 1 项",
        }
        or len(task_runs(system, run)) <= 12
    )


def test_two_decisions_at_the_moment_of_parking_are_both_taken_up(system: System) -> None:
    change = system.change("agency_request", guide("990100342001", 9))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    system.says(change, "p-he", "submit")
    until(lambda: system.open_for(change, "p-zhou"), 20)
    time.sleep(0.9)  # the end of the hot window
    system.says(change, "p-zhou", "pass")
    until(lambda: system.open_for(change, "p-shen"), 20, "the approver is asked")
    time.sleep(1.05)
    system.says(change, "p-shen", "approve")
    until(lambda: system.run_state(change) == "COMPLETED", 30, "the run is over")


def test_a_wake_that_is_lost_is_made_up_for_by_the_pulse(system: System) -> None:
    change = system.change("agency_request", guide("990100342002", 6))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    system.says(change, "p-he", "submit", wake=False)
    until(lambda: system.open_for(change, "p-zhou"), 20, "the next person is asked although nobody woke the run")


def test_a_resume_pressed_by_an_operator_finds_nothing_and_sends_nothing(system: System) -> None:
    change = system.change("agency_request", guide("990100356000", 5))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    before = len(system.mails(change))
    for _ in range(2):
        system.read(f"flow_runs/{run}/resume", {})
        until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps again")
    assert len(system.mails(change)) == before


def test_a_leg_that_finds_nothing_puts_right_what_a_leg_before_it_could_not_show(system: System) -> None:
    change = system.change("agency_request", guide("990100356000", 6))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    name = system.read(f"flow_runs/{run}")["name"]
    system.read(f"flow_runs/{run}", {"name": "shown-no-more"}, method="PATCH")
    system.read(f"flow_runs/{run}/resume", {})
    until(lambda: system.read(f"flow_runs/{run}")["name"] == name, 30, "the run has its name again")
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps again")


def test_a_cancelled_run_is_followed_by_a_new_attempt_and_no_decision_is_lost(system: System) -> None:
    change = system.change("agency_request", guide("990700188000", 8, "再压缩时限"))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    system.read(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLED", "name": "Cancelled"}, "force": True})
    system.says(change, "p-wen", "submit")
    until(lambda: system.open_for(change, "p-zhou"), 30, "the next person is asked")
    shown = system.show(change)
    assert shown["attempt"] == 2
    assert shown["flow_run_id"] != run


def test_a_run_from_prefects_own_form_registers_its_change_once_under_its_run(system: System) -> None:
    deployment = system.read("deployments/name/agency_request/change")
    body = {"parameters": {"change": guide("990100342002", 4, "从表单发起")}}
    run = system.read(f"deployments/{deployment['id']}/create_flow_run", body)["id"]
    until(lambda: (s := system.prefect.state(run)) is not None and s.type in {"PAUSED", "FAILED"}, 30, "it sleeps")
    assert system.read(f"flow_runs/{run}")["state"]["type"] == "PAUSED"
    mine = [c for c in change_list(system.db, now=clock.now()) if c["flow_run_id"] == run]
    assert [(c["title"], c["starter"]) for c in mine] == [("从表单发起", None)]
    assert mine[0]["steps"][0]["stage"] == "scope"


def test_a_bad_request_in_prefects_form_fails_with_a_sentence(system: System) -> None:
    deployment = system.read("deployments/name/law_change/change")
    body = {"parameters": {"change": {**LAW_CHANGE, "law": "没有的条例"}}, "enforce_parameter_schema": False}
    run = system.read(f"deployments/{deployment['id']}/create_flow_run", body)["id"]
    until(lambda: (s := system.prefect.state(run)) is not None and s.final, 30, "it ends")
    state = system.read(f"flow_runs/{run}")["state"]
    assert state["type"] == "FAILED"
    assert "法规库中没有《没有的条例》" in state["message"]


def test_the_run_form_asks_for_the_change_alone(system: System) -> None:
    for name in REQUESTS:
        schema = system.read(f"deployments/name/{name}/change")["parameter_openapi_schema"]
        assert schema["required"] == ["change"]
        assert list(schema["properties"]) == ["change"]
        assert schema == form(REQUESTS[name], schema["properties"]["change"]["description"])


def test_a_new_attempt_ends_the_older_run_with_a_sentence(system: System) -> None:
    change = system.change("agency_request", guide("990100356000", 3, "新的运行"))
    until(lambda: system.run_state(change) == "PAUSED", 30, "the run sleeps")
    run = system.show(change)["flow_run_id"]
    new_attempt(system.db, change_id=change, attempt=1, why="试验", now=clock.now())
    until(lambda: wake_for(system.db, change_id=change).flow_run_id not in (None, run), 30, "a new run")
    system.read(f"flow_runs/{run}/resume", {})
    until(lambda: (s := system.prefect.state(run)) is not None and s.final, 30, "the old run ends")
    assert "已由新的运行接替" in system.read(f"flow_runs/{run}")["state"]["message"]
