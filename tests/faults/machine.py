"""The office under everything that can happen to it, beside a plain model of it: a hypothesis state machine.

Each rule is one thing that happens; the real verb and the plain model must agree whether it is accepted, and afterwards
tables and model must say the same and every invariant must hold. Choices are numbers taken modulo what there is, so that
a failing story shrinks to few steps.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, TypeVar
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import bindparam, insert, select, update

from models.actions.desk import decide, desk
from models.actions.engine import changes_to_wake, new_attempt, recompute_due
from models.actions.legs import begin_leg, park, run_pass
from models.actions.starting import register
from models.actions.steering import reassign, take_out, withdraw
from models.domain.content import ItemContent
from models.domain.deadlines import SHANGHAI
from models.domain.errors import Gone, Refusal
from models.domain.review import VERDICTS
from models.store import catalogue
from models.store.change import ADJUSTMENT, ASSIGNMENT, STEP, adjustments, change_row, rows
from models.store.database import Database
from models.store.outbox import SqlOutbox
from models.store.publication import new_publication
from models.store.sql import table
from models.tables import Person, Post, Substitute, base, metadata
from notifications.deliverer import Claimed
from tests.factories import DEPARTMENTS, ITEMS, LAW, NEW, OLD, PEOPLE, small_office
from tests.faults.invariants import Held, Tables, broken
from tests.faults.plain_office import (
    Change,
    Line,
    People,
    PlainOffice,
    Sheet,
    Step,
    differing,
)
from tests.faults.plain_office import Post as PlainPost

T = TypeVar("T")
START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
MOST_CHANGES = 5
NUMBER = st.integers(0, 999)
#: Besides the small office: a second coordinator, people with two posts, superiors.
MORE_PEOPLE = [("p-fu", "符同")]
MORE_POSTS = [
    ("p-fu", "d-service", "coordinator"),
    ("p-xu", "d-law", "legality_reviewer"),
    ("p-shen", "d-market", "drafter"),
    ("p-gao", "d-service", "naming_reviewer"),
]
SUPERIORS = {"p-he": "p-shen", "p-xu": "p-shen", "p-shen": "p-gov", "p-wen": "p-jiang", "p-jiang": "p-gov"}
OFFICES = {department: office for department, _, _, office in DEPARTMENTS}
NAMES = {code: name for code, name, *_ in ITEMS}
WITHOUT_BASIS = {f"itm-{code}" for code, *_, article in ITEMS if article is None}
HOME = {code: department for code, _, _, department, _ in ITEMS}
#: What one can ask for: outcomes with a value to set.
WISHES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("rename",), {"name": "新名称"}),
    (("change_guide",), {"promised_days": 7}),
    (("change_basis",), {}),
    (("cancel",), {}),
    (("change_guide", "rename"), {"name": "又一名称", "promised_days": 6}),
]


def the_office(db: Database) -> None:
    """The small office of the tests with what makes it harder."""
    small_office(db, START, schema=False)
    with db.writer() as connection:
        for person, name in MORE_PEOPLE:
            connection.execute(insert(table(Person)).values(id=person, name=name))
        for person, department, role in MORE_POSTS:
            connection.execute(
                insert(table(Post)).values(
                    id=f"{person}-{role}-more",
                    person_id=person,
                    department_id=department,
                    role=role,
                    from_on=date(2020, 1, 1),
                    level="2",
                    region="990000",
                )
            )
        for person, superior in SUPERIORS.items():
            connection.execute(
                update(table(Post)).where(table(Post).c.person_id == person).values(superior_person_id=superior)
            )


def the_people() -> People:
    """The same people as the plain model knows them."""
    posts = [
        PlainPost(person, role, department, OFFICES[department], SUPERIORS.get(person))
        for person, _, department, roles in PEOPLE
        for role in roles
    ]
    posts += [
        PlainPost(person, role, department, OFFICES[department], SUPERIORS.get(person))
        for person, department, role in MORE_POSTS
    ]
    return People(posts)


@dataclass
class Page:
    """A desk as somebody loaded it: one assignment, and the editions of its lines at that time."""

    person: str
    change: str
    sheet: Sheet | None
    step: Step
    seat: str
    shown: dict[str, Any]
    editions: dict[str, int]
    given: int


@dataclass
class Sent:
    """A submission that was answered."""

    person: str
    change: str
    body: dict[str, Any]
    answer: dict[str, Any]


@dataclass
class Counts:
    """What happened over many examples."""

    steps: int = 0
    examples: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[str, str | None, str]] = field(default_factory=set)


class NumberedIds:
    """Ids in the order of their making, so that the same story is the same again."""

    def __init__(self, last: int) -> None:
        self.last = last

    def token_hex(self, size: int) -> str:
        self.last += 1
        return f"{self.last:0{2 * size}x}"


class DiedHereError(Exception):
    """The process ends between two transactions."""


class OfficeMachine(RuleBasedStateMachine):
    """One example is one office, from empty to whatever became of it."""

    counts: ClassVar[Counts] = Counts()

    def __init__(self) -> None:
        super().__init__()
        self.ids = mock.patch.object(base, "secrets", NumberedIds(1_000_000))
        self.ids.start()
        self.db = self.new_database()
        self.now = START
        self.plain = PlainOffice(the_people(), {f"itm-{code}": 1 for code in NAMES})
        self.held = Held()
        self.pages: list[Page] = []
        self.sent: list[Sent] = []
        self.claimed: list[Claimed] = []
        self.legs: dict[str, list[tuple[int, int]]] = {}
        self.number = 0
        self.pace = 1
        self.counts.examples += 1

    def new_database(self) -> Database:
        """A database with the office in it."""
        return from_template()

    def teardown(self) -> None:
        with self.db.reader() as connection:
            self.held.logs.clear()
            left = broken(Tables(connection), self.held)
        self.counts.seen |= self.held.seen
        self.db.close()
        self.ids.stop()
        if left:
            raise AssertionError("\n".join(left))

    # --- helpers -------------------------------------------------------------------------------------------------------

    def tick(self, rule_name: str) -> None:
        self.now += timedelta(seconds=1)
        self.counts.steps += 1
        self.counts.rules[rule_name] += 1

    def one(self, number: int, among: Sequence[T]) -> T:
        return among[number % len(among)]

    def refuses(self, verb: Callable[[], Any], *, expected: bool) -> Any:
        """Run a verb that must be refused (`expected`) or accepted; the answer, or None for a refusal."""
        try:
            answer = verb()
        except Refusal as refusal:
            self.counts.refused[refusal.code] += 1
            if expected:
                return None
            raise AssertionError(f"refused: {refusal.code} {refusal.message}") from refusal
        assert not expected, f"accepted: {answer}"
        return answer

    def leg(self, change_id: str, *, dies_after: int | None = None) -> None:
        """A whole leg, as the flow runs it; with `dies_after` first one that ends after so many transactions."""
        change = self.plain.changes[change_id]
        with self.db.reader() as connection:
            attempt = change_row(connection, change_id)["attempt"]
        engine = {"flow_run_id": f"run-{attempt}", "engine_id": "e"}
        try:
            number = begin_leg(self.db, change_id=change_id, attempt=attempt, now=self.now, **engine)
        except Gone:
            closed = True
        else:
            closed = False
        assert closed == (change.state != "open")
        if closed:
            return
        self.legs.setdefault(change_id, []).append((attempt, number))
        if dies_after is not None:
            self._die(change_id, attempt, number, dies_after)
            with self.db.reader() as connection:
                ended = change_row(connection, change_id)["state"] != "open"
            if not ended:
                self.leg(change_id)
                return
        self._passes(change, attempt, number)
        self._learn(change)
        self.plain.run(change, self.now)
        self._name_sheets(change)

    def _passes(self, change: Change, attempt: int, number: int) -> None:
        """Pass by pass, until the change has ended or sleeps."""
        for _ in range(6):
            done = run_pass(
                self.db, change_id=change.id, leg_no=number, attempt=attempt, now=self.now, collect_minutes=20
            )
            assert done.stuck == ()
            if done.ended or park(self.db, change_id=change.id, leg_no=number):
                return
        raise AssertionError("the change does not come to rest")

    def _die(self, change_id: str, attempt: int, number: int, transactions: int) -> None:
        left = [transactions]
        real = self.db.write

        def write(verb: Callable[..., Any]) -> Any:
            if left[0] == 0:
                raise DiedHereError
            left[0] -= 1
            return real(verb)

        self.db.write = write  # type: ignore[method-assign]
        try:
            run_pass(self.db, change_id=change_id, leg_no=number, attempt=attempt, now=self.now, collect_minutes=20)
        except DiedHereError:
            pass
        finally:
            self.db.write = real  # type: ignore[method-assign]

    def _learn(self, change: Change) -> None:
        """The ids of the adjustments a new change proposed: one for each target, on the edition that stands."""
        if change.phase != "registered":
            return
        with self.db.reader() as connection:
            found = adjustments(connection, change_id=change.id)
        if change.trigger == "agency_request":
            assert [row["item_id"] for row in found] == change.targets
        for row in found:
            change.lines[row["id"]] = Line(
                id=row["id"],
                item=row["item_id"],
                base=None if row["item_id"] is None else self.plain.standing.setdefault(row["item_id"], 1),
                outcomes=tuple(row["outcomes"].split("+")),
                department=row["department_id"],
                preset="no_adjustment" if row["road"] == "none" else "confirm",
            )

    def open_seats(self) -> list[tuple[Change, Sheet | None, Step, str, str]]:
        """Everything that waits for somebody who is here and that nobody settled, over all changes."""
        return [
            (change, sheet, step, seat, person)
            for change in self.plain.changes.values()
            for sheet, step in change.steps()
            if not (step.rule == "any" and step.said)
            for seat, person in sorted(step.open)
            if self.plain.people.here(person)
        ]

    def open_page(self, change: Change, sheet: Sheet | None, step: Step, seat: str, person: str) -> Page:
        """What a person sees of one of his assignments; all his open seats are there and no other."""
        seen = desk(self.db, person_id=person, change_id=change.id, now=self.now)["assignments"]
        with self.db.reader() as connection:
            query = select(ASSIGNMENT.c.id, ASSIGNMENT.c.seat).where(ASSIGNMENT.c.id.in_([a["id"] for a in seen]))
            seats = {str(row.id): str(row.seat) for row in connection.execute(query)}
        expected = Counter(
            (s.stage, w)
            for _, s in change.steps()
            if not (s.rule == "any" and s.said)
            for w, who in s.open
            if who == person
        )
        assert Counter((a["stage"], _seat(a["stage"], seats[a["id"]])) for a in seen) == expected
        shown = next(
            a
            for a in seen
            if a["stage"] == step.stage
            and _seat(step.stage, seats[a["id"]]) == seat
            and (sheet is None or a["sheet"] == sheet.id)
        )
        editions = {i: line.edition for i in step.lines if (line := change.lines[i]).state != "removed"}
        page = Page(person, change.id, sheet, step, seat, shown, editions, step.given[seat, person])
        self.pages.append(page)
        return page

    def submit(self, page: Page, verdict: str, lines: dict[str, dict[str, Any]], *, expected: bool) -> bool:
        """Send a decision from a page; whether it was recorded."""
        self.number += 1
        body = {
            "request_id": f"q-{self.number}",
            "decisions": [
                {
                    "assignment": page.shown["id"],
                    "revision": page.shown["revision"],
                    "verdict": verdict,
                    "comment": "理由",
                    "adjustments": lines,
                }
            ],
        }
        decided = self.refuses(
            lambda: decide(self.db, person_id=page.person, change_id=page.change, body=body, via="link", now=self.now),
            expected=expected or self._stands_on_nothing(page, verdict, lines),
        )
        if decided is None:
            return False
        self.sent.append(Sent(page.person, page.change, body, decided.answer))
        change, step = self.plain.changes[page.change], page.step
        as_shown = step.stage == "scope" and verdict == "confirm"
        said = {
            i: (lines.get(i) or {}).get("verdict") or (change.lines[i].preset if as_shown else verdict)
            for i in self.shown_lines(page)
        }
        if step.stage == "draft":
            for line_id, word in said.items():
                if verdict != "save" or lines.get(line_id):
                    self.plain.write(change, step, line_id, page.person, word)
        if verdict != "save":
            self.plain.decide(change, step, page.seat, page.person, said)
        return True

    def _stands_on_nothing(self, page: Page, verdict: str, lines: dict[str, dict[str, Any]]) -> bool:
        """Whether a draft is submitted that changes the basis of an item without one, and sets none."""
        known = self.plain.changes[page.change].lines
        return page.step.stage == "draft" and any(
            "change_basis" in known[i].outcomes and known[i].item in WITHOUT_BASIS
            for i in self.shown_lines(page)
            if ((lines.get(i) or {}).get("verdict") or verdict) == "submit"
        )

    def shown_lines(self, page: Page) -> list[str]:
        """The lines of a step that are still in the change."""
        lines = self.plain.changes[page.change].lines
        return [i for i in page.step.lines if lines[i].state != "removed"]

    # --- what happens --------------------------------------------------------------------------------------------------

    @initialize(codes=st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=4, unique=True), wish=NUMBER)
    def a_first_change(self, codes: list[str], wish: int) -> None:
        self._request(codes, wish, "p-zhou", None, add=False)

    @precondition(lambda self: len(self.plain.changes) < MOST_CHANGES)
    @rule(
        codes=st.lists(st.sampled_from(sorted(NAMES)), max_size=3, unique=True),
        wish=NUMBER,
        by=st.sampled_from(["p-zhou", "p-fu", "p-wen", None]),
        days=st.one_of(st.none(), st.integers(-3, 20)),
        add=st.booleans(),
    )
    def a_department_asks(self, codes: list[str], wish: int, by: str | None, days: int | None, add: bool) -> None:
        self.tick("register")
        self._request(codes, wish, by, days, add=add or not codes)

    def _request(self, codes: list[str], wish: int, by: str | None, days: int | None, *, add: bool) -> None:
        outcomes, values = self.one(wish, WISHES)
        items: list[dict[str, Any]] = [
            {"target": {"kind": "item", "code": code}, "outcomes": list(outcomes), "set": values} for code in codes
        ]
        if add:
            basis = [{"law": LAW, "edition": NEW.isoformat(), "article": 2}]
            new = {"name": "新增事项", "type": "10", "department": "d-trade", "organs": ["d-trade"], "bases": basis}
            items.append({"target": None, "outcomes": ["add"], "set": new})
        effective = None if days is None else self.now.astimezone(SHANGHAI).date() + timedelta(days=days)
        params: dict[str, Any] = {"title": "部门申请", "reason": "", "items": items}
        params["effective_on"] = None if effective is None else effective.isoformat()
        key = f"key-{len(self.plain.changes)}"
        made = register(self.db, trigger="agency_request", params=params, by=by, via="portal", key=key, now=self.now)
        again = register(self.db, trigger="agency_request", params=params, by=by, via="portal", key=key, now=self.now)
        assert (made.existing, again.existing, again.id) == (False, True, made.id)
        self.refuses(
            lambda: register(
                self.db,
                trigger="agency_request",
                params={**params, "title": "另一份"},
                by=by,
                via="portal",
                key=key,
                now=self.now,
            ),
            expected=True,
        )
        targets = [f"itm-{code}" for code in codes] + ([None] if add else [])
        self._registered(made.id, "agency_request", by, effective, targets)

    @precondition(lambda self: len(self.plain.changes) < MOST_CHANGES)
    @rule(by=st.sampled_from(["p-zhou", "p-he", None]), repealed=st.booleans())
    def a_law_is_amended(self, by: str | None, repealed: bool) -> None:
        self.tick("register")
        to_version = None if repealed else NEW.isoformat()
        params = {"title": "条例修订", "law": LAW, "from_version": OLD.isoformat(), "to_version": to_version}
        made = register(self.db, trigger="law_change", params=params, by=by, via="cli", now=self.now)
        standing = [change for change in self.plain.changes.values() if change.state == "open" and change.id == made.id]
        assert made.existing == bool(standing)
        if not made.existing:
            self._registered(made.id, "law_change", by, None, [])

    def _registered(
        self, change_id: str, trigger: str, by: str | None, effective: date | None, targets: list[str | None]
    ) -> None:
        coordinators = [post.person for post in self.plain.people.holders("coordinator")]
        coordinator = by if by in coordinators else next(iter(coordinators), None)
        change = Change(change_id, trigger, by, coordinator, effective, targets)
        self.plain.changes[change_id] = change
        self.leg(change_id)

    @precondition(lambda self: self.open_seats())
    @rule(seat=NUMBER, verdict=NUMBER, line=st.one_of(st.none(), NUMBER), word=NUMBER, wake=st.booleans())
    def somebody_decides(self, seat: int, verdict: int, line: int | None, word: int, wake: bool) -> None:
        """One of those who are asked decides on what he sees now: mostly for going on, now and then mixed."""
        self.tick("decide")
        change, sheet, step, where, person = self.one(seat, self.open_seats())
        page = self.open_page(change, sheet, step, where, person)
        verdicts = page.shown["verdicts"]
        chosen = next(v for v in verdicts if v != "save") if verdict % 4 else verdicts[-1]
        if verdict % 7 == 0:
            chosen = self.one(verdict // 7, verdicts)
        lines: dict[str, dict[str, Any]] = {}
        shown = self.shown_lines(page)
        if line is not None and shown:
            line_id = self.one(line, shown)
            words = [v for v in page.shown["line_verdicts"] if v != "save"]
            lines[line_id] = {"verdict": self.one(word, words), "remark": "逐项意见"}
            if step.stage == "draft" and "rename" in change.lines[line_id].outcomes:
                lines[line_id]["proposal"] = {"name": f"名称{word}"}
        expected = self.plain.may_decide(change, step, where, person)
        self.submit(page, chosen, lines, expected=not expected)
        if wake:
            self.leg(change.id)

    @precondition(lambda self: self.open_seats())
    @rule(seat=NUMBER, times=st.integers(1, 4))
    def the_case_goes_on(self, seat: int, times: int) -> None:
        """Several in turn say yes and the change is woken each time: the way to the end."""
        self.tick("go on")
        self._goes_on(self.one(seat, self.open_seats())[0], times)

    def _goes_on(self, change: Change, times: int) -> None:
        for _ in range(times):
            self.now += timedelta(seconds=self.pace)
            waiting = [place for place in self.open_seats() if place[0] is change]
            if not waiting:
                return
            _, sheet, step, where, person = waiting[0]
            page = self.open_page(change, sheet, step, where, person)
            chosen = next(v for v in VERDICTS[step.stage] if v != "save")
            self.submit(page, chosen, {}, expected=not self.plain.may_decide(change, step, where, person))
            self.leg(change.id)

    @precondition(lambda self: self.open_seats())
    @rule(seat=NUMBER)
    def somebody_only_looks(self, seat: int) -> None:
        """A page is loaded and left lying; it may be sent much later."""
        self.tick("look")
        self.open_page(*self.one(seat, self.open_seats()))

    @precondition(lambda self: self.pages)
    @rule(page=NUMBER, verdict=NUMBER, one_line=st.one_of(st.none(), NUMBER))
    def an_old_page_is_sent(self, page: int, verdict: int, one_line: int | None) -> None:
        """A page from earlier is sent now: recorded only if the seat is still his and he saw what stands."""
        self.tick("old page")
        old = self.one(page, self.pages)
        change = self.plain.changes[old.change]
        chosen = self.one(verdict, [v for v in VERDICTS[old.step.stage] if v != "save"])
        lines: dict[str, dict[str, Any]] = {}
        if one_line is not None:
            lines = {self.one(one_line, old.step.lines): {"remark": "补充"}}
        allowed = self.plain.may_decide(change, old.step, old.seat, old.person)
        allowed = allowed and old.given == old.step.given[old.seat, old.person]
        live = self.shown_lines(old)
        newer = [i for i in live if change.lines[i].edition != old.editions.get(i)]
        if old.step.stage == "draft" and lines:
            newer = [i for i in newer if i in lines]
        same_lines = set(lines) <= set(live) and (old.step.stage == "draft" or live == list(old.editions))
        self.submit(old, chosen, lines, expected=not (allowed and not newer and same_lines))

    @precondition(lambda self: self.sent)
    @rule(which=NUMBER, other_body=st.booleans())
    def a_request_comes_twice(self, which: int, other_body: bool) -> None:
        """The same request again gives the same answer; with another body it is refused."""
        self.tick("twice")
        sent = self.one(which, self.sent)
        body = {**sent.body, "more": 1} if other_body else sent.body
        decided = self.refuses(
            lambda: decide(self.db, person_id=sent.person, change_id=sent.change, body=body, via="link", now=self.now),
            expected=other_body,
        )
        if decided is not None:
            assert decided.answer == sent.answer
            assert decided.wake is None

    @rule(change=NUMBER, dies_after=st.one_of(st.none(), st.integers(0, 6)))
    def a_leg_runs(self, change: int, dies_after: int | None) -> None:
        """A change is woken; the process may die between two transactions, and another leg goes on."""
        self.tick("leg")
        self.leg(self.one(change, list(self.plain.changes)), dies_after=dies_after)

    @precondition(lambda self: self.legs)
    @rule(change=NUMBER, which=NUMBER, again=st.booleans())
    def a_dead_run_speaks(self, change: int, which: int, again: bool) -> None:
        """An older leg or attempt goes on working: it touches nothing."""
        self.tick("stale")
        change_id = self.one(change, list(self.legs))
        if again and self.plain.changes[change_id].state == "open":
            with self.db.reader() as connection:
                attempt = change_row(connection, change_id)["attempt"]
            assert new_attempt(self.db, change_id=change_id, attempt=attempt, why="试", now=self.now) == attempt + 1
            assert new_attempt(self.db, change_id=change_id, attempt=attempt, why="试", now=self.now) == attempt + 1
            self.leg(change_id)
        with self.db.reader() as connection:
            row = change_row(connection, change_id)
        attempt, number = self.one(which, self.legs[change_id])
        if (attempt, number) == (row["attempt"], row["leg_no"]) and row["state"] == "open":
            return
        if row["state"] == "open":
            self.refuses(
                lambda: run_pass(
                    self.db, change_id=change_id, leg_no=number, attempt=attempt, now=self.now, collect_minutes=20
                ),
                expected=True,
            )
        else:
            run_pass(self.db, change_id=change_id, leg_no=number, attempt=attempt, now=self.now, collect_minutes=20)
        with self.db.reader() as connection:
            assert change_row(connection, change_id) == row

    @rule(change=NUMBER, line=NUMBER, by=st.sampled_from(["p-zhou", "p-fu", "p-he"]), wake=st.booleans())
    def a_line_is_taken_out(self, change: int, line: int, by: str, wake: bool) -> None:
        self.tick("take out")
        it = self.one(change, list(self.plain.changes.values()))
        if not it.lines:
            return
        line_id = self.one(line, list(it.lines))
        allowed = self.plain.may_steer(it, by) and self.plain.take_out(it, line_id)
        self.refuses(
            lambda: take_out(self.db, adjustment_id=line_id, by=by, reason="另案办理", now=self.now),
            expected=not allowed,
        )
        if wake:
            self.leg(it.id)

    @rule(change=NUMBER, by=st.sampled_from(["p-zhou", "p-fu", "p-wen"]), sure=st.integers(0, 3))
    def a_change_is_withdrawn(self, change: int, by: str, sure: int) -> None:
        self.tick("withdraw")
        it = self.one(change, list(self.plain.changes.values()))
        if sure:
            return
        allowed = self.plain.may_steer(it, by) and self.plain.withdraw(it)
        self.refuses(
            lambda: withdraw(self.db, change_id=it.id, by=by, reason="不再办理", now=self.now), expected=not allowed
        )

    @rule(step=NUMBER, to=NUMBER, by=st.sampled_from(["p-zhou", "p-fu"]), whole=st.booleans(), seat=NUMBER)
    def a_step_is_reassigned(self, step: int, to: int, by: str, whole: bool, seat: int) -> None:
        """Any step, open or long closed, to anybody; the whole or one assignment, open or not."""
        self.tick("reassign")
        known = [
            (change, place, one)
            for change in self.plain.changes.values()
            for place, one in [(s, t) for s in change.sheets for t in s.steps.values()]
            + ([(None, change.scope)] if change.scope is not None else [])
        ]
        if not known:
            return
        change, sheet, it = self.one(step, known)
        with self.db.reader() as connection:
            query = select(STEP).where(STEP.c.change_id == change.id, STEP.c.stage == it.stage)
            query = query.where(STEP.c.sheet_id == (None if sheet is None else sheet.id))
            row = rows(connection, query.order_by(STEP.c.round.desc()))[0]
            held = rows(
                connection, select(ASSIGNMENT).where(ASSIGNMENT.c.step_id == row["id"]).order_by(ASSIGNMENT.c.id)
            )
        people = sorted({post.person for post in self.plain.people.posts})
        taker = self.one(to, people)
        chosen = None if whole or not held else self.one(seat, held)
        seats: set[tuple[str, str]] | None = None
        if chosen is not None:
            key = (_seat(it.stage, chosen["seat"]), chosen["person_id"])
            seats = {key} if chosen["state"] == "open" else {("", "")}
        allowed = self.plain.may_steer(change, by) and self.plain.reassign(change, it, taker, seats)
        self.refuses(
            lambda: reassign(
                self.db,
                step_id=row["id"],
                to=taker,
                by=by,
                reason="休假",
                assignment_id=None if chosen is None else chosen["id"],
                now=self.now,
            ),
            expected=not allowed,
        )

    @rule(who=NUMBER, by=NUMBER, begins=st.integers(-2, 3), lasts=st.integers(0, 20))
    def somebody_is_away(self, who: int, by: int, begins: int, lasts: int) -> None:
        """A substitute from a day to a day; what is opened meanwhile goes to him."""
        self.tick("away")
        people = sorted({post.person for post in self.plain.people.posts})
        person, other = self.one(who, people), self.one(by, people)
        first = self.now.astimezone(SHANGHAI).date() + timedelta(days=begins)
        if person == other or any((p, f) == (person, first) for p, _, f, _ in self.plain.people.absences):
            return
        self._stands_in(person, other, first, first + timedelta(days=lasts))

    def _stands_in(self, person: str, other: str, first: date, last: date) -> None:
        self.plain.people.absences.append((person, other, first, last))
        with self.db.writer() as connection:
            connection.execute(
                insert(table(Substitute)).values(
                    id=f"sub-{len(self.plain.people.absences)}",
                    person_id=person,
                    by_person_id=other,
                    from_on=first,
                    to_on=last,
                )
            )

    @precondition(lambda self: len(self.plain.changes) < MOST_CHANGES)
    @rule(who=st.sampled_from(["p-shen", "p-xu"]), times=st.integers(0, 4))
    def who_drafts_and_reviews_is_away_while_it_is_drafted(self, who: str, times: int) -> None:
        """Another drafts in his name; he is back when it is reviewed, and must not be asked."""
        self.tick("stood in for")
        today, other = self.now.astimezone(SHANGHAI).date(), "p-jiang"
        if any((p, f) == (who, today) for p, _, f, _ in self.plain.people.absences):
            return
        self._stands_in(who, other, today, today)
        self._request(["990100342002"], 1, "p-zhou", None, add=False)
        change = list(self.plain.changes.values())[-1]
        mine = [
            seat for seat in self.open_seats() if seat[0] is change and seat[4] == other and seat[2].stage == "draft"
        ]
        for _, sheet, step, where, person in mine:
            page = self.open_page(change, sheet, step, where, person)
            self.submit(page, "submit", {}, expected=not self.plain.may_decide(change, step, where, person))
        self.leg(change.id)
        self.now += timedelta(days=1)
        self._goes_on(change, times)

    @rule(who=NUMBER, back=st.booleans())
    def somebody_leaves(self, who: int, back: bool) -> None:
        """A person is disabled, or comes back; the changes he has something open in are woken."""
        self.tick("leaves")
        people = self.plain.people
        known = sorted(people.disabled) if back else sorted({post.person for post in people.posts} - people.disabled)
        if not known:
            return
        person = self.one(who, known)
        people.disabled ^= {person}
        with self.db.writer() as connection:
            where = table(Person).c.id == person
            connection.execute(update(table(Person)).where(where).values(disabled_at=None if back else self.now))
        for change in self.plain.changes.values():
            recompute_due(self.db, change_id=change.id, now=self.now)
        self.now += timedelta(seconds=6)
        for wake in changes_to_wake(self.db, now=self.now):
            self.leg(wake.change_id)

    @rule(hours=st.sampled_from([0.01, 1, 9, 24, 24 * 4, 24 * 9, 24 * 30]))
    def time_passes(self, hours: float) -> None:
        """Nights, weekends, weeks; then whatever is due is woken, as the pulse does."""
        self.tick("time")
        self.now += timedelta(hours=hours)
        for wake in changes_to_wake(self.db, now=self.now):
            self.leg(wake.change_id)

    @rule(change=NUMBER)
    def the_watch_looks(self, change: int) -> None:
        """What the watch recomputes was right."""
        self.tick("watch")
        it = self.one(change, list(self.plain.changes.values()))
        self.leg(it.id)
        assert not recompute_due(self.db, change_id=it.id, now=self.now)

    @rule(code=st.sampled_from(sorted(NAMES)), sure=st.integers(0, 2))
    def another_publication_moves_an_item(self, code: str, sure: int) -> None:
        """A list loaded from elsewhere brings a new version of an item."""
        self.tick("base moved")
        if sure:
            return
        item_id = f"itm-{code}"
        with self.db.writer() as connection:
            version = catalogue.current_versions(connection, [item_id])[item_id]
            content = ItemContent.model_validate({**version.content, "promised_days": 30})
            publication_id, _ = new_publication(
                connection, change_id=None, title="目录载入", effective_at=self.now, now=self.now
            )
            new = catalogue.NewVersion.of(item_id, content, department_id=version.department_id, state=version.state)
            catalogue.write_versions(
                connection, publication_id=publication_id, versions=[new], effective_at=self.now, now=self.now
            )
        self.plain.standing[item_id] += 1

    @rule(fate=st.lists(st.sampled_from(["accept", "retry", "refuse", "die"]), min_size=1, max_size=4))
    def the_deliverer_works(self, fate: list[str]) -> None:
        """Mails go out, are put off, refused, or whoever sent them dies: then they are sent again, marked."""
        self.tick("deliver")
        outbox = SqlOutbox(self.db, "k1", Claimed)
        taken = outbox.claim(self.now, 8, 60)
        assert len({notice.id for notice in taken}) == len(taken)
        known = {notice.id for notice in self.claimed}
        for number, notice in enumerate(taken):
            assert notice.repeat == 0 or notice.id in known, "sent again without having been tried"
            word = fate[number % len(fate)]
            if word == "accept":
                outbox.accepted(notice.id, self.now)
            elif word == "retry":
                outbox.retry(notice.id, self.now + timedelta(minutes=5), "450")
            elif word == "refuse":
                outbox.undeliverable(notice.id, "550")
        self.claimed += taken

    # --- what holds ----------------------------------------------------------------------------------------------------

    def check_invariants(self, settings: Any, output: Any, runtimes: Any) -> None:
        """After each step: the invariants of the tables, and the tables against the plain model."""
        with self.db.reader() as connection:
            there = Tables(connection)
            found = broken(there, self.held)
        for change in self.plain.changes.values():
            found += self._compared(there, change)
        if found:
            raise AssertionError("\n".join(found))

    def _name_sheets(self, change: Change) -> None:
        """The ids of sheets are the product's: learned from where their lines stand."""
        with self.db.reader() as connection:
            where = {row.id: row.sheet_id for row in connection.execute(_SHEETS, {"change": change.id})}
        for sheet in change.sheets:
            places = {where[i] for i in sheet.lines}
            assert len(places) <= 1, "the lines of one sheet stand in several"
            sheet.id = str(places.pop()) if places else sheet.id

    def _compared(self, there: Tables, change: Change) -> list[str]:
        row = there.changes[change.id]
        lines = [one for one in there.all["adjustment"] if one["change_id"] == change.id]
        found = differing(change, row["phase"], row["state"], lines)
        where = {line["id"]: line["sheet_id"] for line in lines}
        for sheet in change.sheets:
            if any(where[i] != sheet.id for i in sheet.lines):
                found.append(f"sheet {sheet.id} is not where its lines are")
        if len({sheet.id for sheet in change.sheets}) != len(change.sheets):
            found.append("two sheets are one")
        expected = {
            (None if sheet is None else sheet.id, step.stage, 1 if sheet is None else sheet.round): step.open
            for sheet, step in change.steps()
        }
        standing: dict[tuple[str | None, str, int], set[tuple[str, str]]] = {}
        for step in there.steps.values():
            if step["change_id"] == change.id and step["state"] == "open":
                standing[(step["sheet_id"], step["stage"], step["round"])] = {
                    (_seat(step["stage"], a["seat"]), a["person_id"])
                    for a in there.assignments.values()
                    if a["step_id"] == step["id"] and a["state"] == "open"
                }
        return found if standing == expected else [*found, f"open steps are {standing}, expected {expected}"]


_SHEETS = select(ADJUSTMENT.c.id, ADJUSTMENT.c.sheet_id).where(ADJUSTMENT.c.change_id == bindparam("change"))


def _seat(stage: str, seat: str) -> str:
    """A seat as the plain office names it: a step that stood without an owner names it by its stage."""
    roles = {"draft": "drafter", "form": "coordinator", "scope": "coordinator", "legality": "legality_reviewer"}
    roles |= {"list": "list_reviewer"}
    return roles.get(stage, seat)


_TEMPLATE: list[sqlite3.Connection] = []


def from_template() -> Database:
    """A database in memory with the office in it, copied from the first one."""
    db = Database("sqlite://")
    with db.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        if not _TEMPLATE:
            first = Database("sqlite://")
            metadata.create_all(first.engine)
            with mock.patch.object(base, "secrets", NumberedIds(0)):
                the_office(first)
            kept = sqlite3.connect(":memory:", check_same_thread=False)
            with first.engine.connect() as other:
                source = other.connection.driver_connection
                assert isinstance(source, sqlite3.Connection)
                source.backup(kept)
            first.close()
            _TEMPLATE.append(kept)
        _TEMPLATE[0].backup(raw)
    return db
