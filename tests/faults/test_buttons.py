"""Prefect's buttons pressed on live cases, in every phase: the case is whole, goes on by itself, and its log says why."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments import nudge
from deployments.runs import Runs
from models import clock
from models.actions.steering import withdraw
from models.domain.deadlines import SHANGHAI
from tests.factories import LAW_CHANGE, item_content, put_in_catalogue
from tests.faults import buttons
from tests.faults.buttons import OF_A_RUN, press
from tests.faults.post import Post
from tests.faults.test_crashes import APPROVERS, CODES, RECOVERY, Case, parked, stop
from tests.system import System, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]
PHASES = ("scoping", "drafting", "review hot", "review suspended", "waiting for its publication")
#: Pressed in every phase; of the others each phase has its share, all of them with SHIXIANG_ALL_BUTTONS=1.
ALWAYS = ("Cancel", "Delete")
#: After these a run that slept comes to nothing more: the case must go on in a new one.
ENDING = {*ALWAYS, *(f"Change state: {name}" for name in ("Completed", "Failed", "Crashed", "Cancelled"))}
#: Items of a department of their own: several cases may publish at once.
OWN_ITEMS = 120


def in_phase(phase: str) -> list[str]:
    """The buttons pressed in a phase."""
    others = [button for button in OF_A_RUN if button not in ALWAYS]
    if os.environ.get("SHIXIANG_ALL_BUTTONS"):
        return [*ALWAYS, *others]
    return [*ALWAYS, *others[PHASES.index(phase) :: len(PHASES)]]


@pytest.fixture(scope="module")
def codes(post_and_system: tuple[Post, System]) -> Iterator[str]:
    """Codes of items nobody else has to do with."""
    system = post_and_system[1]
    made = [f"9907002{number:05d}" for number in range(OWN_ITEMS)]
    content = {
        f"itm-{code}": (f"own:{code}", item_content(code, f"按钮试验{code[-2:]}", "07", "d-trade", 4)) for code in made
    }
    with system.db.writer() as connection:
        put_in_catalogue(connection, "按钮试验目录", content, datetime.now(UTC))
    return iter(made)


class Live(Case):
    """A case in one of the phases, and what its people do next there."""

    def __init__(self, system: System, phase: str, title: str, code: str = CODES[0]) -> None:
        self.phase, self.title = phase, title
        if phase == "scoping":
            self.system, self.drafter = system, "p-wen"
            self.id = system.change("law_change", {**LAW_CHANGE, "title": title})
        elif phase == PHASES[-1]:
            tomorrow = (clock.now().astimezone(SHANGHAI) + timedelta(days=1)).date().isoformat()
            super().__init__(system, title, code, effective_on=tomorrow)
        else:
            super().__init__(system, title, code)

    def decide(self, turn: int) -> None:
        """What people decide on the way there, by turns."""
        decided = {"scoping": 0, "drafting": 0, PHASES[-1]: 3}.get(self.phase, 1)
        if turn >= decided:
            return
        if turn == 0:
            self.submit()
        elif turn == 1:
            self.system.says(self.id, "p-zhou", "pass")
        else:
            self.system.says(self.id, APPROVERS[self.drafter], "approve")

    def get_there(self) -> None:
        """Wait for the moment at which the button is pressed."""
        if self.phase == "scoping" or self.phase.startswith("review"):
            until(lambda: self.system.open_for(self.id, "p-zhou"), RECOVERY, "the scope or the review is asked")
        elif self.phase == PHASES[-1]:
            until(lambda: self.adjustment == "scheduled", RECOVERY, "it waits for its day")
        if self.phase == "review hot":
            until(self.is_awake, RECOVERY, "the run is awake")
        else:
            self.sleeps()

    def is_awake(self) -> bool:
        """Whether its leg is at work or waits hot; one that sleeps already is waked."""
        self.system.runs.wake(self.id)
        return self.system.run_state(self.id) == "RUNNING"

    def next_decision(self) -> None:
        """What is done next: by a person, or by the clock."""
        if self.phase == "scoping":
            self.system.says(self.id, "p-zhou", "confirm")
        elif self.phase == "drafting":
            self.submit()
        elif self.phase == PHASES[-1]:
            (self.system.home / "clock").write_text(str(2 * 86400), encoding="utf-8")
        else:
            self.system.says(self.id, "p-zhou", "pass")

    @property
    def next_person(self) -> str | None:
        """Who is asked after that; nobody where it is published."""
        return {"scoping": "p-he", "drafting": "p-zhou", PHASES[-1]: None}.get(self.phase, APPROVERS[self.drafter])

    def has_gone_on(self) -> bool:
        """Whether the step after the decision is there."""
        if self.next_person is None:
            return bool(self.adjustment == "published")
        return bool(self.system.open_for(self.id, self.next_person))

    def goes_on(self) -> None:
        """The one after him has his task and his mail; everybody so far was asked once, every step was opened once."""
        until(self.has_gone_on, RECOVERY, f"the next step ({self.phase}, {self.title})")
        kind = {"scoping": "draft_opened", "drafting": "review_opened", PHASES[-1]: "published"}
        wanted = kind.get(self.phase, "approval_opened")
        until(lambda: self.system.mails(self.id, wanted), RECOVERY, f"its mail ({self.phase}, {self.title})")
        self.nobody_was_asked_twice()

    def nobody_was_asked_twice(self) -> None:
        shown = self.system.show(self.id)
        given = [d["assignment"] for d in shown["decisions"]]
        assert len(given) == len(set(given)), (self.title, given)
        for sheet in shown["sheets"]:
            steps = [(step["stage"], step["round"]) for step in sheet["steps"]]
            assert len(steps) == len(set(steps)), (self.title, steps)
        for kind in {mail.kind for mail in self.system.mails(self.id)}:
            assert nobody_was_told_twice(self.system, self, kind), (self.title, kind)

    def says_why_it_goes_on_in_a_new_run(self) -> None:
        """In its log, on the page Prefect holds at the new run, and on the coordinator's page."""
        why = [line["data"]["reason"] for line in self.system.log(self.id) if line["verb"] == "续办"]
        assert why and all("原运行" in reason for reason in why), (self.title, why)
        self.prefect_shows(why[-1])
        if self.system.show(self.id)["state"] == "open":
            row = self.system.coordinators_page("/operators").split(f'href="/changes/{self.id}"')[1].split("</tr>")[0]
            assert all(reason in row for reason in why), (self.title, why, row)

    def prefect_shows(self, words: str) -> None:
        """By the first leg of the new run, or, where that was cut before it showed anything, by the next."""
        until(lambda: words in self.system.shown_at_the_run(self.id), RECOVERY, f"Prefect shows {words} ({self.title})")

    @property
    def adjustment(self) -> str:
        """The state of its one item."""
        return str(self.system.show(self.id)["adjustments"][0]["state"])

    @property
    def run(self) -> str | None:
        found: str | None = self.system.show(self.id)["flow_run_id"]
        return found

    def over(self) -> None:
        """Nothing more comes of it; its tasks disturb no other test."""
        if self.phase == PHASES[-1]:
            self.is_whole()
            return
        withdraw(self.system.db, change_id=self.id, by="p-zhou", reason="试验结束", now=clock.now())
        self.system.runs.wake(self.id)


