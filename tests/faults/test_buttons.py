"""Prefect's buttons pressed on live cases, in every phase: the case is whole, goes on by itself, and its log says why."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from deployments import nudge
from deployments.runs import Runs
from models import clock
from models.actions.steering import withdraw
from models.domain.deadlines import SHANGHAI
from tests.factories import LAW_CHANGE
from tests.faults import buttons
from tests.faults.buttons import OF_A_RUN, press
from tests.faults.test_crashes import CODES, RECOVERY, Case
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
PHASES = ("scoping", "drafting", "review hot", "review suspended")
#: Pressed in every phase; of the others each phase has its share, all of them with SHIXIANG_ALL_BUTTONS=1.
ALWAYS = ("Cancel", "Delete")


def in_phase(phase: str) -> list[str]:
    """The buttons pressed in a phase."""
    others = [button for button in OF_A_RUN if button not in ALWAYS]
    if os.environ.get("SHIXIANG_ALL_BUTTONS"):
        return [*ALWAYS, *others]
    return [*ALWAYS, *others[PHASES.index(phase) :: len(PHASES)]]


class Live(Case):
    """A case in one of the phases, and what its people do next there."""

    def __init__(self, system: System, phase: str, title: str) -> None:
        self.phase = phase
        if phase == "scoping":
            self.system, self.drafter = system, "p-wen"
            self.id = system.change("law_change", {**LAW_CHANGE, "title": title})
        else:
            super().__init__(system, title, CODES[len(title) % len(CODES)])

    def get_there(self) -> None:
        """To the moment at which the button is pressed."""
        if self.phase == "scoping":
            until(lambda: self.system.open_for(self.id, "p-zhou"), RECOVERY, "the scope is asked")
            self.sleeps()
        elif self.phase == "drafting":
            self.sleeps()
        else:
            self.submit()
            until(lambda: self.system.open_for(self.id, "p-zhou"), RECOVERY, "the reviewer is asked")
            if self.phase == "review suspended":
                self.sleeps()

    def next_decision(self) -> None:
        if self.phase == "scoping":
            self.system.says(self.id, "p-zhou", "confirm")
        elif self.phase == "drafting":
            self.submit()
        else:
            self.system.says(self.id, "p-zhou", "pass")

    def next_is_asked(self) -> None:
        """The one after him has his task and his mail."""
        person = {"scoping": "p-he", "drafting": "p-zhou"}.get(self.phase)
        kind = {"scoping": "draft_opened", "drafting": "review_opened"}.get(self.phase, "approval_opened")
        who = person or {"p-wen": "p-jiang", "p-he": "p-shen"}[self.drafter]
        until(lambda: self.system.open_for(self.id, who), RECOVERY, f"the next step ({self.phase}, {self.title})")
        until(lambda: self.system.mails(self.id, kind), RECOVERY, f"its mail ({self.phase}, {self.title})")

    @property
    def title(self) -> str:
        return str(self.system.show(self.id)["title"])

    @property
    def run(self) -> str | None:
        found: str | None = self.system.show(self.id)["flow_run_id"]
        return found

    def over(self) -> None:
        """Nothing more comes of it; its tasks disturb no other test."""
        withdraw(self.system.db, change_id=self.id, by="p-zhou", reason="试验结束", now=clock.now())
        self.system.runs.wake(self.id)


def nobody_was_told_twice(system: System, case: Live, kind: str) -> bool:
    """Whether each who was to be told was told once."""
    told = [mail.to for mail in system.mails(case.id, kind)]
    return 0 < len(told) == len(set(told))


@pytest.mark.parametrize("phase", PHASES)
def test_every_button_of_a_run_leaves_the_case_whole_and_it_goes_on(system: System, phase: str) -> None:
    cases = {button: Live(system, phase, f"{phase} {button}") for button in in_phase(phase)}
    for button, case in cases.items():
        case.get_there()
        press(button, system, case.run)
    for case in cases.values():
        case.next_decision()
    for button, case in cases.items():
        case.next_is_asked()
        shown = system.show(case.id)
        given = [d["assignment"] for d in shown["decisions"]]
        assert len(given) == len(set(given))
        steps = [(s["stage"], s["round"]) for sheet in shown["sheets"] for s in sheet["steps"]]
        assert len({(sheet["id"], *step) for sheet in shown["sheets"] for step in steps}) >= len(set(steps))
        if shown["attempt"] > 1:
            why = [line["data"]["reason"] for line in system.log(case.id) if line["verb"] == "续办"]
            assert why and all("原运行" in reason for reason in why), (button, why)
            assert "续办" in system.page(case.id), button
    for case in cases.values():
        case.over()


def test_a_case_that_waits_for_its_publication_is_published_whatever_was_pressed(system: System) -> None:
    tomorrow = (clock.now().astimezone(SHANGHAI) + timedelta(days=1)).date().isoformat()
    file = system.home / "clock"
    chosen = ("Cancel", "Delete", "Retry", "Change state: Completed")
    cases = {}
    for number, button in enumerate(chosen):
        cases[button] = case = Case(system, f"待发布 {button}", CODES[number], effective_on=tomorrow)
        case.submit()
        system.says(case.id, "p-zhou", "pass")
        system.says(case.id, {"p-wen": "p-jiang", "p-he": "p-shen"}[case.drafter], "approve")
    for button, case in cases.items():
        until(lambda c=case: system.show(c.id)["adjustments"][0]["state"] == "scheduled", RECOVERY, "scheduled")  # type: ignore[misc]
        case.sleeps()
        press(button, system, system.show(case.id)["flow_run_id"])
    try:
        file.write_text(str(2 * 86400), encoding="utf-8")
        for case in cases.values():
            until(lambda c=case: system.show(c.id)["state"] == "closed", RECOVERY, "published")  # type: ignore[misc]
    finally:
        file.write_text("0", encoding="utf-8")
    for case in cases.values():
        case.is_whole()


def test_a_cancelled_or_deleted_run_of_a_case_that_waits_is_replaced_soon_without_any_decision(system: System) -> None:
    cases = [Live(system, "drafting", f"无人提交 {button}") for button in ("Cancel", "Delete")]
    for case, button in zip(cases, ("Cancel", "Delete"), strict=True):
        case.sleeps()
        press(button, system, case.run)
    for case in cases:
        until(lambda c=case: system.show(c.id)["attempt"] == 2, RECOVERY, "a new attempt")  # type: ignore[misc]
        case.sleeps()
        assert nobody_was_told_twice(system, case, "draft_opened")
        case.over()


def test_a_paused_pool_holds_everything_and_says_so_and_all_goes_on_afterwards(system: System) -> None:
    case = Live(system, "drafting", "工作池暂停")
    case.get_there()
    buttons.pause_pool(system, True)
    try:
        case.submit()
        time.sleep(7)
        assert not system.open_for(case.id, "p-zhou")
        alarms = Runs(system.db, system.settings, late_seconds=3).alarms()
        assert ("pool", {"name": "shixiang"}) in alarms
        assert [alarm.values["name"] for alarm in alarms if alarm.code == "waiting"] == ["shixiang"]
    finally:
        buttons.pause_pool(system, False)
    case.next_is_asked()
    case.over()


def test_a_paused_queue_and_a_paused_schedule_are_named_and_last_until_they_are_switched_on(system: System) -> None:
    case = Live(system, "drafting", "队列暂停")
    case.get_there()
    buttons.pause_queue(system, "changes", True)
    buttons.switch_schedule(system, "watch/watch", False)
    try:
        case.submit()
        nudge.nudge(system.home, nudge.DEPLOY)  # deployments are made again: what was switched off stays off
        time.sleep(4)
        assert not buttons.schedule_is_active(system, "watch/watch")
        alarms = Runs(system.db, system.settings).alarms()
        assert alarms == [("queue", {"name": "changes"}), ("watch", {"name": "watch/watch"})]
    finally:
        buttons.pause_queue(system, "changes", False)
        buttons.switch_schedule(system, "watch/watch", True)
    case.next_is_asked()
    assert Runs(system.db, system.settings).alarms() == []
    case.over()


def test_a_paused_deployment_hinders_no_open_case(system: System) -> None:
    case = Live(system, "drafting", "部署暂停")
    case.get_there()
    buttons.pause_deployment(system, "agency_request/change", True)
    try:
        case.submit()
        case.next_is_asked()
    finally:
        buttons.pause_deployment(system, "agency_request/change", False)
    case.over()


@pytest.mark.parametrize("what", ["deployment", "flow"])
def test_a_deleted_deployment_or_flow_is_made_again_and_its_cases_go_on(system: System, what: str) -> None:
    cases = [Live(system, phase, f"删除 {what} {phase}") for phase in ("drafting", "review suspended")]
    for case in cases:
        case.get_there()
    if what == "flow":
        buttons.delete_flow(system, "agency_request")
    else:
        buttons.delete_deployment(system, "agency_request/change")
    for case in cases:
        case.next_decision()
    for case in cases:
        case.next_is_asked()
        case.over()


def test_a_copy_of_a_run_changes_nothing_and_the_older_one_ends(system: System) -> None:
    case = Live(system, "drafting", "复制运行")
    case.get_there()
    first = case.run
    assert first is not None
    press("Copy to new run", system, first)
    until(lambda: case.run != first, RECOVERY, "the copy has taken over")
    case.sleeps()
    assert nobody_was_told_twice(system, case, "draft_opened")
    case.submit()
    case.ends()


def test_random_pressing_while_people_decide(system: System) -> None:
    seed = 20261126
    chosen, ended = random.Random(seed), threading.Event()
    cases = [Case(system, f"乱按 {number}", code) for number, code in enumerate(CODES)]
    pressed: list[str] = []

    def press_on() -> None:
        while not ended.wait(chosen.uniform(0.05, 0.3)):
            case, button = chosen.choice(cases), chosen.choice(list(OF_A_RUN))
            shown = system.show(case.id)
            if shown["state"] == "open":
                press(button, system, shown["flow_run_id"])
                pressed.append(button)

    presser = threading.Thread(target=press_on, name="presser")
    presser.start()
    try:
        for case in cases:
            case.submit()
        until(lambda: len(pressed) >= 5, RECOVERY, "buttons were pressed")
        for case in cases:
            system.says(case.id, "p-zhou", "pass")
        until(lambda: len(pressed) >= 10, RECOVERY, "more buttons were pressed")
        for case in cases:
            system.says(case.id, {"p-wen": "p-jiang", "p-he": "p-shen"}[case.drafter], "approve")
    finally:
        ended.set()
        presser.join(60)
    for case in cases:
        until(lambda c=case: system.show(c.id)["state"] == "closed", RECOVERY, "the change is closed")  # type: ignore[misc]
        case.is_whole()
    attempts = [system.show(case.id)["attempt"] for case in cases]
    print(f"seed {seed}: {len(pressed)} buttons pressed, attempts {attempts}")


# --- resume and suspend, to the millisecond ------------------------------------------------------------------------


def test_a_resume_before_the_suspend_is_stored_loses_nothing(system: System) -> None:
    case = Live(system, "drafting", "过早恢复")
    until(lambda: system.open_for(case.id, case.drafter), RECOVERY)
    run = case.run
    for _ in range(20):  # not until it sleeps: a press may come just then and wake it once more
        press("Resume", system, run)
        if system.run_state(case.id) == "PAUSED":
            break
    case.submit()
    case.next_is_asked()
    assert nobody_was_told_twice(system, case, "draft_opened")
    case.over()


@pytest.mark.parametrize("milliseconds", [0, 50, 500, 950])
def test_a_run_resumed_just_after_its_suspend_wakes_and_sleeps_again(system: System, milliseconds: int) -> None:
    case = Live(system, "drafting", f"恢复 {milliseconds}")
    run = until(lambda: case.run, RECOVERY)
    assert run is not None
    while _state(system, run) != "PAUSED":
        time.sleep(0.005)
    time.sleep(milliseconds / 1000)
    before = _leg(system, case.id)
    press("Resume", system, run)
    until(lambda: _leg(system, case.id) > before, RECOVERY, "another leg")
    case.sleeps()
    case.submit()
    case.next_is_asked()
    assert nobody_was_told_twice(system, case, "draft_opened")
    case.over()


def test_twenty_resumes_at_once_are_one(system: System) -> None:
    case = Live(system, "drafting", "二十次恢复")
    case.get_there()
    run = case.run
    threads = [threading.Thread(target=press, args=("Resume", system, run)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    case.submit()
    case.next_is_asked()
    case.sleeps()
    assert nobody_was_told_twice(system, case, "draft_opened")
    assert nobody_was_told_twice(system, case, "review_opened")
    case.over()


def _state(system: System, run: str) -> str:
    found: Any = system.prefect.state(run)
    return "" if found is None else str(found.type)


def _leg(system: System, change: str) -> int:
    with system.db.reader() as connection:
        return int(connection.exec_driver_sql(f"select leg_no from change where id = '{change}'").scalar() or 0)
