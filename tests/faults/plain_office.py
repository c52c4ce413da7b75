"""A small office in plain Python: it knows the table of states and the procedures, and no database.

People decide, the office moves (`run`), and what stands then is compared with the tables. One verb of the product is one
method here; a method answers whether the product has to accept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from models.domain.deadlines import SHANGHAI
from models.domain.procedure import StageRule
from models.reference.procedures import procedure_for

TERMINAL = frozenset({"published", "declined", "rejected", "removed"})
ENGINE = frozenset({"coding", "publishing", "connecting"})


@dataclass
class Post:
    person: str
    role: str
    department: str
    office: str
    superior: str | None = None


@dataclass
class People:
    """Who holds what, who is here, who stands in for whom."""

    posts: list[Post]
    disabled: set[str] = field(default_factory=set)
    absences: list[tuple[str, str, date, date | None]] = field(default_factory=list)

    def here(self, person: str) -> bool:
        return person not in self.disabled

    def holders(self, role: str, *, department: str | None = None, office: str | None = None) -> list[Post]:
        found: dict[str, Post] = {}
        for post in self.posts:
            fits = post.role == role and department in (None, post.department) and office in (None, post.office)
            if fits and self.here(post.person):
                found.setdefault(post.person, post)
        return [found[person] for person in sorted(found)]

    def stand_in(self, person: str, today: date) -> str | None:
        by = None
        for who, other, begins, ends in sorted(self.absences, key=lambda row: row[2]):
            if who == person and begins <= today and (ends is None or ends >= today) and self.here(other):
                by = other
        return by

    def seats(self, rule: StageRule, department: str | None) -> dict[str, list[Post]]:
        if rule.code == "naming":
            return {f"naming:{o}": self.holders("naming_reviewer", office=o) for o in ("list", "service")}
        if rule.role == "coordinator":
            return {"coordinator": self.holders("coordinator")}
        if rule.scope == "department":
            return {rule.role: self.holders(rule.role, department=department) if department else []}
        if rule.scope == "government":
            return {rule.role: self.holders(rule.role, office="government")}
        return {rule.role: self.holders(rule.role)}

    def asked(
        self, rule: StageRule, department: str | None, wrote: set[str], today: date
    ) -> dict[tuple[str, str], str | None]:
        """(seat, person) of everybody a stage is put before, and for whom he stands in; nobody reviews what he drafted."""
        barred = set() if rule.code == "draft" else wrote
        found: dict[tuple[str, str], str | None] = {}
        for seat, posts in self.seats(rule, department).items():
            able: dict[str, str | None] = {}
            for post in posts:
                other = self.stand_in(post.person, today)
                person, acting = (other, post.person) if other else (post.person, None)
                if not {person, post.person} & barred:
                    able.setdefault(person, acting)
            if not able:
                superiors = {p.superior for p in posts if p.superior and p.superior not in barred}
                able = {superior: None for superior in superiors if self.here(superior)}
            found |= {(seat, person): acting for person, acting in able.items()}
        return found


@dataclass
class Line:
    id: str
    item: str | None
    base: int | None
    outcomes: tuple[str, ...]
    department: str | None
    #: What a scope that is confirmed as shown says of it: what cites the new text already is not to be adjusted.
    preset: str = "confirm"
    state: str = "proposed"
    declined: bool = False
    #: Who wrote its text, each with the step it was asked of him at.
    writers: list[tuple[str, Step]] = field(default_factory=list)
    edition: int = 1
    effective_at: datetime | None = None

    @property
    def wrote(self) -> set[str]:
        """Who drafted it: the writers, and whoever one of them stood in for at that step."""
        found = {person for person, _ in self.writers}
        return found | {other for person, step in self.writers for by, other in step.stood_in if by == person}


@dataclass
class Said:
    seat: str
    person: str
    verdicts: dict[str, str]


@dataclass
class Step:
    stage: str
    rule: str
    seats: tuple[str, ...]
    lines: list[str]
    open: set[tuple[str, str]]
    said: list[Said] = field(default_factory=list)
    state: str = "open"
    #: How often a seat was given to somebody after the step was opened: what he was shown before counts no more.
    given: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: For whom each open seat is held by a substitute, and (substitute, principal) of all that ever were.
    acting: dict[tuple[str, str], str | None] = field(default_factory=dict)
    stood_in: set[tuple[str, str]] = field(default_factory=set)

    def give(self, places: dict[tuple[str, str], str | None]) -> None:
        """Somebody has these seats now."""
        self.open |= set(places)
        self.acting |= places
        self.stood_in |= {(person, other) for (_, person), other in places.items() if other is not None}

    def give_anew(self, places: dict[tuple[str, str], str | None]) -> None:
        """Somebody else has these seats now."""
        self.give(places)
        self.given.update(set(places))

    def settled(self) -> bool:
        """Whether what was said is enough."""
        if self.rule == "any":
            return bool(self.said)
        return set(self.seats) <= {said.seat for said in self.said}


@dataclass
class Sheet:
    lines: list[str]
    department: str | None
    outcomes: tuple[str, ...]
    round: int = 1
    position: int = 0
    state: str = "open"
    steps: dict[str, Step] = field(default_factory=dict)
    id: str | None = None

    def positions(self) -> list[list[StageRule]]:
        found = procedure_for(frozenset(self.outcomes)).positions()
        return [[rule for rule in stages if rule.code not in ENGINE] for stages in found]


@dataclass
class Change:
    id: str
    trigger: str
    starter: str | None
    coordinator: str | None
    effective_on: date | None
    targets: list[str | None]
    phase: str = "registered"
    state: str = "open"
    lines: dict[str, Line] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)
    scope: Step | None = None

    def steps(self) -> list[tuple[Sheet | None, Step]]:
        """Every step that is open now."""
        if self.state != "open":
            return []
        found: list[tuple[Sheet | None, Step]] = [
            (sheet, step) for sheet in self.sheets for step in sheet.steps.values()
        ]
        if self.scope is not None:
            found.append((None, self.scope))
        return [(sheet, step) for sheet, step in found if step.state == "open"]


@dataclass
class PlainOffice:
    """All changes, the people, and which edition of each item stands."""

    people: People
    standing: dict[str, int]
    changes: dict[str, Change] = field(default_factory=dict)

    # --- what people do ------------------------------------------------------------------------------------------------

    def may_steer(self, change: Change, by: str) -> bool:
        return change.state == "open" and by in {post.person for post in self.people.holders("coordinator")}

    def may_decide(self, change: Change, step: Step, seat: str, person: str) -> bool:
        """A seat that is open for him, on a step nobody settled, of lines he did not write."""
        if change.state != "open" or step.state != "open" or not self.people.here(person):
            return False
        if (seat, person) not in step.open or (step.rule == "any" and step.said):
            return False
        left = [change.lines[i] for i in step.lines if change.lines[i].state != "removed"]
        if not left:
            return False
        asked = {person, step.acting.get((seat, person))}
        return step.stage in {"draft", "scope"} or not any(asked & line.wrote for line in left)

    def decide(self, change: Change, step: Step, seat: str, person: str, verdicts: dict[str, str]) -> None:
        """Record what he said of each line."""
        step.said.append(Said(seat, person, verdicts))
        step.open.discard((seat, person))

    def write(self, change: Change, step: Step, line_id: str, person: str, verdict: str) -> None:
        """A new edition of the proposal of a line."""
        line = change.lines[line_id]
        line.writers.append((person, step))
        line.edition += 1
        line.declined = verdict == "decline"

    def take_out(self, change: Change, line_id: str) -> bool:
        if change.state != "open" or change.lines[line_id].state in TERMINAL:
            return False
        change.lines[line_id].state = "removed"
        return True

    def withdraw(self, change: Change) -> bool:
        if change.state != "open" or any(line.state == "published" for line in change.lines.values()):
            return False
        for line in change.lines.values():
            if line.state not in TERMINAL:
                line.state = "removed"
        for sheet in change.sheets:
            if sheet.state in {"open", "waiting"}:
                sheet.state = "dissolved" if sheet.state == "open" else "done"
        self._end(change, "withdrawn")
        change.state = "withdrawn"
        return True

    def reassign(self, change: Change, step: Step, to: str, seats: set[tuple[str, str]] | None) -> bool:
        """Give all of a step, or these of its open seats, to somebody; empty seats are filled first."""
        if change.state != "open" or step.state != "open" or (step.rule == "any" and step.said):
            return False
        wrote: set[str] = set().union(*(change.lines[i].wrote for i in step.lines))
        if not self.people.here(to) or (step.stage not in {"draft", "scope"} and to in wrote):
            return False
        taken = {seat for seat, _ in step.open} | {said.seat for said in step.said}
        empty = set(step.seats) - taken if step.rule == "all" or not taken else set()
        leaving = seats if seats is not None else (set() if empty else set(step.open))
        if not leaving <= step.open or any(person == to for _, person in step.open):
            return False
        if not leaving and not empty:
            return False
        fresh = {seat for seat, _ in leaving} if leaving else empty
        step.open -= leaving
        step.give_anew({(seat, to): None for seat in fresh})
        return True

    # --- what the office does ------------------------------------------------------------------------------------------

    def run(self, change: Change, now: datetime) -> None:
        """Everything that follows until the change waits again."""
        if change.state != "open":
            return
        self._hand_back(change, now)
        if change.phase == "registered":
            change.phase = "scoping"
            if not change.lines:
                self._end(change, "closed")
                return
        if change.phase == "scoping":
            self._scope(change, now)
        if change.phase == "running":
            for sheet in list(change.sheets):
                self._move(change, sheet, now)
            self._publish(change, now)
            self._close_if_done(change)

    def _today(self, now: datetime) -> date:
        return now.astimezone(SHANGHAI).date()

    def _end(self, change: Change, phase: str) -> None:
        change.phase = phase
        change.state = phase if phase == "withdrawn" else "closed"
        for sheet in change.sheets:
            for step in sheet.steps.values():
                step.state = "gone" if step.state == "open" else step.state
        if change.scope is not None and change.scope.state == "open":
            change.scope.state = "gone"

    def _hand_back(self, change: Change, now: datetime) -> None:
        """Seats of people who have left go to whoever may take them now, if nobody else holds them."""
        for sheet, step in change.steps():
            gone = {(seat, person) for seat, person in step.open if not self.people.here(person)}
            step.open -= gone
            held = {seat for seat, _ in step.open} | {said.seat for said in step.said}
            empty = {seat for seat, _ in gone} - held
            if not empty or (step.rule == "any" and held):
                continue
            if sheet is None:
                able: dict[tuple[str, str], str | None] = {
                    ("coordinator", post.person): None for post in self.people.holders("coordinator")
                }
            else:
                rule = next(r for stages in sheet.positions() for r in stages if r.code == step.stage)
                live = [i for i in step.lines if change.lines[i].state != "removed"]
                wrote: set[str] = set().union(*(change.lines[i].wrote for i in live))
                able = self.people.asked(rule, sheet.department, wrote, self._today(now))
            step.give_anew({(seat, person): other for (seat, person), other in able.items() if seat in empty})

    def _scope(self, change: Change, now: datetime) -> None:
        proposed = [line for line in change.lines.values() if line.state == "proposed"]
        coordinators = {post.person for post in self.people.holders("coordinator")}
        if not proposed:
            self._end(change, "closed")
            return
        if change.scope is None:
            if change.trigger == "agency_request" and change.starter in coordinators:
                self._confirmed(change, proposed, now)
                return
            asked = {change.coordinator} & coordinators or coordinators
            change.scope = Step(
                "scope",
                "any",
                ("coordinator",),
                [line.id for line in proposed],
                {("coordinator", str(person)) for person in asked},
            )
            return
        if not change.scope.said:
            return
        change.scope.state = "passed"
        change.scope.open.clear()
        for line in proposed:
            said = change.scope.said[0].verdicts.get(line.id, "")
            line.state = {"take_out": "removed", "no_adjustment": "declined"}.get(said, line.state)
        self._confirmed(change, [line for line in proposed if line.state == "proposed"], now)

    def _confirmed(self, change: Change, lines: list[Line], now: datetime) -> None:
        if not lines:
            self._end(change, "closed")
            return
        change.phase = "running"
        groups: dict[tuple[str | None, tuple[str, ...]], list[str]] = {}
        for line in lines:
            line.state = "drafting"
            groups.setdefault((line.department, line.outcomes), []).append(line.id)
        change.sheets = [Sheet(ids, department, outcomes) for (department, outcomes), ids in groups.items()]

    def _open(self, change: Change, sheet: Sheet, rule: StageRule, now: datetime) -> None:
        live = [i for i in sheet.lines if change.lines[i].state not in TERMINAL]
        wrote: set[str] = set().union(*(change.lines[i].wrote for i in live))
        asked = self.people.asked(rule, sheet.department, wrote, self._today(now))
        seats = rule.seats or (rule.role,)
        sheet.steps[rule.code] = Step(rule.code, rule.rule, tuple(seats), live, set())
        sheet.steps[rule.code].give(asked)

    def _move(self, change: Change, sheet: Sheet, now: datetime) -> None:
        while sheet.state == "open":
            live = [i for i in sheet.lines if change.lines[i].state not in TERMINAL]
            positions = sheet.positions()
            if not live:
                self._end_sheet(change, sheet)
            elif sheet.position >= len(positions):
                self._approve(change, sheet, live, now)
            elif not positions[sheet.position]:
                sheet.position += 1
            else:
                here = [sheet.steps[r.code] for r in positions[sheet.position] if r.code in sheet.steps]
                if not here:
                    for rule in positions[sheet.position]:
                        self._open(change, sheet, rule, now)
                    return
                for step in here:
                    if step.state == "open" and step.settled():
                        step.state = "passed"
                        step.open.clear()
                if any(step.state == "open" for step in here):
                    return
                self._after(change, sheet, here, live, now)

    def _after(self, change: Change, sheet: Sheet, here: list[Step], live: list[str], now: datetime) -> None:
        """All steps of a position are closed: each line goes on, back or ends."""
        back, on = [], []
        for line_id in live:
            words = {said.verdicts.get(line_id) for step in here for said in step.said}
            line = change.lines[line_id]
            if "reject" in words:
                line.state = "rejected"
            elif words & {"return", "approve_changed"}:
                line.state = "drafting"
                back.append(line_id)
            else:
                line.state = "in_review"
                on.append(line_id)
        if back and on:
            sheet.lines = [i for i in sheet.lines if i not in back]
            split = Sheet(back, sheet.department, sheet.outcomes, sheet.round + 1)
            self._open(change, split, split.positions()[0][0], now)
            change.sheets.append(split)
        elif back:
            sheet.round, sheet.position, sheet.steps = sheet.round + 1, 0, {}
            return
        if on:
            sheet.position += 1
        else:
            self._end_sheet(change, sheet)

    def _end_sheet(self, change: Change, sheet: Sheet) -> None:
        for step in sheet.steps.values():
            step.state = "gone" if step.state == "open" else step.state
        left = [i for i in sheet.lines if change.lines[i].state != "removed"]
        sheet.state = "done" if left else "dissolved"

    def _approve(self, change: Change, sheet: Sheet, live: list[str], now: datetime) -> None:
        moment = now
        if change.effective_on is not None:
            moment = max(now, datetime.combine(change.effective_on, time.min, tzinfo=SHANGHAI))
        for line in (change.lines[i] for i in live):
            line.state = "declined" if line.declined else "scheduled"
            line.effective_at = moment
        sheet.state = "waiting" if any(change.lines[i].state == "scheduled" for i in live) else "done"

    def _publish(self, change: Change, now: datetime) -> None:
        for line in change.lines.values():
            if line.state != "scheduled" or line.effective_at is None or line.effective_at > now:
                continue
            if line.item is not None and self.standing[line.item] != line.base:
                line.state = "blocked"
                continue
            line.state = "published"
            if line.item is not None:
                self.standing[line.item] += 1

    def _close_if_done(self, change: Change) -> None:
        for sheet in change.sheets:
            if sheet.state == "waiting" and all(change.lines[i].state in TERMINAL for i in sheet.lines):
                sheet.state = "done"
        if all(line.state in TERMINAL for line in change.lines.values()):
            self._end(change, "closed")


def differing(change: Change, phase: str, state: str, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Where the tables of a change say something else: its phase and the state of each line."""
    found = []
    if (change.phase, change.state) != (phase, state):
        found.append(f"change is {phase}/{state}, expected {change.phase}/{change.state}")
    there = {row["id"]: row for row in rows}
    for line in change.lines.values():
        row = there[line.id]
        if (row["state"], row["declined"]) != (line.state, line.declined):
            found.append(f"{line.id} is {row['state']} (declined {row['declined']}), expected {line}")
    return found