def nobody_was_told_twice(system: System, case: Live, kind: str) -> bool:
    """Whether each who was to be told was told once; of several steps, once of each."""
    with system.db.reader() as connection:
        found = connection.exec_driver_sql(f"select id, step_id from notice where change_id = '{case.id}'")
        steps = {str(row[0]): row[1] for row in found}
    told = [(steps[mail.notice], mail.to) for mail in system.mails(case.id, kind)]
    return 0 < len(told) == len(set(told))


@contextmanager
def clock_put_back(system: System) -> Iterator[None]:
    """Whatever the clock was set to meanwhile."""
    try:
        yield
    finally:
        (system.home / "clock").write_text("0", encoding="utf-8")


def on_the_way(cases: Sequence[Live]) -> None:
    """What people decide before the moment, of all cases by turns: they wait for each other's legs, not one by one."""
    for turn in range(3):
        for case in cases:
            case.decide(turn)


def one_in_each_phase(system: System, codes: Iterator[str], title: str) -> list[Live]:
    """A case in every phase at once; the one whose run is awake is looked at last."""
    cases = [Live(system, phase, f"{title} {phase}", next(codes)) for phase in PHASES]
    cases.sort(key=lambda case: case.phase == "review hot")
    on_the_way(cases)
    for case in cases:
        case.get_there()
    return cases


@pytest.mark.parametrize("phase", PHASES)
def test_every_button_of_a_run_leaves_the_case_whole_and_it_goes_on(
    system: System, codes: Iterator[str], phase: str
) -> None:
    cases = {button: Live(system, phase, f"{phase} {button}", next(codes)) for button in in_phase(phase)}
    on_the_way([*cases.values()])
    for button, case in cases.items():
        case.get_there()
        press(button, system, case.run)
    with clock_put_back(system):
        for case in cases.values():
            case.next_decision()
        for case in cases.values():
            case.goes_on()
    for button, case in cases.items():
        attempt = system.show(case.id)["attempt"]
        assert attempt > 1 or button not in ENDING or phase == "review hot", (button, attempt)
        if attempt > 1:
            case.says_why_it_goes_on_in_a_new_run()
        case.over()


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


def alarm_of(system: System, path: str, *words: str) -> str:
    """The warning with these words on a page of the coordinator."""
    text = ""

    def there() -> bool:
        nonlocal text
        text = system.coordinators_page(path)
        return all(word in text for word in words)

    until(there, RECOVERY, f"{words} on {path}")
    return text


PAUSED = "Prefect 中的{what}“{name}”已停用：意见照常记录，启用后自动继续。"


