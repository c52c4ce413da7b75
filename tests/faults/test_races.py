"""Two acts at the same moment, by two processes: one effect, the same end whatever the order, a friendly answer to the loser.

Each pair is run at every seam of either act (`tests/faults/seams.py`): the one stops there, the other runs, then both
end. The outcome must be that of one act after the other,
or of one whole between two transactions of the other. CI takes a few seams of each pair; `SHIXIANG_ALL_SEAMS=1` all.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import and_, select, text, update

from models.actions.signing import ask_sign_in
from models.actions.starting import register
from models.store.catalogue import VERSION
from models.store.change import ADJUSTMENT, ASSIGNMENT, CHANGE, PERSON, STEP, rows
from models.store.database import Database
from models.store.migrate import current, head, migrate
from models.store.office import save_workdays
from models.store.outbox import LINK
from tests.conftest import emptied
from tests.factories import LAW, LAW_CHANGE, NEW, small_office
from tests.factories import PEOPLE as EVERYBODY
from tests.faults import acts
from tests.faults.seams import Actor, HastyDatabase, Outcome, Task, alone, race, race_of_many
from tests.faults.standing import Kept, faults, keep, put_back, settle, told
from tests.stories.driver import START, Story
from tests.stories.test_first_month import NOVEMBER, YEAR_2027

#: So many commits of each act in CI.
A_FEW = 3
ALL_SEAMS = os.environ.get("SHIXIANG_ALL_SEAMS", "") == "1"
#: How long the crowd does what it likes, and what may come of it.
CROWD_SECONDS = float(os.environ.get("SHIXIANG_CROWD_SECONDS", "6"))
FRIENDLY = {
    "ok", "nothing open", "parked", "goes on", "closed", "withdrawn", "already_decided", "revision_changed", "superseded",
    "run_stale", "change_closed", "four_eyes", "nothing_to_decide",
}  # fmt: skip
TRADE, OTHER, THIRD = "990700188000", "990100342001", "990100342002"


# --- the office before the race ------------------------------------------------------------------------------------


def asking(code: str, outcome: str, **values: Any) -> dict[str, Any]:
    """A request about one item."""
    return {
        "title": "更正事项",
        "reason": "与条例用语一致",
        "effective_on": None,
        "items": [{"target": {"kind": "item", "code": code}, "outcomes": [outcome], "set": values}],
    }


def adding(code: str | None) -> dict[str, Any]:
    """A request for a new item."""
    values = {
        "name": "集体用餐配送备案",
        "type": "10",
        "department": "d-trade",
        "organs": ["d-trade"],
        "bases": [{"law": LAW, "edition": NEW.isoformat(), "article": 2}],
        **({"code": code} if code else {}),
    }
    items = [{"target": None, "outcomes": ["add"], "set": values}]
    return {"title": "新增事项", "reason": "条例新设", "effective_on": None, "items": items}


@dataclass
class Before:
    """What stands before a race: changes, the clock, and the two acts."""

    db: Database
    changes: list[Story] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    def change(self, params: dict[str, Any], trigger: str = "agency_request") -> Story:
        """Another change, started by the coordinator."""
        story = Story(self.db, now=self.at)
        story.start(trigger, params)
        self.changes.append(story)
        return story

    @property
    def at(self) -> Any:
        """A moment after everything so far."""
        return max((story.now for story in self.changes), default=START) + timedelta(minutes=1)

    def acts(self, *tasks: Task) -> None:
        """The two acts of the race."""
        self.tasks += tasks

    def says(
        self,
        story: Story,
        person: str,
        verdict: str,
        request: str,
        *,
        only: str | None = None,
        comment: str = "",
        lines: dict[str, dict[str, Any]] | None = None,
        late: int = 0,
    ) -> Task:
        """A person decides on the page he has open now."""
        seen = [a for a in story.open_for(person) if only in (None, a["stage"])]
        assert seen, f"nothing lies open for {person}"
        decisions = [
            {"assignment": a["id"], "revision": a["revision"], "verdict": verdict, "comment": comment,
             "adjustments": lines or {}}
            for a in seen
        ]  # fmt: skip
        body = {"request_id": request, "decisions": decisions}
        at = self.at + timedelta(seconds=late)
        return Task(acts.decide, {"person": person, "change": story.change_id, "body": body, "at": at})

    def leg(self, story: Story) -> Task:
        return Task(acts.leg, {"change": story.change_id, "at": self.at})

    def pulse(self) -> Task:
        return Task(acts.pulse, {"at": self.at})

    def watch(self, *, lost: bool = False) -> Task:
        return Task(acts.watch, {"at": self.at, "lost": lost})

    def step(self, story: Story, stage: str) -> str:
        with self.db.reader() as connection:
            where = and_(STEP.c.change_id == story.change_id, STEP.c.stage == stage, STEP.c.state == "open")
            return str(rows(connection, select(STEP).where(where))[0]["id"])

    def assignment(self, story: Story, person: str) -> str:
        with self.db.reader() as connection:
            where = and_(
                ASSIGNMENT.c.change_id == story.change_id,
                ASSIGNMENT.c.person_id == person,
                ASSIGNMENT.c.state == "open",
            )
            return str(rows(connection, select(ASSIGNMENT).where(where))[0]["id"])

    def lines(self, story: Story) -> list[str]:
        with self.db.reader() as connection:
            where = ADJUSTMENT.c.change_id == story.change_id
            return [row["id"] for row in rows(connection, select(ADJUSTMENT).where(where).order_by(ADJUSTMENT.c.ord))]


def drafting(before: Before, code: str = TRADE) -> Story:
    """A change with one item before its drafters."""
    return before.change(asking(code, "change_basis"))


def in_review(before: Before, code: str = TRADE, person: str = "p-wen") -> Story:
    """A change before legality and list reviewers, side by side."""
    story = drafting(before, code)
    story.says(person, "submit")
    story.says("p-zhou", "pass", only="form")
    return story


def two_lines(before: Before) -> Story:
    """Two items of one department before its two drafters."""
    items = [asking(code, "change_guide")["items"][0] for code in (OTHER, THIRD)]
    return before.change({"title": "压缩时限", "reason": "", "effective_on": None, "items": items})


def reviewed(before: Before, code: str = TRADE) -> Story:
    """A change before its last approver."""
    story = in_review(before, code)
    story.says("p-lu", "pass")
    story.says("p-gao", "pass")
    return story


def naming(before: Before) -> Story:
    """A change whose new name two seats must approve."""
    story = before.change(asking(TRADE, "rename", name="便民早餐服务点认定"))
    story.says("p-wen", "submit")
    for person in ("p-zhou", "p-lu", "p-gao"):
        story.says(person, "pass")
    return story


def approved(before: Before, params: dict[str, Any], approver: str = "p-jiang") -> Story:
    """A change everybody has approved; its engine has not taken up the last decision."""
    story = before.change(params)
    story.says("p-wen", "submit")
    for person in ("p-zhou", "p-lu", "p-gao", "p-bian", "p-naming"):
        if [a for a in story.open_for(person) if a["stage"] not in {"approval"}]:
            story.says(person, "pass")
    story.says(approver, "approve", wake=False)
    return story


# --- the pairs -----------------------------------------------------------------------------------------------------


def the_same_person_twice_with_one_verdict(before: Before) -> None:
    story = in_review(before)
    before.acts(before.says(story, "p-gao", "pass", "q-1"), before.says(story, "p-gao", "pass", "q-2"))


def the_same_person_twice_with_two_verdicts(before: Before) -> None:
    story = in_review(before)
    back = before.says(story, "p-gao", "return", "q-2", comment="依据有误")
    before.acts(before.says(story, "p-gao", "pass", "q-1"), back)


def a_double_click_with_one_request(before: Before) -> None:
    story = in_review(before)
    before.acts(before.says(story, "p-gao", "pass", "q-1"), before.says(story, "p-gao", "pass", "q-1", late=0))


def one_request_with_two_bodies(before: Before) -> None:
    story = in_review(before)
    before.acts(
        before.says(story, "p-gao", "pass", "q-1"), before.says(story, "p-gao", "return", "q-1", comment="依据有误")
    )


def one_request_in_two_changes(before: Before) -> None:
    one, other = in_review(before), in_review(before, OTHER, "p-he")
    before.acts(before.says(one, "p-gao", "pass", "q-1"), before.says(other, "p-gao", "pass", "q-1"))


def two_holders_of_one_seat(before: Before) -> None:
    story = in_review(before)
    back = before.says(story, "p-ding", "return", "q-2", comment="依据有误")
    before.acts(before.says(story, "p-lu", "pass", "q-1"), back)


def two_drafters_of_one_department(before: Before) -> None:
    story = drafting(before, OTHER)
    before.acts(before.says(story, "p-he", "submit", "q-1"), before.says(story, "p-xu", "submit", "q-2", late=1))


def two_drafters_saving_one_line(before: Before) -> None:
    story = two_lines(before)
    line = before.lines(story)[0]
    before.acts(
        *(
            before.says(story, person, "save", f"q-{n}", lines={line: {"proposal": {"promised_days": n}}}, late=n)
            for n, person in ((3, "p-he"), (4, "p-xu"))
        )
    )


def two_drafters_saving_two_lines(before: Before) -> None:
    story = two_lines(before)
    before.acts(
        *(
            before.says(story, person, "save", f"q-{n}", lines={line: {"proposal": {"promised_days": n}}}, late=n)
            for n, person, line in zip((3, 4), ("p-he", "p-xu"), before.lines(story), strict=True)
        )
    )


def one_returns_while_the_other_of_the_group_passes(before: Before) -> None:
    story = in_review(before)
    back = before.says(story, "p-lu", "return", "q-1", comment="依据有误")
    before.acts(back, before.says(story, "p-gao", "pass", "q-2"))


def two_seats_of_one_step(before: Before) -> None:
    story = naming(before)
    back = before.says(story, "p-naming", "return", "q-2", comment="名称过长")
    before.acts(before.says(story, "p-bian", "pass", "q-1"), back)


def decide_against_reassign_of_the_step(before: Before) -> None:
    story = in_review(before)
    moved = Task(acts.reassign, {"step": before.step(story, "list"), "to": "p-bian", "at": before.at})
    before.acts(before.says(story, "p-gao", "pass", "q-1"), moved)


def decide_against_reassign_of_the_assignment(before: Before) -> None:
    story = naming(before)
    step, held = before.step(story, "naming"), before.assignment(story, "p-bian")
    moved = Task(acts.reassign, {"step": step, "assignment": held, "to": "p-gao", "at": before.at})
    before.acts(before.says(story, "p-bian", "pass", "q-1"), moved)


def reassign_against_reassign(before: Before) -> None:
    story = naming(before)
    step, held = before.step(story, "naming"), before.assignment(story, "p-bian")
    before.acts(
        *(
            Task(acts.reassign, {"step": step, "assignment": held, "to": to, "at": before.at})
            for to in ("p-gao", "p-lu")
        )
    )


def decide_against_withdraw(before: Before) -> None:
    story = in_review(before)
    gone = Task(acts.withdraw, {"change": story.change_id, "at": before.at})
    before.acts(before.says(story, "p-gao", "pass", "q-1"), gone)


def decide_against_taking_out_its_only_line(before: Before) -> None:
    story = in_review(before)
    out = Task(acts.take_out, {"adjustment": before.lines(story)[0], "at": before.at})
    before.acts(before.says(story, "p-gao", "pass", "q-1"), out)


def draft_against_taking_out_its_only_line(before: Before) -> None:
    story = drafting(before)
    out = Task(acts.take_out, {"adjustment": before.lines(story)[0], "at": before.at})
    before.acts(before.says(story, "p-wen", "submit", "q-1"), out)


def decide_line_by_line_against_taking_out_one_of_two(before: Before) -> None:
    story = two_lines(before)
    story.says("p-he", "submit")
    lines = before.lines(story)
    each = {line: {"verdict": "pass", "remark": ""} for line in lines}
    out = Task(acts.take_out, {"adjustment": lines[0], "at": before.at})
    before.acts(before.says(story, "p-zhou", "pass", "q-1", lines=each), out)


def decide_against_urging(before: Before) -> None:
    story = in_review(before)
    urged = Task(acts.urge, {"step": before.step(story, "list"), "at": before.at})
    before.acts(before.says(story, "p-gao", "pass", "q-1"), urged)


def decide_against_the_leg_that_takes_up_a_return(before: Before) -> None:
    story = in_review(before)
    story.says("p-lu", "return", comment="依据有误", wake=False)
    before.acts(before.says(story, "p-gao", "pass", "q-1"), before.leg(story))


def decide_late_against_the_leg_that_closes_the_step(before: Before) -> None:
    story = in_review(before)
    late = before.says(story, "p-ding", "return", "q-1", comment="依据有误")
    story.says("p-lu", "pass", wake=False)
    before.acts(late, before.leg(story))


def decide_against_publication_of_the_same_item(before: Before) -> None:
    last = reviewed(before)
    other = approved(before, asking(TRADE, "change_basis"))
    before.acts(before.says(last, "p-jiang", "approve", "q-1"), before.leg(other))


def withdraw_against_publication(before: Before) -> None:
    story = approved(before, asking(TRADE, "change_basis"))
    before.acts(before.leg(story), Task(acts.withdraw, {"change": story.change_id, "at": before.at}))


def taking_out_against_publication(before: Before) -> None:
    story = approved(before, asking(TRADE, "change_basis"))
    before.acts(before.leg(story), Task(acts.take_out, {"adjustment": before.lines(story)[0], "at": before.at}))


def withdraw_against_taking_out(before: Before) -> None:
    story = in_review(before)
    out = Task(acts.take_out, {"adjustment": before.lines(story)[0], "at": before.at})
    before.acts(Task(acts.withdraw, {"change": story.change_id, "at": before.at}), out)


def withdraw_twice(before: Before) -> None:
    story = in_review(before)
    before.acts(*[Task(acts.withdraw, {"change": story.change_id, "at": before.at})] * 2)


def two_legs_of_one_change(before: Before) -> None:
    story = before.change(LAW_CHANGE, "law_change")
    story.says("p-zhou", "confirm", wake=False)
    before.acts(before.leg(story), before.leg(story))


def two_legs_after_two_decisions(before: Before) -> None:
    story = in_review(before)
    story.says("p-lu", "return", comment="依据有误", wake=False)
    story.says("p-gao", "pass", wake=False)
    before.acts(before.leg(story), before.leg(story))


def leg_against_pulse(before: Before) -> None:
    story = in_review(before)
    story.says("p-lu", "pass", wake=False)
    story.says("p-gao", "pass", wake=False)
    before.acts(before.leg(story), before.pulse())


def pulse_against_pulse(before: Before) -> None:
    in_review(before)
    before.acts(before.pulse(), before.pulse())


def decided_with_a_wrong_moment(before: Before) -> Story:
    """Two decisions nobody took up, and a change that is due at no moment."""
    story = in_review(before)
    story.says("p-lu", "pass", wake=False)
    story.says("p-gao", "pass", wake=False)
    with before.db.writer() as connection:
        connection.execute(update(CHANGE).where(CHANGE.c.id == story.change_id).values(next_due=None))
    return story


def leg_against_watch(before: Before) -> None:
    story = decided_with_a_wrong_moment(before)
    before.acts(before.leg(story), before.watch())


def leg_against_watch_with_a_new_arrangement_of_days(before: Before) -> None:
    story = Story(before.db, now=NOVEMBER)
    story.start("agency_request", asking(TRADE, "change_basis"))
    before.changes.append(story)
    story.says("p-wen", "submit", wake=False)
    other = Story(before.db, now=NOVEMBER)
    other.start("agency_request", asking(OTHER, "change_basis"))
    before.changes.append(other)
    with before.db.writer() as connection:
        save_workdays(connection, YEAR_2027)
    before.acts(before.leg(story), before.watch())


def pulse_against_watch(before: Before) -> None:
    decided_with_a_wrong_moment(before)
    before.acts(before.pulse(), before.watch(lost=True))


def watch_against_watch(before: Before) -> None:
    decided_with_a_wrong_moment(before)
    before.acts(before.watch(lost=True), before.watch(lost=True))


def two_legs_with_a_rung_due(before: Before) -> None:
    story = in_review(before)
    story.later(days=20)
    before.acts(before.leg(story), before.leg(story))


def two_changes_publishing_the_same_item(before: Before) -> None:
    stories = [approved(before, asking(TRADE, "change_basis")) for _ in range(2)]
    before.acts(*(before.leg(story) for story in stories))


def two_changes_publishing_different_items(before: Before) -> None:
    one = approved(before, asking(TRADE, "change_basis"))
    other = before.change(asking(OTHER, "change_guide", promised_days=9))
    other.says("p-he", "submit")
    other.says("p-zhou", "pass")
    other.says("p-shen", "approve", wake=False)
    before.acts(before.leg(one), before.leg(other))


def two_changes_adding_items_without_a_code(before: Before) -> None:
    stories = [approved(before, adding(None), "p-gov") for _ in range(2)]
    before.acts(*(before.leg(story) for story in stories))


def two_changes_adding_the_same_code(before: Before) -> None:
    stories = [approved(before, adding("990100999000"), "p-gov") for _ in range(2)]
    before.acts(*(before.leg(story) for story in stories))


def two_changes_meeting_a_procedure_for_the_first_time(before: Before) -> None:
    for code in (OTHER, THIRD):
        params = asking(code, "change_guide", promised_days=9)
        made = register(before.db, trigger="agency_request", params=params, by="p-zhou", via="test", now=START)
        before.changes.append(Story(before.db, change_id=made.id))
    before.acts(*(before.leg(story) for story in before.changes))


def two_starts_of_the_same_law_change(before: Before) -> None:
    start = {"trigger": "law_change", "params": LAW_CHANGE, "at": before.at}
    before.acts(*[Task(acts.register, start)] * 2)


def two_starts_under_one_key(before: Before) -> None:
    start = {"trigger": "agency_request", "params": asking(TRADE, "change_basis"), "key": "k-1", "at": before.at}
    before.acts(*[Task(acts.register, start)] * 2)


def two_starts_under_one_key_with_two_bodies(before: Before) -> None:
    before.acts(
        *(
            Task(acts.register, {"trigger": "agency_request", "params": asking(code, "change_basis"), "key": "k-1",
                                 "at": before.at})
            for code in (TRADE, OTHER)
        )
    )  # fmt: skip


def two_different_starts(before: Before) -> None:
    before.acts(
        *(
            Task(acts.register, {"trigger": "agency_request", "params": asking(code, "change_basis"), "at": before.at})
            for code in (TRADE, OTHER)
        )
    )


def two_sign_ins_with_one_link(before: Before) -> None:
    ask_sign_in(before.db, address="p-lu@shili.example", key_id="k1", now=before.at)
    with before.db.reader() as connection:
        link = rows(connection, select(LINK).where(LINK.c.purpose == "sign_in"))[0]["id"]
    before.acts(*[Task(acts.spend, {"link": link, "at": before.at})] * 2)


def two_deliverers_on_one_outbox(before: Before) -> None:
    for code, person in ((TRADE, "p-wen"), (OTHER, "p-he"), (THIRD, "p-he")):
        in_review(before, code, person)
    before.acts(*[Task(acts.deliver, {"at": before.at + timedelta(hours=2)})] * 2)


def a_deliverer_against_the_leg_that_makes_a_notice_needless(before: Before) -> None:
    story = in_review(before)
    story.says("p-lu", "pass", wake=False)
    story.says("p-gao", "pass", wake=False)
    before.acts(Task(acts.deliver, {"at": before.at}), before.leg(story))


@dataclass(frozen=True)
class Pair:
    """Two acts that meet, and every way in which the first and the second may come out of it."""

    prepare: Callable[[Before], None]
    outcomes: frozenset[tuple[str, str]]


def pair(prepare: Callable[[Before], None], *outcomes: tuple[str, str]) -> Any:
    return pytest.param(Pair(prepare, frozenset(outcomes)), id=prepare.__name__)


BOTH = ("ok", "ok")
PAIRS = [
    pair(the_same_person_twice_with_one_verdict, ("ok", "already_decided"), ("already_decided", "ok")),
    pair(the_same_person_twice_with_two_verdicts, ("ok", "already_decided"), ("already_decided", "ok")),
    pair(a_double_click_with_one_request, BOTH),
    pair(one_request_with_two_bodies, ("ok", "request_reused"), ("request_reused", "ok")),
    pair(one_request_in_two_changes, ("ok", "request_reused"), ("request_reused", "ok")),
    pair(two_holders_of_one_seat, ("ok", "already_decided"), ("already_decided", "ok")),
    pair(two_drafters_of_one_department, ("ok", "already_decided"), ("already_decided", "ok")),
    pair(two_drafters_saving_one_line, ("ok", "revision_changed"), ("revision_changed", "ok")),
    pair(two_drafters_saving_two_lines, BOTH),
    pair(one_returns_while_the_other_of_the_group_passes, BOTH),
    pair(two_seats_of_one_step, BOTH),
    pair(decide_against_reassign_of_the_step, ("ok", "already_decided"), ("superseded", "ok")),
    pair(decide_against_reassign_of_the_assignment, ("ok", "already_decided"), ("superseded", "ok")),
    pair(reassign_against_reassign, ("ok", "superseded"), ("superseded", "ok")),
    pair(decide_against_withdraw, BOTH, ("superseded", "ok")),
    pair(decide_against_taking_out_its_only_line, BOTH, ("superseded", "ok")),
    pair(draft_against_taking_out_its_only_line, BOTH, ("superseded", "ok")),
    pair(decide_line_by_line_against_taking_out_one_of_two, BOTH, ("revision_changed", "ok")),
    pair(decide_against_urging, BOTH, ("ok", "already_decided")),
    pair(decide_against_the_leg_that_takes_up_a_return, BOTH),
    pair(decide_late_against_the_leg_that_closes_the_step, ("already_decided", "ok")),
    pair(decide_against_publication_of_the_same_item, BOTH),
    pair(
        withdraw_against_publication,
        ("ok", "change_closed"),
        ("change_closed", "ok"),
        ("ok", "ok"),
        ("ok", "superseded"),
    ),
    pair(taking_out_against_publication, ("ok", "change_closed"), ("ok", "superseded"), BOTH),
    pair(withdraw_against_taking_out, ("ok", "change_closed"), BOTH),
    pair(withdraw_twice, ("ok", "change_closed"), ("change_closed", "ok")),
    pair(two_legs_of_one_change, BOTH, ("run_stale", "ok"), ("ok", "run_stale")),
    pair(two_legs_after_two_decisions, BOTH, ("run_stale", "ok"), ("ok", "run_stale")),
    pair(leg_against_pulse, BOTH, ("run_stale", "ok")),
    pair(pulse_against_pulse, BOTH),
    pair(leg_against_watch, BOTH),
    pair(leg_against_watch_with_a_new_arrangement_of_days, BOTH),
    pair(pulse_against_watch, BOTH),
    pair(watch_against_watch, BOTH),
    pair(two_legs_with_a_rung_due, BOTH, ("run_stale", "ok"), ("ok", "run_stale")),
    pair(two_changes_publishing_the_same_item, BOTH),
    pair(two_changes_publishing_different_items, BOTH),
    pair(two_changes_adding_items_without_a_code, BOTH),
    pair(two_changes_adding_the_same_code, BOTH),
    pair(two_changes_meeting_a_procedure_for_the_first_time, BOTH),
    pair(two_starts_of_the_same_law_change, BOTH),
    pair(two_starts_under_one_key, BOTH),
    pair(two_starts_under_one_key_with_two_bodies, ("ok", "request_reused"), ("request_reused", "ok")),
    pair(two_different_starts, BOTH),
    pair(two_sign_ins_with_one_link, ("ok", "signin_spent"), ("signin_spent", "ok")),
    pair(two_deliverers_on_one_outbox, BOTH),
    pair(a_deliverer_against_the_leg_that_makes_a_notice_needless, BOTH),
]


# --- the race ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def actors() -> Iterator[tuple[Actor, Actor]]:
    """Two processes, started once."""
    made = (Actor(), Actor())
    yield made
    for actor in made:
        actor.close()


@pytest.fixture(scope="module")
def third() -> Iterator[Actor]:
    """One process more."""
    made = Actor()
    yield made
    made.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with the newest schema that several processes share."""
    if request.param == "sqlite":
        database: Database = HastyDatabase(f"sqlite:///{tmp_path_factory.mktemp('races') / 'shared.db'}")
    else:
        emptied(request.getfixturevalue("postgres_address")).close()
        database = HastyDatabase(request.getfixturevalue("postgres_address"))
    migrate(database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def office(shared: Database) -> Kept:
    """The small office, before anything happens."""
    small_office(shared, START, schema=False)
    return keep(shared)


def chosen(seams: list[str]) -> list[int]:
    """Where the first act is stopped: everywhere, or before a few of its commits and after its last look."""
    if ALL_SEAMS:
        return list(range(len(seams)))
    commits, looks = ([number for number, seam in enumerate(seams) if seam == name] for name in ("commit", "looked"))
    step = max(1, -(-len(commits) // A_FEW))
    return sorted({*commits[step - 1 :: step], *looks[-1:]})


@pytest.mark.parametrize("meeting", PAIRS)
def test_two_acts_at_one_moment_end_as_one_after_the_other(
    meeting: Pair, shared: Database, office: Kept, actors: tuple[Actor, Actor]
) -> None:
    put_back(shared, office)
    before = Before(shared)
    meeting.prepare(before)
    kept = keep(shared)
    first, second = before.tasks
    at = max(task.arguments["at"] for task in before.tasks) + timedelta(minutes=5)

    def end(where: str, one: Outcome, two: Outcome) -> Any:
        for outcome in (one, two):
            assert outcome.kind != "broke", f"{where}: {outcome.code}: {outcome.message}"
            assert outcome.kind == "ok" or outcome.message, f"{where}: {outcome.code} without a sentence"
        assert (one.word, two.word) in meeting.outcomes, f"{where}: {one.word}, {two.word}"
        assert faults(shared, settled=False) == [], where
        with shared.reader() as connection:
            ids = list(connection.execute(select(CHANGE.c.id)).scalars())
        settle(shared, ids, at)
        assert faults(shared) == [], where
        return told(shared, ids)

    def between(turn: int, tasks: tuple[Task, Task]) -> Iterator[Any]:
        """The ends where the one act comes whole between two transactions of the other."""
        for number, name in enumerate(seams[turn]):
            if name == "committed":
                put_back(shared, kept)
                seam, outcome, other = race(shared.url, actors, *tasks, number)
                yield end(f"between, at {number} ({seam})", *((outcome, other) if turn == 0 else (other, outcome)))

    ends: list[Any] = []
    seams: list[list[str]] = []
    for turn, tasks in enumerate(((first, second), (second, first))):
        put_back(shared, kept)
        outcome, passed = alone(shared.url, actors[0], tasks[0])
        other, _ = alone(shared.url, actors[1], tasks[1])
        pair_ = (outcome, other) if turn == 0 else (other, outcome)
        ends.append(end("one after the other", *pair_))
        seams.append(passed)
    for turn, tasks in enumerate(((first, second), (second, first))):
        for number in chosen(seams[turn]):
            put_back(shared, kept)
            seam, outcome, other = race(shared.url, actors, *tasks, number)
            where = f"{'first' if turn == 0 else 'second'} act stopped at seam {number} ({seam})"
            pair_ = (outcome, other) if turn == 0 else (other, outcome)
            found = end(where, *pair_)
            if found not in ends:
                ends += list(between(turn, tasks))
            assert found in ends, f"{where}: another end than in any order\n{_difference(found, ends)}"


def test_leg_pulse_and_watch_at_one_moment_end_as_one_after_the_other(
    shared: Database, office: Kept, actors: tuple[Actor, Actor], third: Actor
) -> None:
    put_back(shared, office)
    before = Before(shared)
    story = decided_with_a_wrong_moment(before)
    kept = keep(shared)
    acting = {"leg": before.leg(story), "pulse": before.pulse(), "watch": before.watch(lost=True)}
    at = before.at + timedelta(minutes=5)

    def end(where: str, outcomes: list[Outcome]) -> Any:
        for outcome in outcomes:
            assert outcome.word in {"ok", "run_stale"}, f"{where}: {outcome.code}: {outcome.message}"
        assert faults(shared, settled=False) == [], where
        settle(shared, [story.change_id], at)
        assert faults(shared) == [], where
        return told(shared, [story.change_id])

    ends: list[Any] = []
    seams: dict[str, list[str]] = {}
    for order in permutations(acting):
        put_back(shared, kept)
        outcomes = []
        for name in order:
            outcome, passed = alone(shared.url, actors[0], acting[name])
            outcomes.append(outcome)
            if name == order[0]:
                seams[name] = passed
        ends.append(end(f"in the order {order}", outcomes))
    for name, first in acting.items():
        others = [task for other, task in acting.items() if other != name]
        for number in chosen(seams[name]):
            put_back(shared, kept)
            seam, outcomes = race_of_many(shared.url, (*actors, third), first, others, number)
            where = f"{name} stopped at seam {number} ({seam}), both others at work"
            found = end(where, outcomes)
            assert found in ends, f"{where}: another end than in any order\n{_difference(found, ends)}"


DEPARTMENTS = "id,full,short,uscc,level,region,superior\nd-new,示例市民政局,市民政局,,2,990000,\n"
PEOPLE = "id,name,email,department,roles,level,region,from,to\np-new,黎明,li@shili.example,d-new,drafter,2,990000,,\n"
ITEMS = """事项名称,事项类型,事项编码,主管部门,设定和实施依据
社会团体登记,01,990100001000,市民政局,《社会团体登记管理条例》（2016年2月6日修订）第三条
早餐工程示范网点认定（新）,07,990700188000,市商务局,《示例市餐饮服务管理条例》第四条
"""


def test_two_loads_at_one_moment_add_everything_once(
    shared: Database, office: Kept, actors: tuple[Actor, Actor], tmp_path: Path
) -> None:
    paths = []
    for name, rows_ in (("departments", DEPARTMENTS), ("people", PEOPLE), ("items", ITEMS)):
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text(rows_, encoding="utf-8")
    task = Task(acts.load, {"paths": paths, "at": START + timedelta(days=1)})
    put_back(shared, office)
    _, seams = alone(shared.url, actors[0], task)
    whole = _catalogue(shared)
    for number in chosen(seams):
        put_back(shared, office)
        seam, one, two = race(shared.url, actors, task, task, number)
        where = f"stopped at seam {number} ({seam})"
        assert (one.kind, two.kind) == ("ok", "ok"), f"{where}: {one} {two}"
        assert sum(added for outcome in (one, two) for added, _ in outcome.value) == 3, where
        assert _catalogue(shared) == whole, where
        assert faults(shared) == [], where


def test_a_load_and_a_publication_of_one_item_follow_each_other(
    shared: Database, office: Kept, actors: tuple[Actor, Actor], tmp_path: Path
) -> None:
    put_back(shared, office)
    before = Before(shared)
    story = approved(before, asking(TRADE, "change_basis"))
    kept = keep(shared)
    path = tmp_path / "items.csv"
    path.write_text(ITEMS, encoding="utf-8")
    tasks = (Task(acts.load, {"paths": [path], "at": before.at}), before.leg(story))
    for turn in (tasks, tasks[::-1]):
        put_back(shared, kept)
        _, seams = alone(shared.url, actors[0], turn[0])
        for number in chosen(seams):
            put_back(shared, kept)
            seam, one, two = race(shared.url, actors, *turn, number)
            where = f"stopped at seam {number} ({seam})"
            assert (one.kind, two.kind) == ("ok", "ok"), f"{where}: {one} {two}"
            settle(shared, [story.change_id], before.at)
            assert faults(shared) == [], where


def _catalogue(db: Database) -> list[tuple[Any, ...]]:
    with db.reader() as connection:
        found = [
            tuple(row) for row in connection.execute(select(VERSION.c.name, VERSION.c.no, VERSION.c.department_id))
        ]
        found += [tuple(row) for row in connection.execute(select(PERSON.c.id, PERSON.c.name))]
    return sorted(found, key=str)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_migrations_at_one_moment_make_one_schema(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, actors: tuple[Actor, Actor]
) -> None:
    for number in range(4):
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path / f'new-{number}.db'}"
        else:
            url = request.getfixturevalue("postgres_address")
            emptied(url).close()
        seam, one, two = race(url, actors, Task(acts.migrate), Task(acts.migrate), number)
        assert (one.kind, two.kind) == ("ok", "ok"), f"seam {number} ({seam}): {one} {two}"
        db = Database(url)
        with db.reader() as connection:
            assert current(connection) == head()
            assert connection.execute(text("select count(*) from alembic_version")).scalar() == 1
        db.close()


@pytest.mark.parametrize("seed", range(int(os.environ.get("SHIXIANG_CROWDS", "1"))))
def test_a_crowd_doing_whatever_it_likes_leaves_everything_whole(
    seed: int, shared: Database, office: Kept, actors: tuple[Actor, Actor]
) -> None:
    put_back(shared, office)
    before = Before(shared)
    stories = [in_review(before), drafting(before, OTHER), two_lines(before), naming(before)]
    stories.append(before.change(LAW_CHANGE, "law_change"))
    changes = [story.change_id for story in stories]
    people = [person for person, *_ in EVERYBODY]
    crowd = [actors[0], actors[1], Actor(), Actor()]
    at = before.at
    for number, actor in enumerate(crowd):
        given = {"changes": changes, "people": people, "at": at, "seed": seed * 100 + number, "seconds": CROWD_SECONDS}
        actor.begin(shared.url, Task(acts.crowd, given))
    counts: Counter[str] = Counter()
    for actor in crowd:
        outcome, _ = actor.ended()
        assert outcome.kind == "ok", outcome
        counts.update(outcome.value)
    for actor in crowd[2:]:
        actor.close()
    assert faults(shared, settled=False) == []
    settle(shared, changes, at)
    assert faults(shared) == []
    codes = {key.split(": ")[1] for key in counts}
    assert codes <= FRIENDLY, counts
    assert counts["any_decision: ok"] > 5, counts


def _difference(found: dict[str, Any], ends: list[dict[str, Any]]) -> str:
    lines = []
    for key in found:
        for name in found[key] if isinstance(found[key], dict) else [None]:
            mine = found[key] if name is None else found[key][name]
            theirs = [end.get(key) if name is None else end.get(key, {}).get(name) for end in ends]
            if mine not in theirs or theirs[0] != theirs[1]:
                lines.append(f"{key} {name or ''}: {mine}\n  in order: {theirs[0]}\n  the other: {theirs[1]}")
    return "\n".join(lines)