@pytest.mark.parametrize(("what", "name"), [("工作池", "shixiang"), ("工作队列", "changes")])
def test_a_paused_pool_or_queue_holds_every_phase_and_the_pages_say_so_and_all_goes_on_afterwards(
    system: System, codes: Iterator[str], what: str, name: str
) -> None:
    def pause(paused: bool) -> None:
        if what == "工作池":
            buttons.pause_pool(system, paused)
        else:
            buttons.pause_queue(system, name, paused)

    system.coordinators_page("/operators")  # the portal is there, and so is who reads it
    cases = one_in_each_phase(system, codes, what)
    sentence = PAUSED.format(what=what, name=name)
    assert sentence not in system.coordinators_page("/operators")
    with clock_put_back(system):
        pause(True)
        try:
            for case in sorted(cases, key=lambda case: case.phase != "review hot"):
                case.next_decision()
            for path in ("/operators", "/board"):
                alarm_of(system, path, sentence)
            late = Runs(system.db, system.settings, late_seconds=3)
            until(lambda: any(alarm.code == "waiting" for alarm in late.alarms()), RECOVERY, "runs wait to be begun")
            # A run that is awake needs nobody to begin it.
            assert [case.phase for case in cases if case.has_gone_on()] in ([], ["review hot"])
        finally:
            pause(False)
        for case in cases:
            case.goes_on()
    until(lambda: sentence not in system.coordinators_page("/operators"), RECOVERY, "the sentence goes")
    for case in cases:
        case.over()


def test_a_paused_schedule_of_the_watch_is_named_and_stays_off_until_it_is_switched_on(system: System) -> None:
    case = Live(system, "drafting", "定时暂停")
    case.get_there()
    buttons.switch_schedule(system, "watch/watch", False)
    try:
        nudge.nudge(system.home, nudge.DEPLOY)  # deployments are made again: what was switched off stays off
        case.submit()
        case.goes_on()
        for path in ("/operators", "/board"):
            alarm_of(system, path, "Prefect 中巡检的定时已停用（“watch/watch”）")
        assert not buttons.schedule_is_active(system, "watch/watch")
        assert Runs(system.db, system.settings).alarms() == [("watch", {"name": "watch/watch"})]
    finally:
        buttons.switch_schedule(system, "watch/watch", True)
    until(lambda: Runs(system.db, system.settings).alarms() == [], RECOVERY, "nothing is amiss")
    case.over()


def test_a_paused_deployment_hinders_no_case_in_any_phase_nor_one_that_begins(
    system: System, codes: Iterator[str]
) -> None:
    cases = one_in_each_phase(system, codes, "部署暂停")
    with clock_put_back(system):
        for flow in ("agency_request/change", "law_change/change"):
            buttons.pause_deployment(system, flow, True)
        try:
            cases.append(Live(system, "drafting", "部署暂停时发起", next(codes)))
            for case in sorted(cases, key=lambda case: case.phase != "review hot"):
                case.next_decision()
            for case in cases:
                case.goes_on()
        finally:
            for flow in ("agency_request/change", "law_change/change"):
                buttons.pause_deployment(system, flow, False)
    for case in cases:
        case.over()


@pytest.mark.parametrize("what", ["deployment", "flow"])
def test_a_deleted_deployment_or_flow_is_made_again_and_its_cases_go_on(system: System, what: str) -> None:
    cases = [Live(system, phase, f"删除 {what} {phase}") for phase in ("drafting", "review suspended")]
    on_the_way(cases)
    for case in cases:
        case.get_there()
    if what == "flow":
        buttons.delete_flow(system, "agency_request")
    else:
        buttons.delete_deployment(system, "agency_request/change")
    for case in cases:
        case.next_decision()
    for case in cases:
        case.goes_on()
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


@pytest.mark.parametrize("decided", [False, True], ids=["pressed", "pressed and decided"])
def test_a_resume_between_our_mark_and_the_suspend_that_is_not_stored_yet_loses_nothing(
    system: System, decided: bool
) -> None:
    case = Live(system, "drafting", f"过早恢复 {decided}")
    until(lambda: system.open_for(case.id, case.drafter), RECOVERY)
    goes_on = too_early(system, case)
    try:
        if decided:
            case.submit()
            assert parked(system, case.id) and system.run_state(case.id) == "RUNNING"
    finally:
        goes_on()
    if not decided:
        case.sleeps()
        case.submit()
    case.goes_on()
    case.over()


def too_early(system: System, case: Live) -> Callable[[], None]:
    """Press Resume when the change is parked and its run is not suspended yet. The engine stands still then, until what
    comes back is called; where the suspend was faster, the next leg is tried.
    """
    for _ in range(20):
        until(lambda: parked(system, case.id), RECOVERY, "the change is parked", pause=0.0005)
        goes_on = stop(system, "engine")
        answer = system.read(f"flow_runs/{case.run}/resume", {})
        if answer["status"] == "ABORT" and system.run_state(case.id) == "RUNNING":
            return goes_on
        goes_on()
        system.runs.wake(case.id)
        until(lambda: not parked(system, case.id), RECOVERY, "the next leg has begun")
    raise AssertionError("the suspend was always faster")


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
    case.goes_on()
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
    case.goes_on()
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
